"""BFD by an embedder: the example of the manual, and what he is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import speaker
from examples.own_bfd import Hardware
from fsm.notifications import Cease, Code
from tests.support.routers import Town, home, on_uvloop


@on_uvloop
async def test_hardware_of_ones_own_watches_and_ends_sessions() -> None:
    async with Town() as town:
        made: list[Hardware] = []

        def make(tell: Callable[[speaker.BfdVerdict], None]) -> Hardware:
            made.append(Hardware(tell))
            return made[0]

        plan = town.plan_for_strangers(1)
        peers = {name: replace(peer, bfd=True) for name, peer in plan.peers.items()}
        router = speaker.Speaker(replace(plan, peers=peers), bfd=make)
        [name] = peers
        await town.start(router)
        notices = router.listen_to_notices()
        [chip] = made
        assert chip.names == {home(11)}
        peer = await town.join(11)
        chip.sees(home(11), is_up=True)
        view = await router.watches.view()
        assert [session["state"] for session in view["sessions"]] == ["Up"]
        chip.sees(home(11), is_up=False, on_purpose=True)
        assert peer.is_open
        chip.sees(home(11), is_up=True)
        chip.sees(home(11), is_up=False)
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[:2] == (Code.CEASE, Cease.BFD_DOWN)
        found = [await anext(notices) for _ in range(6)]
        told = [each for each in found if isinstance(each, speaker.BfdChanged)]
        assert [(each.is_up, each.failed) for each in told] == [
            *((True, False), (False, False), (True, False)),
            (False, True),
        ]
        assert told[-1] == speaker.BfdChanged(
            home(11), (name,), False, True, "Control Detection Time Expired"
        )
        assert [type(each) for each in found if each not in told] == [
            speaker.SessionEstablished,
            speaker.SessionDown,
        ]
        await router.apply(plan)
        assert chip.names == set()
