"""Connections that come in go to the peer whose address they come from, or nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from speaker.config.plan import Plan
from tests.support.routers import (
    AS,
    Town,
    home,
    is_up,
    on_both_loops,
    until,
)
from tests.support.scripted_peer import (
    Doorkeeper,
    ScriptedPeer,
)


def with_twin(plan: Plan, **fields: Any) -> Plan:
    """Give a plan with a second peer at the address of the first; both are dialled by default."""
    [(name, peer)] = plan.peers.items()
    fields.setdefault("passive", False)
    peer = replace(peer, passive=fields["passive"])
    return replace(plan, peers={name: peer, "twin": replace(peer, name="twin", **fields)})


@on_both_loops
async def test_a_stranger_is_closed_without_a_word() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        stranger = await town.call(77)
        await stranger.until_closed()
        assert stranger.messages == []
        assert town.said.of("stranger")[0]["address"] == home(77)
        await town.join(11)
        assert is_up(router)


@on_both_loops
async def test_peers_that_share_an_address_are_told_apart_by_their_ports() -> None:
    async with Town() as town:
        other_port = town.port + 1
        async with (
            Doorkeeper(home(11), town.port, 65011) as first,
            Doorkeeper(home(11), other_port, 65012) as second,
        ):
            plan = with_twin(town.plan_for_strangers(), port=other_port, peer_asn=65012)
            router = await town.run(plan)
            for door in (first, second):
                await until(lambda door=door: door.peers)  # type: ignore[misc]
                await door.peers[0].establish()
            await until(lambda: is_up(router))
            first.peers[0].announce("10.1.0.0/16")
            peer: ScriptedPeer = second.peers[0]
            await peer.until(lambda: peer.table)
            assert peer.table["10.1.0.0/16"].as_path == (AS, 65011)


@on_both_loops
async def test_of_peers_that_share_an_address_each_may_connect() -> None:
    async with Town() as town:
        plan = with_twin(town.plan_for_strangers(), port=town.port + 1, passive=True)
        router = await town.run(plan)
        one, two = await town.join(11), await town.join(11, router_id="1.1.1.1")
        await until(lambda: is_up(router))
        one.announce("10.1.0.0/16")
        await two.until(lambda: two.table)


# Starting and stopping.
