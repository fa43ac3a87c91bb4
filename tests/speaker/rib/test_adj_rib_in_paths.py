"""Adj-RIB-In by path identifier (RFC 7911): what came is by key, what is used by prefix."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.decision import select
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import SetPriority
from policy.path import Path, PeerType
from policy.prefix import ID_LENGTH, Nlri
from policy.ranking import rank
from policy.rules import Action, Direction, Rule, Scope
from policy.vrps import Covered, Origins, Validity, Vrps, VrpTable
from speaker.rib.adj_rib_in_paths import MAX_PATHS, AdjRibInPaths
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import LocRib
from tests.support.builders import few_prefixes, peers, with_id
from tests.support.routes import attributes, next_hop

PREFIXES = few_prefixes(4)
ONE, TWO, *_ = PREFIXES
IMPORT = Scope(PeerType.EXTERNAL, Direction.IMPORT)
SOURCE = peers(1, several=(0,))[0]


def path(*numbers: int, hop: str = "192.0.2.1", med: int | None = None, community: int = 0) -> Path:
    made = Path(attributes(numbers, med=med, communities=(community,)), SOURCE, next_hop(hop))
    made.rank = rank(made)
    return made


SHORT = path(65001)
LONG = path(65001, 7, 8)
DETOUR = path(65002, 7, hop="192.0.2.2")
TWIN = path(65001, 9, 9, community=5)
PATHS = [SHORT, LONG, DETOUR, TWIN]


def policy(*rules: Rule) -> ImportPolicy:
    return ImportPolicy(Filter(rules), None, IMPORT)


LONG_WAY = Rule(Action.REJECT, as_path_prefix=(65001, 7))
RULES = [
    LONG_WAY,
    Rule(Action.REJECT, as_path_prefix=(65002,)),
    Rule(Action.REJECT, ONE, MatchOperator.EQUAL),
    Rule(Action.ACCEPT, TWO, MatchOperator.EQUAL, operations=(SetPriority(7),)),
]


class Table:
    """A table under test, and the Loc-RIB that it feeds."""

    def __init__(self, *rules: Rule) -> None:
        self.rib = LocRib(IPV4_UNICAST)
        self.rib.follows_all = True
        self.now = policy(*rules) if rules else None
        self.table = AdjRibInPaths(SOURCE, IPV4_UNICAST, self.rib, self.now)
        for each in PATHS:
            self.rib.note(each)

    def announce(self, number: int, what: Path, *nlris: Nlri) -> None:
        self.table.announce(what, with_id(number, nlris))

    def withdraw(self, number: int, *nlris: Nlri) -> None:
        self.table.withdraw(with_id(number, nlris))

    def refilter(self, now: ImportPolicy | None) -> None:
        self.table.refilter(now)
        assert not self.table.rejudge()

    def to(self, nlri: Nlri) -> set[Path]:
        found = self.rib.candidates(nlri)
        assert len(found) == len(set(found))
        return set(found)

    def news(self) -> tuple[set[Nlri], set[Nlri]]:
        delta = self.rib.take()
        return {nlri for nlris in delta.changed.values() for nlri in nlris}, set(delta.touched)


def test_two_identifiers_are_two_paths_and_the_better_is_used() -> None:
    world = Table()
    world.announce(1, LONG, ONE, TWO)
    world.announce(2, SHORT, ONE)
    assert world.to(ONE) == {SHORT, LONG}
    assert world.rib.best == {ONE: SHORT, TWO: LONG}
    assert (len(world.table), world.table.accepted) == (3, 3)


def test_two_identifiers_in_one_update_are_told_once_where_the_path_is_one() -> None:
    world = Table()
    world.table.announce(SHORT, with_id(1, [ONE]) + with_id(2, [ONE]))
    assert world.rib.candidates(ONE) == [SHORT]
    assert world.table.ids_of(ONE, SHORT) == [1, 2]
    world.withdraw(1, ONE)
    assert world.rib.best == {ONE: SHORT}
    world.withdraw(2, ONE)
    assert world.rib.best == {}
    assert (world.table.paths, world.table.more) == ({}, {})


def test_the_same_identifier_replaces_its_path_and_no_other() -> None:
    """RFC 7911 §5."""
    world = Table()
    world.announce(1, SHORT, ONE)
    world.announce(2, LONG, ONE)
    world.announce(1, DETOUR, ONE)
    assert world.to(ONE) == {LONG, DETOUR}
    assert world.rib.best == {ONE: DETOUR}
    assert world.table.ids_of(ONE, DETOUR) == [1]


def test_the_withdrawal_of_one_leaves_the_other() -> None:
    world = Table()
    world.announce(1, SHORT, *PREFIXES)
    world.announce(2, LONG, *PREFIXES)
    world.withdraw(1, *PREFIXES)
    assert world.rib.best == dict.fromkeys(PREFIXES, LONG)
    assert world.table.more == {}


def test_an_unknown_identifier_is_withdrawn_in_vain() -> None:
    world = Table()
    world.announce(1, SHORT, ONE)
    world.news()
    world.withdraw(2, ONE)
    world.withdraw(1, TWO)
    assert world.rib.best == {ONE: SHORT}
    assert world.news() == (set(), set())


def test_a_path_beside_the_best_is_told_to_who_follows_all() -> None:
    world = Table()
    world.announce(1, SHORT, ONE)
    assert world.news() == ({ONE}, set())
    world.announce(2, LONG, ONE)
    assert world.news() == (set(), {ONE})
    world.announce(3, LONG, ONE)
    assert world.news() == (set(), set())
    world.withdraw(2, ONE)
    assert world.news() == (set(), set())
    world.withdraw(3, ONE)
    assert world.news() == (set(), {ONE})


def test_a_filter_that_refuses_one_of_two_paths_leaves_the_other() -> None:
    world = Table(LONG_WAY)
    world.announce(1, LONG, ONE)
    world.announce(2, DETOUR, ONE)
    assert world.to(ONE) == {DETOUR}
    assert (len(world.table), world.table.accepted) == (2, 1)
    world.withdraw(1, ONE)
    assert world.rib.best == {ONE: DETOUR}
    world.announce(2, LONG, ONE)
    assert world.rib.best == {}
    assert len(world.table) == 1


def test_a_new_filter_reaches_each_path_by_itself() -> None:
    world = Table()
    world.announce(1, LONG, *PREFIXES)
    world.announce(2, DETOUR, ONE, TWO)
    world.refilter(policy(LONG_WAY))
    assert world.rib.best == {ONE: DETOUR, TWO: DETOUR}
    world.refilter(None)
    assert world.to(ONE) == {LONG, DETOUR}
    assert set(world.rib.best) == set(PREFIXES)
    world.news()
    world.refilter(None)
    assert world.news() == (set(), set())


def test_each_path_to_a_prefix_is_judged_by_its_own_origin() -> None:
    """RFC 6811 §2; again where the VRPs are others."""
    vrps = Vrps(IPV4_UNICAST.afi)
    scope = replace(IMPORT, origins=Origins(vrps, 65000))
    rules = Filter([Rule(Action.REJECT, rpki=Validity.INVALID)])
    world = Table()
    world.table.refilter(ImportPolicy(rules, None, scope))
    near, far = path(65001, 4), path(65001, 5, hop="192.0.2.2")
    world.announce(1, near, ONE, TWO)
    world.announce(2, far, ONE)
    said = VrpTable(IPV4_UNICAST.afi)
    said.add(ONE, ONE[0], 5)
    vrps.put("cache", said)
    world.table.revalidate(Covered(IPV4_UNICAST.afi, [ONE]))
    assert not world.table.rejudge()
    assert (world.to(ONE), world.to(TWO)) == ({far}, {near})
    vrps.put("cache", None)
    world.table.revalidate(Covered(IPV4_UNICAST.afi, [ONE]))
    assert not world.table.rejudge()
    assert (world.to(ONE), world.to(TWO)) == ({near, far}, {near})


@pytest.mark.parametrize("first", [0, 1])
def test_which_of_two_paths_is_better_does_not_depend_on_which_came_first(first: int) -> None:
    """They are equal in every step of RFC 4271 §9.1.2.2: the lower next hop decides."""
    near, far = path(65001, 4), path(65001, 5, hop="192.0.2.2")
    world = Table()
    for number, each in enumerate([far, near] if first else [near, far]):
        world.announce(number, each, ONE)
    assert world.rib.best == {ONE: near}


def test_multi_exit_disc_is_compared_between_paths_of_one_peer() -> None:
    """RFC 4271 §9.1.2.2 c: of one neighbouring AS the lower MED stays, before anything later."""
    high, low = path(65001, 4, med=9), path(65001, 5, hop="192.0.2.2", med=3)
    world = Table()
    for each in (high, low):
        world.rib.note(each)
    world.announce(1, high, ONE)
    world.announce(2, low, ONE)
    assert world.rib.best == {ONE: low}


def test_no_prefix_has_more_paths_than_are_decent() -> None:
    world = Table()
    for number in range(MAX_PATHS + 10):
        world.announce(number, SHORT if number % 2 else LONG, ONE)
    assert (len(world.table), world.table.crowded) == (MAX_PATHS, 10)
    world.table.forget_dropped()
    assert world.table.crowded == 0
    world.withdraw(3, ONE)
    world.announce(MAX_PATHS + 1, DETOUR, ONE)
    assert world.to(ONE) == {SHORT, LONG, DETOUR}


def test_the_maximum_counts_paths() -> None:
    world = Table()
    world.table.maximum = 3
    world.announce(1, SHORT, ONE, TWO)
    world.announce(2, LONG, ONE, TWO)
    assert (len(world.table), world.table.dropped) == (3, 1)
    world.announce(1, DETOUR, ONE, TWO)
    assert world.to(ONE) == {LONG, DETOUR}
    assert world.to(TWO) == {DETOUR}


NUMBERS = st.integers(1, 3)
SOME = st.lists(st.tuples(NUMBERS, st.sampled_from(PREFIXES)), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), st.sampled_from(PATHS), SOME),
        st.tuples(st.just("announce"), st.sampled_from(PATHS), SOME),
        st.tuples(st.just("withdraw"), st.none(), SOME),
        st.tuples(st.just("refilter"), st.lists(st.sampled_from(RULES), max_size=2), st.none()),
        st.tuples(st.just("judge"), st.integers(1, 3), st.none()),
        st.tuples(st.just("begin"), st.none(), st.none()),
        st.tuples(st.just("sweep"), st.none(), st.none()),
        st.tuples(st.just("clear"), st.integers(1, 3), st.none()),
    ),
    max_size=25,
)


class Model(Table):
    """The same, and beside it what RFC 7911 says in the plainest way."""

    def __init__(self) -> None:
        super().__init__()
        self.received: dict[bytes, Path] = {}
        self.again: set[bytes] | None = None
        self.seen: dict[Nlri, set[Path]] = {}

    def do(self, what: str, how: object, extent: object) -> None:
        """Do one drawn step."""
        pairs = extent if isinstance(extent, list) else []
        keys = [key for number, nlri in pairs for key in with_id(number, [nlri])]
        if what == "announce" and isinstance(how, Path):
            self.table.announce(how, keys)
            self.received.update(dict.fromkeys(keys, how))
            if self.again is not None:
                self.again |= set(keys)
        elif what == "withdraw":
            self.table.withdraw(keys)
            for key in keys:
                self.received.pop(key, None)
        elif what == "refilter" and isinstance(how, list):
            self.now = policy(*how) if how else None
            self.table.refilter(self.now)
        elif what == "judge" and isinstance(how, int):
            self.table.rejudge(how)
        elif what == "begin":
            self.table.mark_stale()
            self.again = set()
        elif what == "sweep":
            while self.table.sweep_stale(2):
                pass
            if self.again is not None:
                self.received = {k: v for k, v in self.received.items() if k in self.again}
            self.again = None
        elif what == "clear" and isinstance(how, int):
            # A table that is being emptied is not judged any more.
            self.table.rejudge()
            self.table.clear(how)
            assert len(self.table) == max(0, len(self.received) - how)
            self.received = {k: self.received[k] for k in self.table.received}
            self.again = None

    def used(self, nlri: Nlri) -> dict[Path, set[int]]:
        """Judge every key of a prefix by itself."""
        found: dict[Path, set[int]] = {}
        for key, path in self.received.items():
            if key[ID_LENGTH:] == nlri:
                used = path if self.now is None else self.now.apply(path, [nlri])[0][0]
                if used is not None:
                    found.setdefault(used, set()).add(int.from_bytes(key[:ID_LENGTH], "big"))
        return found

    def check(self) -> None:
        """Compare."""
        assert self.table.received == self.received
        stale = set() if self.again is None else self.received.keys() - self.again
        assert self.table.stale == len(stale)
        for nlri in PREFIXES:
            for path in self.table.told(nlri):
                old = any(key[ID_LENGTH:] == nlri and self.received[key] is path for key in stale)
                assert self.table.is_stale(nlri, path) is old
            assert self.rib.best.get(nlri) is select(list(self.to(nlri)))
            if not self.table.is_judged:
                continue
            used = self.used(nlri)
            assert self.to(nlri) == used.keys()
            assert all(set(self.table.ids_of(nlri, path)) == ids for path, ids in used.items())
        changed, touched = self.news()
        for nlri in PREFIXES:
            if nlri in changed or nlri in touched:
                self.seen[nlri] = self.to(nlri)
            assert self.seen.get(nlri, set()) == self.to(nlri)


@given(STEPS)
def test_the_table_is_what_was_received_and_what_the_policy_makes_of_it(
    steps: list[tuple[str, object, object]],
) -> None:
    """Also when changes, other policies and slices of judging anew come between each other."""
    model = Model()
    for step in [*steps, ("judge", len(PREFIXES), None)]:
        model.do(*step)
        model.check()
    while model.table.clear(1):
        pass
    assert model.rib.best == {}
    assert (model.table.paths, model.table.more, model.table.accepted) == ({}, {}, 0)
    model.table.close()
    assert list(model.rib.known()) == []
