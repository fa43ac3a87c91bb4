"""What an operator asks of the running router."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest

from speaker.control.protocol import ControlError
from speaker.orders import disable, enable, refresh
from speaker.speaker import Speaker
from tests.support.routers import Town, home, on_both_loops, on_uvloop
from tests.support.scripted_peer import IPV4, ROUTE_REFRESH, capability

BOTH = {"families": "ipv4,ipv6"}


def named(router: Speaker, number: int) -> str:
    [name] = [p.name for p in router.peers.values() if p.plan.address == home(number)]
    return name


@on_both_loops
async def test_a_peer_is_asked_for_everything_in_each_family() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, keys=BOTH)
        one, two = await town.join(11, families=(1, 2)), await town.join(12, families=(1, 2))
        name = named(router, 11)
        done = refresh(router, {"name": home(11)})
        assert done == {
            "direction": "in",
            "asked": [f"{name} ipv4 unicast", f"{name} ipv6 unicast"],
            "refused": [],
        }
        await one.until(lambda: one.messages.count(ROUTE_REFRESH) == 2)
        assert ROUTE_REFRESH not in two.messages
        assert refresh(router, {"family": "ipv6"})["asked"] == [
            f"{name} ipv6 unicast",
            f"{named(router, 12)} ipv6 unicast",
        ]
        await two.until(lambda: two.messages.count(ROUTE_REFRESH) == 1)


@on_both_loops
async def test_a_peer_is_told_everything_again_but_nothing_of_its_own() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, settings={"networks": "10.7.0.0/16"})
        one, two = await town.join(11, more=capability(70)), await town.join(12)
        one.announce("10.1.0.0/16")
        two.announce("10.2.0.0/16")
        await one.until(lambda: "10.2.0.0/16" in one.table and IPV4 in one.ended)
        before = len(one.story)
        assert refresh(router, {"name": home(11), "out": True})["direction"] == "out"
        await one.until(lambda: "refresh 2" in one.story)
        told = one.story[before:]
        assert (told[0], told[-1]) == ("refresh 1", "refresh 2")
        assert sorted(told[1:-1], key=ip_network) == ["10.2.0.0/16", "10.7.0.0/16"]
        assert one.withdrawn == 0


@on_uvloop
@pytest.mark.parametrize(
    ("request_", "joins", "message"),
    [
        ({"name": "nobody"}, True, "there is no peer nobody"),
        ({"name": home(11)}, False, "the session is not up"),
        ({"name": home(11)}, True, "the peer does not offer route refresh"),
        ({"name": home(11), "family": "ipv6"}, True, "the session does not carry ipv6"),
        ({"name": home(11), "family": "ipv4-vpn"}, True, "the session does not carry ipv4-vpn"),
        ({"name": home(11), "family": "ipv5"}, True, "'ipv5' is no address family"),
    ],
)
async def test_what_cannot_be_done_is_said(
    request_: dict[str, str], joins: bool, message: str
) -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        if joins:
            await town.join(11, refresh=False)
        with pytest.raises(ControlError, match=re.escape(message)):
            refresh(router, request_)
        if "nobody" not in request_["name"] and "family" not in request_:
            assert message in refresh(router, {})["refused"][0]


REASON = "Umbau – bis 6 Uhr, ☎ 4711"


@on_both_loops
async def test_a_disabled_peer_hears_why_and_stays_down_until_it_is_enabled() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        name = named(router, 11)
        assert disable(router, {"name": home(11), "reason": REASON}) == {"peer": name}
        await peer.until(lambda: peer.notification)
        text = REASON.encode()
        assert peer.notification == (6, 2, bytes((len(text),)) + text)
        shell = router.peers[name]
        shell.take_plan(replace(shell.plan, fqdn="elsewhere"))
        shell.renew_when_down()
        assert not shell.session.is_started
        assert "BgpOpen" in {type(entry.event).__name__ for entry in shell.session.history}
        assert REASON in str(shell.explanation)
        assert enable(router, {"name": name}) == {"peer": name}
        await town.join()
        session = shell.session
        enable(router, {"name": name})
        assert shell.session is session
        assert shell.is_established


@on_uvloop
async def test_a_reason_that_is_too_long_is_refused() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join()
        with pytest.raises(ControlError, match="more than 255 octets"):
            disable(router, {"name": home(11), "reason": "ü" * 128})
        assert router.peers[named(router, 11)].is_established
        with pytest.raises(ControlError, match="there is no peer"):
            enable(router, {"name": "nobody"})
