"""What the router tells about itself."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from policy.resilience import Resilience
from speaker.control.protocol import ControlError
from speaker.kernel.routes import KernelFacts
from speaker.route_views import RouteViews
from speaker.status import Status
from tests.support.routers import (
    Town,
    best,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
)
from tests.support.scripted_peer import message
from tests.support.tabletop import TabletopSpeaker


@on_both_loops
async def test_a_peer_that_waits_and_one_that_is_up() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, settings={"networks": "10.9.0.0/16"})
        peer = await town.join(11)
        peer.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(best(router)) == 3)
        await peer.until_ended()
        shown = Status(router, 42).status()
        assert (shown["pid"], shown["routerID"], shown["mode"]) == (42, home(1), "plain")
        assert shown["kernel"]["enabled"] is False
        up, waiting = shown["peers"]
        assert (up["state"], up["bgpState"], up["info"]) == ("up", "Established", "")
        assert up["uptime"] is not None
        assert up["uptime"] >= 0
        assert up["families"]["ipv4 unicast"] == {
            "received": 2,
            "accepted": 2,
            "advertised": 1,
            "endOfRib": False,
        }
        negotiated = up["negotiated"]
        assert negotiated is not None
        assert (negotiated["holdTime"], negotiated["routerID"]) == (90, home(11))
        assert (waiting["state"], waiting["bgpState"]) == ("start", "Passive")
        assert (waiting["uptime"], waiting["negotiated"]) == (None, None)
        assert waiting["families"] == {}


@on_both_loops
async def test_why_a_session_fell_is_told_with_its_history() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.send(message(9))
        await peer.until_closed()
        await until(lambda: not is_up(router))
        status = Status(router, 1)
        name = peer_at(router, 11).name
        detail = status.peer_detail(name)
        assert "Bad Message Type" in detail["peer"]["lastError"]
        assert detail["peer"]["info"] == "BGP Error: Bad Message Type"
        assert any("BgpHeaderErr" in line and "NOTIFICATION" in line for line in detail["history"])
        assert all("\n" not in line for line in detail["history"])
        assert status.peer_detail("p11")["peer"]["name"] == name
        assert status.peer_detail(home(11))["peer"]["name"] == name
        with pytest.raises(ControlError) as caught:
            status.peer_detail("nobody")
        assert name in caught.value.hint


@on_both_loops
async def test_what_is_in_the_kernel_and_what_is_not() -> None:
    async with Town() as town:
        router = TabletopSpeaker(town.plan_for_strangers())
        await town.start(router)
        peer = await town.join()
        peer.announce("10.1.0.0/16", next_hop="10.0.2.11")
        await until(lambda: router.tabletop.seen())
        status, views = Status(router, 1), RouteViews(router)
        [chunk] = views.routes({})
        assert chunk["routes"][0]["kernel"] == "installed"
        assert chunk["routes"][0]["interface"] == "eth2"
        assert status.status()["kernel"]["installed"] == {"ipv4": 1, "ipv6": 0}
        assert status.status()["kernel"]["nexthopCompatMode"] is None
        assert status.status()["kernel"]["resilientGroups"] == ""
        router.plane.facts = KernelFacts(nexthop_objects=True, nexthop_compat=False)
        assert status.status()["kernel"]["nexthopObjects"]
        assert status.status()["kernel"]["nexthopCompatMode"] == 0
        router.tabletop.table.clear()
        [chunk] = views.routes({})
        assert chunk["routes"][0]["kernel"].startswith("not installed")


@on_uvloop
async def test_flows_are_kept_where_the_kernel_can_and_else_it_is_told_why_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Town() as town:
        plan = town.plan_for_strangers()
        router = TabletopSpeaker(plan)
        await town.start(router)
        assert router.tabletop.moves == ["flows are not kept"]
        status = Status(router, 1)
        with caplog.at_level(logging.WARNING):
            await router.apply(replace(plan, resilience=Resilience(128, 60)))
        assert router.tabletop.moves[1:] == ["flows are kept by 128 idle 60"]
        for facts, why in (
            (KernelFacts(), "routes name no next-hop objects here"),
            (KernelFacts(nexthop_objects=True), "the kernel has no resilient groups"),
        ):
            router.plane.facts = facts
            [condition] = status.status()["conditions"]
            assert (condition["resource"], condition["reason"]) == ("kernel", "NotResilient")
            assert why in condition["message"]
            assert status.status()["kernel"]["resilientGroups"] == ""
        assert "wren.bgp/resilientGroups: routes name no next-hop objects here" in caplog.text
        router.plane.facts = KernelFacts(nexthop_objects=True, resilient_groups=True)
        assert status.status()["conditions"] == []
        assert status.status()["kernel"]["resilientGroups"] == "128 idle 60"
