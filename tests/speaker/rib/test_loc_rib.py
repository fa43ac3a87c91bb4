"""The Loc-RIB decides incrementally what `policy.decision.select` says over all tables."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.decision import DecisionOptions, multipath, rank, select
from policy.filters import Action, Direction, Filter, Rule, Scope
from policy.matching import MatchOperator
from policy.operations import PrependAsPath, SetPriority
from policy.path import NextHop, Path, PeerType, Source
from policy.prefix import Nlri
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import Delta, LocRib
from tests.support.builders import few_prefixes, peers, replay
from tests.support.routes import attributes

PREFIXES = few_prefixes(4)
PEERS = 4
HOPS = 3
PREPENDING = Filter([Rule(Action.ACCEPT, operations=(PrependAsPath((65001,)),))])
FILTERS: list[Filter | None] = [
    None,
    Filter([Rule(Action.REJECT, PREFIXES[0], MatchOperator.EQUAL)]),
    PREPENDING,
    Filter([Rule(Action.ACCEPT, PREFIXES[1], MatchOperator.EQUAL, operations=(SetPriority(9),))]),
    Filter([Rule(Action.REJECT)]),
]


@dataclass(frozen=True)
class Offer:
    """The attributes with which a peer announces."""

    path: tuple[int, ...]
    local_pref: int | None
    med: int | None
    origin: int
    hop: int


class World:
    """Peers, their tables and one Loc-RIB, with the naive definition beside it."""

    def __init__(self, *, max_paths: int, keep_unreachable: bool, always_compare: bool) -> None:
        self.options = DecisionOptions(always_compare_med=always_compare)
        self.rib = LocRib(IPV4_UNICAST, max_paths=max_paths, keep_unreachable=keep_unreachable)
        self.hops = [NextHop(bytes((10, 0, 0, n))) for n in range(HOPS)]
        self.sources: list[Source] = peers(PEERS, internal=2)
        self.policies: list[ImportPolicy | None] = [None] * PEERS
        self.tables = [AdjRibIn(source, IPV4_UNICAST, self.rib) for source in self.sources]
        self.known: dict[tuple[int, Offer], Path] = {}
        self.best: dict[Nlri, Path] = {}
        self.shared: dict[Nlri, tuple[Path, ...]] = {}

    def path(self, peer: int, offer: Offer) -> Path:
        """Intern a path, as `speaker.rib.attribute_table` does."""
        found = self.known.get((peer, offer))
        if found is None:
            made = attributes(
                offer.path, origin=offer.origin, med=offer.med, local_pref=offer.local_pref
            )
            found = Path(made, self.sources[peer], self.hops[offer.hop])
            found.rank = rank(found, self.options)
            self.rib.note(found)
            self.known[peer, offer] = found
        return found

    def announce(self, peer: int, offer: Offer, nlris: list[Nlri]) -> None:
        self.tables[peer].announce(self.path(peer, offer), nlris)

    def withdraw(self, peer: int, nlris: list[Nlri]) -> None:
        self.tables[peer].withdraw(nlris)

    def clear(self, peer: int, limit: int | None) -> None:
        left = self.tables[peer].clear(limit)
        assert left == bool(self.tables[peer].paths)

    def reset(self, peer: int) -> None:
        """The session goes down and comes up again."""
        while self.tables[peer].clear(2):
            self.check()
        self.tables[peer].close()
        self.tables[peer] = AdjRibIn(
            self.sources[peer], IPV4_UNICAST, self.rib, self.policies[peer]
        )
        self.known = {key: path for key, path in self.known.items() if key[0] != peer}

    def refilter(self, peer: int, chosen: int) -> None:
        scope = Scope(PeerType.EXTERNAL, Direction.IMPORT)
        policy = ImportPolicy(FILTERS[chosen], None, scope, self.options) if chosen else None
        self.policies[peer] = policy
        self.tables[peer].refilter(policy)

    def move(self, hop: int, *, reachable: bool, cost: int) -> None:
        """The kernel's routes change beneath a next hop."""
        moved = self.hops[hop]
        moved.reachable, moved.cost = reachable, cost
        paths = set(self.known.values())
        for policy in self.policies:
            if policy is not None:
                paths.update(policy.paths())
        behind = {path for path in paths if path.next_hop is moved}
        for path in behind:
            path.rank = rank(path, self.options)
        for _ in self.rib.rerank(behind, limit=2):
            pass

    def take(self, limit: int | None) -> None:
        delta = self.rib.take(limit)
        told = [nlri for nlris in delta.changed.values() for nlri in nlris]
        assert all(delta.changed.values())
        assert len(told) == len(set(told))
        replay(delta, self.best, self.shared)
        if not self.rib.pending:
            assert self.best == self.rib.best
            assert self.shared == self.rib.shared

    def check(self) -> None:
        """Compare with the naive definition."""
        best: dict[Nlri, Path] = {}
        shared: dict[Nlri, tuple[Path, ...]] = {}
        for nlri in PREFIXES:
            candidates = [path for t in self.tables if (path := t.paths.get(nlri)) is not None]
            chosen = select(candidates, self.rib.keep_unreachable)
            if chosen is not None:
                best[nlri] = chosen
                equal = multipath(chosen, candidates, self.rib.max_paths)
                if len(equal) > 1:
                    shared[nlri] = equal
        assert self.rib.best == best
        assert self.rib.shared == shared


def act(world: World, action: tuple[object, ...]) -> None:
    """Do one drawn action."""
    match action:
        case ("announce", int(peer), Offer() as offer, list(nlris)):
            world.announce(peer, offer, nlris)
        case ("withdraw", int(peer), list(nlris)):
            world.withdraw(peer, nlris)
        case ("clear", int(peer), limit) if limit is None or isinstance(limit, int):
            world.clear(peer, limit)
        case ("reset", int(peer)):
            world.reset(peer)
        case ("refilter", int(peer), int(chosen)):
            world.refilter(peer, chosen)
        case ("move", int(hop), bool(reachable), int(cost)):
            world.move(hop, reachable=reachable, cost=cost)
        case ("take", limit) if limit is None or isinstance(limit, int):
            world.take(limit)
        case _:
            pytest.fail(f"no such action: {action}")


def offers(meds: list[int | None]) -> st.SearchStrategy[Offer]:
    return st.builds(
        Offer,
        path=st.sampled_from([(), (65001,), (65002,), (65001, 7), (65002, 7)]),
        local_pref=st.sampled_from([None, None, 200]),
        med=st.sampled_from(meds),
        origin=st.sampled_from([0, 0, 2]),
        hop=st.integers(0, HOPS - 1),
    )


def actions(meds: list[int | None]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    peer = st.integers(0, PEERS - 1)
    some = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4, unique=True)
    limit = st.none() | st.integers(1, 3)
    announce = st.tuples(st.just("announce"), peer, offers(meds), some)
    return st.lists(
        st.one_of(
            announce,
            announce,
            announce,
            st.tuples(st.just("withdraw"), peer, some),
            st.tuples(st.just("clear"), peer, limit),
            st.tuples(st.just("reset"), peer),
            st.tuples(st.just("refilter"), peer, st.integers(0, len(FILTERS) - 1)),
            st.tuples(st.just("move"), st.integers(0, HOPS - 1), st.booleans(), st.integers(0, 2)),
            st.tuples(st.just("take"), limit),
        ),
        min_size=10,
        max_size=40,
    )


def run(world: World, script: list[tuple[object, ...]]) -> None:
    """Act, comparing after every action; at the end everything has been told."""
    for action in script:
        act(world, action)
        world.check()
    while world.rib.pending:
        world.take(2)
    assert world.best == world.rib.best
    assert world.shared == world.rib.shared


@pytest.mark.parametrize("keep_unreachable", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("max_paths", [1, 4])
@given(script=actions([None]))
def test_incremental_is_naive_without_med(
    max_paths: int, keep_unreachable: bool, script: list[tuple[object, ...]]
) -> None:
    world = World(max_paths=max_paths, keep_unreachable=keep_unreachable, always_compare=False)
    run(world, script)


@pytest.mark.parametrize("keep_unreachable", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("max_paths", [1, 4])
@given(script=actions([None, 0, 5, 9]), always_compare=st.booleans())
def test_incremental_is_naive_with_med(
    max_paths: int, keep_unreachable: bool, script: list[tuple[object, ...]], always_compare: bool
) -> None:
    world = World(
        max_paths=max_paths, keep_unreachable=keep_unreachable, always_compare=always_compare
    )
    run(world, script)


def small(max_paths: int = 1) -> World:
    return World(max_paths=max_paths, keep_unreachable=False, always_compare=False)


GOOD = Offer((65001,), None, None, 0, 0)
BETTER = Offer((65001,), 200, None, 0, 0)
EQUAL = Offer((65001,), None, None, 0, 1)


def test_med_of_routes_that_start_inside_the_as_is_compared() -> None:
    """RFC 4271 §9.1.2.2 c: an empty AS_PATH is of the local AS."""
    world = small()
    world.announce(0, Offer((), None, 9, 0, 0), PREFIXES)
    world.announce(1, Offer((), None, 5, 0, 0), PREFIXES)
    assert {path.source for path in world.rib.best.values()} == {world.sources[1]}


@pytest.mark.parametrize("late", [False, True], ids=["before it came", "after it came"])
def test_med_is_compared_within_the_as_that_a_filter_has_prepended(late: bool) -> None:
    world = small()
    if not late:
        world.refilter(3, FILTERS.index(PREPENDING))
    world.announce(3, Offer((65002,), None, 5, 0, 0), PREFIXES)
    if late:
        world.refilter(3, FILTERS.index(PREPENDING))
    world.announce(2, Offer((65001, 7), None, 9, 0, 0), PREFIXES)
    world.check()
    assert {path.source for path in world.rib.best.values()} == {world.sources[3]}


def test_a_burst_of_changes_to_a_prefix_is_one_change() -> None:
    world = small()
    world.announce(0, GOOD, PREFIXES)
    world.announce(1, BETTER, PREFIXES)
    world.withdraw(1, PREFIXES)
    assert world.rib.take().changed == {world.path(0, GOOD): PREFIXES}
    assert not world.rib.pending


def test_what_came_and_went_between_two_takes_is_a_withdrawal_at_most() -> None:
    world = small()
    world.announce(0, GOOD, PREFIXES)
    world.withdraw(0, PREFIXES)
    assert set(world.rib.take().changed) <= {None}


def test_withdrawing_what_nobody_has_leaves_nothing_to_tell() -> None:
    world = small()
    world.withdraw(0, PREFIXES)
    assert not world.rib.pending
    assert not world.rib.take()


def test_a_limit_bounds_what_is_handed_out() -> None:
    world = small()
    many = few_prefixes(1000)
    world.announce(0, GOOD, many)
    sizes = []
    while world.rib.pending:
        sizes.append(world.rib.take(100).size)
    assert sum(sizes) == 1000
    assert max(sizes) <= 200


def test_a_route_that_leads_elsewhere_is_told_again() -> None:
    world = small()
    world.announce(0, GOOD, PREFIXES)
    world.take(None)
    world.move(0, reachable=True, cost=7)
    assert world.rib.take().changed == {world.path(0, GOOD): PREFIXES}


def test_equal_paths_share_and_cease_to() -> None:
    world = small(max_paths=4)
    world.announce(2, GOOD, PREFIXES[:1])
    world.announce(3, EQUAL, PREFIXES[:1])
    both = (world.path(2, GOOD), world.path(3, EQUAL))
    assert world.rib.take().shared == {PREFIXES[0]: both}
    world.withdraw(3, PREFIXES[:1])
    delta = world.rib.take()
    assert (delta.changed, delta.shared) == ({}, {PREFIXES[0]: ()})
    assert delta.size == 1


def test_an_empty_delta_is_false() -> None:
    assert not Delta(IPV4_UNICAST, {})
    assert Delta(IPV4_UNICAST, {None: PREFIXES})
