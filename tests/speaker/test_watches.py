"""Whom BFD watches, and what its word does to sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fsm.capabilities import GracefulRestart, tlv
from fsm.events import BfdUp, Event
from fsm.family import IPV4_UNICAST
from fsm.notifications import Cease, Code
from speaker.bfd.client import Verdict
from speaker.bfd.words import Watch
from speaker.config.bfd import DEFAULTS, InterfaceTimers
from speaker.control.views import BfdSessionView, BfdView
from speaker.notices import BfdChanged
from speaker.orders import disable, enable
from speaker.speaker import Speaker
from speaker.status import Status
from speaker.watches import MARGIN, Watches
from tests.support.routers import Town, best, home, is_up, on_uvloop, peer_at, until
from tests.support.scripted_peer import end_of_rib

FAILED = Verdict(home(11), is_up=False, failed=True, diagnostic=1)
UP = Verdict(home(11), is_up=True, failed=False, diagnostic=0)
ON_PURPOSE = replace(FAILED, failed=False)
GRACEFUL = tlv(GracefulRestart(False, False, 60, ((IPV4_UNICAST, True),)))


class Witness:
    """Remembers what it is told to watch."""

    def __init__(self) -> None:
        self.watched: dict[str, Watch] = {}
        self.left: dict[str, Watch] | None = None
        self.lack = "nobody watches"
        self.shown: dict[str, Any] | None = None

    @property
    def names(self) -> set[str]:
        return set(self.watched)

    def watch(self, watch: Watch) -> None:
        self.watched[watch.name] = watch

    def unwatch(self, name: str) -> None:
        del self.watched[name]

    def lacks(self, name: str) -> str:
        return self.lack

    async def show(self) -> dict[str, Any] | None:
        return self.shown

    async def leave(self) -> None:
        self.left = dict(self.watched)

    async def close(self) -> None:
        self.watched.clear()


async def router_in(town: Town, *, bfd: bool = True) -> tuple[Speaker, Witness]:
    """Run a router whose peer p11 asks for BFD and whose peer p12 does not."""
    plan = town.plan_for_strangers(2)
    witness = Witness()
    router = Speaker(plan)
    router.watches = Watches(router, lambda heed: witness)
    [name] = [name for name, peer in plan.peers.items() if peer.address == home(11)]
    peers = {**plan.peers, name: replace(plan.peers[name], bfd=bfd)}
    router.plan = replace(plan, peers=peers)
    await town.start(router)
    return router, witness


@on_uvloop
async def test_peers_that_ask_for_it_are_watched_and_no_others() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        assert witness.watched == {home(11): Watch(home(11), home(11), home(1), settings=DEFAULTS)}
        peers = {name: replace(peer, bfd=False) for name, peer in router.plan.peers.items()}
        await router.apply(replace(router.plan, peers=peers))
        assert witness.watched == {}


@on_uvloop
async def test_timers_are_those_of_the_interface_and_an_edit_of_them_is_followed() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        slow = replace(DEFAULTS, desired_min_tx_us=700_000)
        # Without a kernel interfaces have no names.
        timers = (InterfaceTimers("eth*", DEFAULTS), InterfaceTimers("*", slow))
        await router.apply(replace(router.plan, bfd=timers))
        assert witness.watched[home(11)].settings == slow


@on_uvloop
async def test_a_peer_that_is_disabled_is_not_watched() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        await town.join(11)
        disable(router, {"name": home(11)})
        assert witness.watched == {}
        enable(router, {"name": home(11)})
        assert witness.names == {home(11)}
        # Also where there is no session that could end.
        disable(router, {"name": home(11)})
        assert witness.watched == {}


@on_uvloop
async def test_who_is_gone_by_bfd_is_told_so_and_others_stay() -> None:
    """RFC 9384 §3."""
    async with Town() as town:
        router, _ = await router_in(town)
        gone, stays = await town.join(11), await town.join(12)
        router.watches.heed(FAILED)
        await gone.until_closed()
        assert gone.notification is not None
        assert gone.notification[:2] == (Code.CEASE, Cease.BFD_DOWN)
        assert stays.is_open
        assert is_up(router, *[p.name for p in router.peers.values() if not p.plan.bfd])


@on_uvloop
async def test_the_kernel_is_told_while_the_session_still_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its packets go another way first; sessions and tables follow."""
    async with Town() as town:
        router, _ = await router_in(town)
        await town.join(11)
        [peer] = [peer for peer in router.peers.values() if peer.plan.bfd]
        order: list[tuple[str, bool]] = []
        monkeypatch.setattr(
            router, "lost", lambda source: order.append((source.name, peer.is_established))
        )
        router.watches.heed(FAILED)
        assert order[0] == (peer.name, True)
        assert not peer.is_established


@on_uvloop
async def test_who_ends_bfd_on_purpose_has_not_failed() -> None:
    """RFC 5882 §3.2."""
    async with Town() as town:
        router, _ = await router_in(town)
        await town.join(11)
        router.watches.heed(ON_PURPOSE)
        router.watches.heed(replace(FAILED, name=home(12)))
        assert is_up(router, *[p.name for p in router.peers.values() if p.plan.bfd])


def is_waiting(router: Speaker) -> bool:
    [peer] = [peer for peer in router.peers.values() if peer.plan.bfd]
    return peer.session.waits_for_bfd


async def be_strict(router: Speaker, seconds: float | None) -> None:
    peers = {
        name: replace(peer, bfd_strict=seconds if peer.bfd else None)
        for name, peer in router.plan.peers.items()
    }
    await router.apply(replace(router.plan, peers=peers))


@on_uvloop
async def test_a_strict_session_waits_for_bfd_and_others_do_not() -> None:
    async with Town() as town:
        router, _ = await router_in(town)
        await be_strict(router, 0.0)
        assert is_waiting(router)
        assert "Waits for BFD" in {peer["info"] for peer in Status(router, 0).status()["peers"]}
        await town.join(12)
        router.watches.heed(UP)
        assert not is_waiting(router)
        gone = await town.join(11)
        router.watches.heed(FAILED)
        await gone.until_closed()
        assert gone.notification is not None
        assert gone.notification[:2] == (Code.CEASE, Cease.BFD_DOWN)


@on_uvloop
async def test_who_is_watched_no_more_is_told_to_be_down() -> None:
    async with Town() as town:
        router, _ = await router_in(town)
        notices = router.listen_to_notices(BfdChanged)
        [name] = [peer.name for peer in router.peers.values() if peer.plan.bfd]
        for verdict in (UP, UP):
            router.watches.heed(verdict)
        disable(router, {"name": home(11)})
        enable(router, {"name": home(11)})
        router.watches.heed(UP)
        peers = {name: replace(peer, bfd=False) for name, peer in router.plan.peers.items()}
        await router.apply(replace(router.plan, peers=peers))
        ended = (home(11), (name,), False, False, "Administratively Down")
        wanted = [
            BfdChanged(home(11), (name,), True, False, ""),
            BfdChanged(*ended),
            BfdChanged(home(11), (name,), True, False, ""),
            BfdChanged(home(11), (), *ended[2:]),
        ]
        assert [await anext(notices) for _ in wanted] == wanted


@on_uvloop
async def test_a_peers_status_says_what_bfd_does() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        status = Status(router, 0)

        def words() -> list[str]:
            return sorted(peer["bfd"] for peer in status.status()["peers"])

        witness.lack = ""
        assert words() == ["", "down"]
        router.watches.heed(UP)
        assert words() == ["", "up"]
        witness.lack = "it is asleep"
        assert words() == ["", "not watched: it is asleep"]


@on_uvloop
async def test_who_becomes_strict_while_bfd_is_up_has_nothing_to_wait_for() -> None:
    async with Town() as town:
        router, _ = await router_in(town)
        router.watches.heed(UP)
        await be_strict(router, 30.0)
        assert not is_waiting(router)
        # Held down it is watched no more, and what BFD said is forgotten.
        disable(router, {"name": home(11)})
        enable(router, {"name": home(11)})
        assert is_waiting(router)
        await be_strict(router, None)
        assert not is_waiting(router)


@on_uvloop
async def test_a_strict_peer_without_its_key_is_told_so() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        peers = {
            name: replace(peer, bfd_strict=0.0, bfd_lacks="there is no Secret s")
            if peer.bfd
            else peer
            for name, peer in router.plan.peers.items()
        }
        await router.apply(replace(router.plan, peers=peers))
        assert witness.watched == {}
        [peer] = [peer for peer in router.peers.values() if peer.plan.bfd]
        assert str(peer.explanation).endswith("does not watch the peer: there is no Secret s")
        view = await router.watches.view()
        assert view["withoutKey"] == [{"address": home(11), "reason": "there is no Secret s"}]


@on_uvloop
async def test_without_sessions_there_is_nothing_to_show() -> None:
    async with Town() as town:
        router, witness = await router_in(town, bfd=False)
        assert witness.watched == {}
        view = await router.watches.view()
        nothing: BfdView = {
            "sessions": [],
            "notConnected": [],
            "withoutKey": [],
            "process": None,
            "witness": "",
            "trouble": "",
        }
        assert view == nothing


@on_uvloop
async def test_who_watches_need_not_tell_all() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        witness.shown = {
            "sessions": [{"name": home(11), "state": "Up"}],
            "process": None,
            "witness": "the switch",
        }
        view = await router.watches.view()
        [session] = view["sessions"]
        assert session.keys() == BfdSessionView.__annotations__.keys()
        [peer] = [peer for peer in router.peers.values() if peer.plan.bfd]
        assert (session["state"], session["peers"], session["late"]) == ("Up", [peer.name], None)
        assert view["witness"] == "the switch"
        await be_strict(router, 0.0)
        assert "nobody watches" in str(peer.explanation)


@on_uvloop
@pytest.mark.parametrize(("capabilities", "keep"), [(b"", 0.0), (GRACEFUL, 120.0 + MARGIN)])
async def test_whoever_keeps_our_routes_is_watched_while_we_restart(
    capabilities: bytes, keep: float
) -> None:
    """RFC 5882 §4.3."""
    async with Town() as town:
        router, witness = await router_in(town)
        # What was said before a restart counts until somebody has agreed on something.
        assert witness.watched[home(11)].keep is None
        await town.join(11, more=capabilities)
        assert witness.watched[home(11)].keep == keep
        await router.stop(restart=True)
        assert witness.left is not None
        assert witness.left[home(11)].keep == keep
        # Nothing that happens on the way out is told any more.
        assert witness.watched == witness.left


@on_uvloop
async def test_a_peer_hears_for_how_long_bfd_has_been_up() -> None:
    async with Town() as town:
        router, _ = await router_in(town)
        heard: list[Event] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(peer_at(router, 11), "handle", heard.append)
            router.watches.heed(replace(UP, lasted=40.0))
        assert heard == [BfdUp(40.0)]


@on_uvloop
async def test_nobody_is_watched_after_a_stop_for_good() -> None:
    async with Town() as town:
        router, witness = await router_in(town)
        await town.join(11, more=GRACEFUL)
        await router.stop()
        assert witness.left is None
        assert witness.watched == {}


@on_uvloop
@pytest.mark.parametrize("independent", [True, False])
async def test_bfd_of_a_peer_that_is_waited_for_counts_if_it_does_not_restart_with_it(
    independent: bool,
) -> None:
    """RFC 5882 §4.3."""
    async with Town() as town:
        router, _ = await router_in(town)
        peer = await town.join(11, more=GRACEFUL)
        peer.announce("10.9.0.0/24")
        peer.send(end_of_rib())
        await until(lambda: set(best(router)) == {"10.9.0.0/24"})
        peer.reset()
        await until(lambda: bool(peer_at(router, 11).restarts.helper.waits))
        router.watches.heed(replace(FAILED, independent=independent))
        await until(lambda: router.is_idle)
        assert set(best(router)) == (set() if independent else {"10.9.0.0/24"})
