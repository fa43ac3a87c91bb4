"""What no table uses any more is let go, in time and in no other case."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.family import IPV4_UNICAST
from speaker.sweeper import MANY, Sweeper
from tests.support.routers import Town, on_uvloop, peer_at, table_of
from tests.support.scripted_peer import ScriptedPeer


class Attic:
    """A holder of which some part is in use."""

    def __init__(self, kept: int, used: int) -> None:
        self.kept = kept
        self.used = used
        self.sweeps = 0
        self.steps = 0

    @property
    def interned(self) -> int:
        return self.kept

    def sweep(self) -> Iterator[None]:
        self.sweeps += 1
        for _ in range(self.steps):
            yield
        self.kept = self.used


def test_a_holder_is_swept_when_it_has_doubled() -> None:
    sweeper = Sweeper(few=10)
    attic = Attic(kept=111, used=100)
    assert sweeper.step([attic])
    attic.kept = 210
    assert not sweeper.step([attic])
    attic.kept = 211
    assert sweeper.step([attic])
    assert attic.sweeps == 2


def test_one_holder_is_swept_at_a_time() -> None:
    sweeper = Sweeper(few=0)
    attics = [Attic(kept=5, used=1), Attic(kept=5, used=1)]
    assert sweeper.step(attics)
    assert [attic.sweeps for attic in attics] == [1, 0]
    assert sweeper.step(attics)
    assert not sweeper.step(attics)


def test_a_sweep_of_several_steps_is_finished_before_another_begins() -> None:
    sweeper = Sweeper(few=0)
    first, second = Attic(kept=5, used=1), Attic(kept=5, used=1)
    first.steps = 2
    for _ in range(2):
        assert sweeper.step([first, second])
        assert sweeper.is_under_way
        assert (first.kept, second.sweeps) == (5, 0)
    assert sweeper.step([first, second])
    assert not sweeper.is_under_way
    assert (first.kept, first.sweeps, second.sweeps) == (1, 1, 0)
    assert sweeper.step([first, second])
    assert not sweeper.step([first, second])


def test_few_objects_are_left_alone() -> None:
    assert not Sweeper(few=100).step([Attic(kept=100, used=0)])


def first_as(peer: ScriptedPeer, prefix: str) -> int | None:
    """Give the AS behind ours on the path to a prefix."""
    heard = peer.table.get(prefix)
    return heard.as_path[1] if heard else None


@on_uvloop
async def test_a_peer_that_changes_its_attributes_for_ever_does_not_fill_memory() -> None:
    """20,000 attribute sets, each with a MED, a next hop and a first AS of its own."""
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"enforceFirstAS": "off"})
        peer, other = await town.join(11), await town.join(12)
        prefixes = table_of(200)
        most = 0
        for n in range(20_000):
            hop = f"127.{1 + n // 60000}.{n >> 8 & 255}.{n & 255}"
            peer.announce(prefixes[n % 200], path=(n + 1, 9), med=n, next_hop=hop)
            if n % 2000 == 1999:
                newest = (prefixes[n % 200], n + 1)
                await other.until(lambda newest=newest: first_as(other, newest[0]) == newest[1])  # type: ignore[misc]
                most = max(most, *(holder.interned for holder in router._rounds._holders()))
        assert most < 30_000
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        exchange.sweep()
        list(router.ground.sweep())
        router.ground.noted.sweep()
        assert exchange.interned == 200
        assert len(router.next_hops) == 200
        assert router.loc_ribs[IPV4_UNICAST].interned == 200
        assert {prefix: heard.as_path[1] for prefix, heard in other.table.items()} == {
            prefix: 19_801 + n for n, prefix in enumerate(prefixes)
        }


@on_uvloop
async def test_sweeping_changes_nothing_that_anybody_hears() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"enforceFirstAS": "off"})
        peer, other = await town.join(11), await town.join(12)
        peer.announce(*table_of(100), med=1)
        await other.until(lambda: len(other.table) == 100)
        before = other.announced + other.withdrawn
        for holder in list(router._rounds._holders()):
            list(holder.sweep())
        peer.announce(*table_of(100), med=1)
        peer.announce("192.0.2.0/24", med=1)
        await other.until(lambda: "192.0.2.0/24" in other.table)
        assert other.announced + other.withdrawn == before + 1


@on_uvloop
async def test_large_attribute_sets_are_swept_before_they_are_many() -> None:
    """Each has 900 communities; 2,000 of them would take more than seven megabytes."""
    async with Town() as town:
        router = await town.run_for_strangers(2, keys={"enforceFirstAS": "off"})
        peer, other = await town.join(11), await town.join(12)
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        most = 0
        for n in range(2000):
            peer.announce("10.1.0.0/16", path=(n + 1, 9), communities=[(n, m) for m in range(900)])
            if n % 100 == 99:
                await other.until(lambda n=n: first_as(other, "10.1.0.0/16") == n + 1)  # type: ignore[misc]
                most = max(most, len(exchange.inbound.table))
        assert most < 1000


def test_everybody_is_swept_once_after_tables_have_shrunk() -> None:
    sweeper = Sweeper(few=10)
    attic = Attic(kept=100, used=100)
    assert sweeper.step([attic])
    attic.used = 20
    sweeper.weigh(10 * MANY, at_rest=True)
    sweeper.weigh(8 * MANY, at_rest=True)
    assert not sweeper.step([attic])
    assert not sweeper.may_release()
    sweeper.weigh(7 * MANY, at_rest=False)
    assert not sweeper.step([attic])
    sweeper.weigh(7 * MANY, at_rest=True)
    assert sweeper.step([attic])
    assert not sweeper.step([attic])
    assert sweeper.may_release()
    assert not sweeper.may_release()


def test_small_tables_may_come_and_go() -> None:
    sweeper = Sweeper()
    sweeper.weigh(MANY - 1, at_rest=True)
    sweeper.weigh(0, at_rest=True)
    assert not sweeper.may_release()
    sweeper.weigh(2 * MANY, at_rest=True)
    sweeper.weigh(0, at_rest=True)
    assert sweeper.may_release()
    sweeper.weigh(MANY, at_rest=True)
    assert not sweeper.may_release()
    sweeper.weigh(0, at_rest=True)
    assert sweeper.may_release()
