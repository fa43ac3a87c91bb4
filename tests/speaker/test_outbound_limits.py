"""How many prefixes a peer is told, seen by the peer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.family import IPV4_UNICAST
from speaker.config.limits import LimitAction, PrefixLimit
from speaker.config.plan import Plan
from speaker.status import Status
from tests.support.routers import (
    Town,
    best,
    fill,
    home,
    is_up,
    narrow,
    on_both_loops,
    on_uvloop,
    peer_at,
    table_of,
    until,
)
from tests.support.scripted_peer import IPV4, ScriptedPeer, route_refresh


def limited(plan: Plan, limit: PrefixLimit | None) -> Plan:
    """Give a plan with another limit on what the peer at `home` 11 is told."""
    limits = () if limit is None else ((IPV4_UNICAST, limit),)
    peers = {
        name: replace(peer, max_prefixes_out=limits) if peer.address == home(11) else peer
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


def dropping(maximum: int, share: int = 0) -> PrefixLimit:
    return PrefixLimit(maximum, share, LimitAction.DROP)


class Counting(ScriptedPeer):
    """A peer that remembers how many routes it held at the most."""

    most = 0

    def _take_update(self, body: bytes) -> None:
        super()._take_update(body)
        self.most = max(self.most, len(self.table))


async def once_more(town: Town) -> ScriptedPeer:
    shell = peer_at(town.routers[0], 11)
    await until(lambda: shell.session.would_accept())
    return await town.join(11)


@on_both_loops
async def test_what_exceeds_the_number_is_told_when_there_is_room() -> None:
    async with Town() as town:
        router = await town.run(limited(town.plan_for_strangers(3), dropping(2)))
        one, teller, other = [await town.join(n) for n in (11, 12, 13)]
        for prefix in table_of(4):
            teller.announce(prefix)
            await other.until(lambda prefix=prefix: prefix in other.table)  # type: ignore[misc]
        await one.until_ended()
        assert set(one.table) == set(table_of(2))
        [condition] = Status(router, 1).status()["conditions"]
        assert (condition["severity"], condition["reason"]) == ("error", "PrefixesNotTold")
        assert len(town.said.of("condition")) == 1
        teller.withdraw(table_of(1)[0])
        await one.until(lambda: set(one.table) == set(table_of(3)[1:]))
        one.send(route_refresh(IPV4))
        await one.until(lambda: one.announced == 5)
        assert set(one.table) == set(table_of(3)[1:])
        teller.withdraw(*table_of(3)[1:])
        await one.until(lambda: set(one.table) == {table_of(4)[3]})
        assert Status(router, 1).status()["conditions"] == []
        assert is_up(router)


@on_both_loops
async def test_a_peer_that_reads_slowly_is_never_told_too_much() -> None:
    async with Town() as town:
        router = await town.run(limited(town.plan_for_strangers(2), dropping(5000)))
        slow = await Counting.up(home(1), town.port, source=home(11), asn=65011)
        teller = await town.join(12)
        slow.stop_reading()
        narrow(router, 11)
        fill(teller, 9000)
        await until(lambda: len(best(router)) == 9000)
        teller.withdraw(*table_of(3000))
        await until(lambda: len(best(router)) == 6000)
        slow.read_on()
        await slow.until(lambda: len(slow.table) == 5000 and slow.withdrawn <= 3000)
        await until(lambda: not peer_at(router, 11).exchange.has_work)  # type: ignore[union-attr]
        assert slow.most == 5000
        assert set(slow.table) <= set(best(router))
        slow.close()
        await slow.until_closed()


@on_both_loops
@pytest.mark.parametrize(("action", "subcode"), [("down", 2), ("restart 1", 4)])
async def test_a_session_ends_before_a_prefix_too_many_is_told(action: str, subcode: int) -> None:
    """RFC 9003 §2: the peer's operator is told why."""
    async with Town() as town:
        keys = {"maxPrefixesOut": f"ipv4 3 {action}"}
        plan = town.plan(
            "r1",
            town.settings(),
            town.node("r1", 1),
            town.peer("p11", 11, 65011, node="r1", keys={"passive": "on", **keys}),
            town.peer("p12", 12, 65012, node="r1", keys={"passive": "on"}),
        )
        router = await town.run(plan)
        one, teller = await town.join(11), await town.join(12)
        one.announce("10.9.0.0/16")
        teller.announce(*table_of(3))
        await one.until(lambda: len(one.table) == 3)
        teller.announce(table_of(4)[3])
        await one.until_closed()
        text = b"there are more than 3 ipv4 unicast prefixes to tell"
        assert one.notification == (6, subcode, bytes((len(text),)) + text)
        assert len(one.table) == 3
        await teller.until(lambda: teller.withdrawn == 1)
        shell = peer_at(router, 11)
        assert text.decode() in str(shell.explanation)
        assert is_up(router, peer_at(router, 12).name)
        teller.withdraw(table_of(4)[3])
        if action == "down":
            assert "stays down" in str(shell.explanation)
            await router.apply(limited(router.plan, PrefixLimit(10)))
        again = await once_more(town)
        await again.until(lambda: len(again.table) == 3)


@on_uvloop
async def test_a_table_that_is_too_large_from_the_start_is_not_told_at_all() -> None:
    async with Town() as town:
        await town.run(limited(town.plan_for_strangers(2), PrefixLimit(3)))
        teller = await town.join(12)
        teller.announce(*table_of(4))
        await until(lambda: len(best(town.routers[0])) == 4)
        one = await town.call(11)
        await one.establish()
        await one.until_closed()
        assert (one.announced, one.notification and one.notification[:2]) == (0, (6, 2))


@on_both_loops
async def test_a_limit_may_change_while_the_session_stays() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(3)
        one, teller, other = [await town.join(n) for n in (11, 12, 13)]
        teller.announce(*table_of(10))
        await one.until(lambda: len(one.table) == 10)
        await other.until(lambda: len(other.table) == 10)
        heard = other.announced
        await router.apply(limited(router.plan, dropping(4)))
        await one.until(lambda: len(one.table) == 4)
        await router.apply(limited(router.plan, dropping(7)))
        await one.until(lambda: len(one.table) == 7)
        await router.apply(limited(router.plan, None))
        await one.until(lambda: len(one.table) == 10)
        assert (other.announced, other.withdrawn) == (heard, 0)
        assert len(router.exports) == 1
        await router.apply(limited(router.plan, PrefixLimit(9)))
        await one.until_closed()
        assert one.notification is not None
        assert one.notification[:2] == (6, 2)


@on_uvloop
async def test_a_share_of_the_number_is_warned_of_once() -> None:
    async with Town() as town:
        router = await town.run(limited(town.plan_for_strangers(2), PrefixLimit(10, 70)))
        one, teller = await town.join(11), await town.join(12)
        for count in (6, 7, 9, 10):
            teller.announce(*table_of(count))
            await one.until(lambda count=count: len(one.table) == count)  # type: ignore[misc]
            assert len(Status(router, 1).status()["conditions"]) == (count > 6)
        [said] = town.said.of("condition")
        assert said["reason"] == "OutboundLimitNear"
        assert "70%" in said["sentence"]
        assert is_up(router)
