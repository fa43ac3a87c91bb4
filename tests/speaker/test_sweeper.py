"""What no table uses any more is let go, in time and in no other case."""

from __future__ import annotations

from fsm.family import IPV4_UNICAST
from speaker.sweeper import Sweeper
from tests.support.routers import Town, on_uvloop, peer_at, table_of
from tests.support.scripted_peer import ScriptedPeer


class Attic:
    """A holder of which some part is in use."""

    def __init__(self, kept: int, used: int) -> None:
        self.kept = kept
        self.used = used
        self.sweeps = 0

    @property
    def interned(self) -> int:
        return self.kept

    def sweep(self) -> None:
        self.sweeps += 1
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
        router = await town.run_for_strangers(2)
        peer, other = await town.join(11), await town.join(12)
        prefixes = table_of(200)
        most = 0
        for n in range(20_000):
            hop = f"127.{1 + n // 60000}.{n >> 8 & 255}.{n & 255}"
            peer.announce(prefixes[n % 200], path=(n + 1, 9), med=n, next_hop=hop)
            if n % 2000 == 1999:
                newest = (prefixes[n % 200], n + 1)
                await other.until(lambda newest=newest: first_as(other, newest[0]) == newest[1])  # type: ignore[misc]
                most = max(most, *(holder.interned for holder in router._holders()))
        assert most < 30_000
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        exchange.sweep()
        router.ground.sweep()
        assert exchange.interned == 400
        assert len(router.next_hops) == 200
        assert router.loc_ribs[IPV4_UNICAST].interned == 200
        assert {prefix: heard.as_path[1] for prefix, heard in other.table.items()} == {
            prefix: 19_801 + n for n, prefix in enumerate(prefixes)
        }


@on_uvloop
async def test_sweeping_changes_nothing_that_anybody_hears() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer, other = await town.join(11), await town.join(12)
        peer.announce(*table_of(100), med=1)
        await other.until(lambda: len(other.table) == 100)
        before = other.announced + other.withdrawn
        for holder in list(router._holders()):
            holder.sweep()
        peer.announce(*table_of(100), med=1)
        peer.announce("192.0.2.0/24", med=1)
        await other.until(lambda: "192.0.2.0/24" in other.table)
        assert other.announced + other.withdrawn == before + 1
