"""The Loc-RIB decides incrementally what `policy.decision.select` says over all tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.decision import multipath, select
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import PrependAsPath, SetPriority
from policy.path import NextHop, Path, PeerType, Source
from policy.prefix import ID_LENGTH, Nlri
from policy.ranking import DecisionOptions, rank
from policy.rules import Action, Direction, Rule, Scope
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import Delta, LocRib
from tests.support.builders import few_prefixes, peers, replay, with_id
from tests.support.routes import attributes

PREFIXES = few_prefixes(4)
PEERS = 4
SEVERAL = (1, 2)
"""Peers, one internal and one external, that tell several paths to a prefix where anybody does."""
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
    community: int = 0


class World:
    """Peers, their tables and one Loc-RIB, with the naive definition beside it."""

    def __init__(
        self,
        *,
        max_paths: int,
        keep_unreachable: bool,
        always_compare: bool,
        several: tuple[int, ...] = (),
    ) -> None:
        self.options = DecisionOptions(always_compare_med=always_compare)
        self.rib = LocRib(IPV4_UNICAST, max_paths=max_paths, keep_unreachable=keep_unreachable)
        self.hops = [NextHop(bytes((10, 0, 0, n))) for n in range(HOPS)]
        self.rib.follows_all = bool(several)
        self.sources: list[Source] = peers(PEERS, internal=2, several=several)
        self.policies: list[ImportPolicy | None] = [None] * PEERS
        self.tables = [self.table(peer) for peer in range(PEERS)]
        self.received: list[dict[bytes, Path]] = [{} for _ in range(PEERS)]
        # Peers that have gone, and whose tables are not empty yet.
        self.dying: set[int] = set()
        self.views: dict[Nlri, list[tuple[bytes, Path]]] = {}
        self.known: dict[tuple[int, Offer], Path] = {}
        self.best: dict[Nlri, Path] = {}
        self.shared: dict[Nlri, tuple[Path, ...]] = {}

    def table(self, peer: int) -> AdjRibIn:
        source = self.sources[peer]
        kind = AdjRibInPaths if source.tells_several else AdjRibIn
        return kind(source, IPV4_UNICAST, self.rib, self.policies[peer])

    def keys(self, peer: int, number: int, nlris: list[Nlri]) -> list[bytes]:
        return with_id(number, nlris) if self.sources[peer].tells_several else nlris

    def path(self, peer: int, offer: Offer) -> Path:
        """Intern a path, as `speaker.rib.attribute_table` does."""
        found = self.known.get((peer, offer))
        if found is None:
            made = attributes(
                offer.path,
                origin=offer.origin,
                med=offer.med,
                local_pref=offer.local_pref,
                communities=(offer.community,),
            )
            found = Path(made, self.sources[peer], self.hops[offer.hop])
            found.rank = rank(found, self.options)
            self.rib.note(found)
            self.known[peer, offer] = found
        return found

    def announce(self, peer: int, offer: Offer, nlris: list[Nlri], number: int = 1) -> None:
        path, keys = self.path(peer, offer), self.keys(peer, number, nlris)
        self.tables[peer].announce(path, keys)
        self.received[peer].update(dict.fromkeys(keys, path))

    def withdraw(self, peer: int, nlris: list[Nlri], number: int = 1) -> None:
        keys = self.keys(peer, number, nlris)
        self.tables[peer].withdraw(keys)
        for key in keys:
            self.received[peer].pop(key, None)

    def clear(self, peer: int, limit: int | None) -> None:
        table, before = self.tables[peer], self.received[peer]
        if table.clear(limit):
            self.dying.add(peer)
        else:
            assert not table.paths
            self.dying.discard(peer)
        # Nobody says in which order.
        self.received[peer] = {key: before[key] for key in table.received}

    def reset(self, peer: int) -> None:
        """The session goes down and comes up again."""
        while self.tables[peer].clear(2):
            self.received[peer] = {
                key: self.received[peer][key] for key in self.tables[peer].received
            }
            self.check()
        self.received[peer] = {}
        self.dying.discard(peer)
        self.tables[peer].close()
        self.tables[peer] = self.table(peer)
        self.known = {key: path for key, path in self.known.items() if key[0] != peer}

    def refilter(self, peer: int, chosen: int) -> None:
        if peer in self.dying:
            # Nobody asks a policy about what is to go.
            return
        scope = Scope(PeerType.EXTERNAL, Direction.IMPORT)
        policy = ImportPolicy(FILTERS[chosen], None, scope) if chosen else None
        self.policies[peer] = policy
        self.tables[peer].refilter(policy)
        while self.tables[peer].rejudge(2):
            pass

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
        assert delta.touched.keys().isdisjoint(told)
        for nlri in (*told, *delta.touched):
            self.views[nlri] = self.view(nlri)
        if self.rib.follows_all and not self.rib.pending:
            assert all(self.views.get(nlri, []) == self.view(nlri) for nlri in PREFIXES)
        if not self.rib.pending:
            assert self.best == self.rib.best
            assert self.shared == self.rib.shared

    def view(self, nlri: Nlri) -> list[tuple[bytes, Path]]:
        """See what somebody sees who follows all paths."""
        seen = self.rib.candidates(nlri)
        return sorted(((path.rank, path) for path in seen), key=lambda pair: pair[0])

    def candidates(self, nlri: Nlri) -> list[Path]:
        """Judge all that was received, one by one; the latest first."""
        found: dict[Path, None] = {}
        for peer, table in enumerate(self.tables):
            policy = self.policies[peer]
            if not self.sources[peer].tells_several:
                used = table.paths.get(nlri)
                found |= {} if used is None else {used: None}
                continue
            for key, path in reversed(self.received[peer].items()):
                if key[ID_LENGTH:] == nlri:
                    used = path if policy is None else policy.apply(path, [nlri])[0][0]
                    found |= {} if used is None else {used: None}
        return list(found)

    def check(self) -> None:
        """Compare with the naive definition."""
        best: dict[Nlri, Path] = {}
        shared: dict[Nlri, tuple[Path, ...]] = {}
        for nlri in PREFIXES:
            candidates = self.candidates(nlri)
            assert set(self.rib.candidates(nlri)) == set(candidates)
            assert len(self.rib.candidates(nlri)) == len(candidates)
            chosen = select(candidates, self.rib.keep_unreachable)
            if chosen is not None:
                best[nlri] = chosen
                equal = multipath(chosen, candidates, self.rib.max_paths)
                if len(equal) > 1:
                    shared[nlri] = equal
        assert told(self.rib.best) == told(best)
        assert {n: list(map(said, paths)) for n, paths in self.rib.shared.items()} == {
            n: list(map(said, paths)) for n, paths in shared.items()
        }


def said(path: Path) -> tuple[Source, bytes, bytes]:
    """Say what a path is: a filter may make two of one peer's alike, and either will do."""
    return path.source, path.rank, path.attributes.raw


def told(best: Mapping[Nlri, Path]) -> dict[Nlri, tuple[Source, bytes, bytes]]:
    return {nlri: said(path) for nlri, path in best.items()}


def act(world: World, action: tuple[object, ...]) -> None:
    """Do one drawn action."""
    match action:
        case ("announce", int(peer), Offer() as offer, list(nlris), int(number)):
            world.announce(peer, offer, nlris, number)
        case ("withdraw", int(peer), list(nlris), int(number)):
            world.withdraw(peer, nlris, number)
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
        community=st.integers(0, 1),
    )


def actions(
    offer: st.SearchStrategy[Offer], peers: Sequence[int] = range(PEERS)
) -> st.SearchStrategy[list[tuple[object, ...]]]:
    peer = st.sampled_from(peers)
    some = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4, unique=True)
    limit = st.none() | st.integers(1, 3)
    number = st.integers(1, 3)
    announce = st.tuples(st.just("announce"), peer, offer, some, number)
    return st.lists(
        st.one_of(
            announce,
            announce,
            announce,
            st.tuples(st.just("withdraw"), peer, some, number),
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


ONE_OR_SEVERAL = pytest.mark.parametrize(
    "several", [(), SEVERAL], ids=["one path each", "several paths"]
)


@ONE_OR_SEVERAL
@pytest.mark.parametrize("keep_unreachable", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("max_paths", [1, 4])
@given(script=actions(offers([None])))
def test_incremental_is_naive_without_med(
    max_paths: int,
    keep_unreachable: bool,
    several: tuple[int, ...],
    script: list[tuple[object, ...]],
) -> None:
    world = World(
        max_paths=max_paths,
        keep_unreachable=keep_unreachable,
        always_compare=False,
        several=several,
    )
    run(world, script)


@ONE_OR_SEVERAL
@pytest.mark.parametrize("keep_unreachable", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("max_paths", [1, 4])
@given(script=actions(offers([None, 0, 5, 9])), always_compare=st.booleans())
def test_incremental_is_naive_with_med(
    max_paths: int,
    keep_unreachable: bool,
    several: tuple[int, ...],
    script: list[tuple[object, ...]],
    always_compare: bool,
) -> None:
    world = World(
        max_paths=max_paths,
        keep_unreachable=keep_unreachable,
        always_compare=always_compare,
        several=several,
    )
    run(world, script)


ALIKE = st.builds(
    Offer,
    path=st.sampled_from([(65001,), (65002,)]),
    local_pref=st.none(),
    med=st.sampled_from([None, 0, 5]),
    origin=st.just(0),
    hop=st.integers(0, HOPS - 1),
    community=st.integers(0, 1),
)


@pytest.mark.parametrize("max_paths", [1, 4])
@given(script=actions(ALIKE, SEVERAL[:1]))
def test_incremental_is_naive_among_the_paths_of_one_peer(
    max_paths: int, script: list[tuple[object, ...]]
) -> None:
    """With nobody else there, its own MEDs are all that could disagree."""
    world = World(
        max_paths=max_paths, keep_unreachable=False, always_compare=False, several=SEVERAL
    )
    run(world, script)


def small(max_paths: int = 1) -> World:
    return World(max_paths=max_paths, keep_unreachable=False, always_compare=False)


GOOD = Offer((65001,), None, None, 0, 0)
BETTER = Offer((65001,), 200, None, 0, 0)
EQUAL = Offer((65001,), None, None, 0, 1)


@given(script=actions(offers([None]), [0]))
def test_incremental_is_naive_with_one_peer(script: list[tuple[object, ...]]) -> None:
    """Where nobody else has the prefixes, what it tells and takes back is not compared."""
    run(World(max_paths=1, keep_unreachable=False, always_compare=False), script)


def test_med_of_routes_that_start_inside_the_as_is_compared() -> None:
    """RFC 4271 §9.1.2.2 c: an empty AS_PATH is of the local AS."""
    world = small()
    world.announce(0, Offer((), None, 9, 0, 0), PREFIXES)
    world.announce(1, Offer((), None, 5, 0, 0), PREFIXES)
    assert {path.source for path in world.rib.best.values()} == {world.sources[1]}


def test_a_path_that_goes_no_longer_keeps_another_back_by_its_med() -> None:
    world = small()
    world.announce(2, Offer((65001,), None, 5, 0, 0), PREFIXES)
    world.announce(3, Offer((65002,), None, None, 0, 0), PREFIXES)
    world.announce(0, Offer((65001,), None, 0, 0, 0), PREFIXES)
    assert {path.source for path in world.rib.best.values()} == {world.sources[3]}
    world.withdraw(0, PREFIXES)
    assert {path.source for path in world.rib.best.values()} == {world.sources[2]}


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
