"""Adj-RIB-In: what came is kept, what the policy makes of it is used, differences are passed on."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.calico import BuiltinPolicy
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import SetPriority, local_pref_of
from policy.path import Path, PeerType
from policy.prefix import Nlri
from policy.rules import Action, Direction, Rule, Scope
from policy.vrps import Covered, Origins, Validity, Vrps, VrpTable
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import Candidates, LocRib
from tests.support.builders import few_prefixes
from tests.support.routes import EXTERNAL_PEER, route

PREFIXES = few_prefixes(5)
IMPORT = Scope(PeerType.EXTERNAL, Direction.IMPORT)
PATHS = [route(), route(local_pref=local_pref_of(512)), route(path=(65001, 7))]


class Ear(LocRib):
    """A Loc-RIB that writes down what its tables tell it."""

    def __init__(self) -> None:
        super().__init__(IPV4_UNICAST)
        self.told: list[tuple[Path | None, list[Nlri]]] = []

    def announced(self, table: Candidates, path: Path, nlris: list[Nlri]) -> None:
        self.told.append((path, list(nlris)))
        super().announced(table, path, nlris)

    def withdrawn(self, table: Candidates, nlris: list[Nlri]) -> None:
        self.told.append((None, list(nlris)))
        super().withdrawn(table, nlris)


def policy(*rules: Rule, builtin: BuiltinPolicy | None = None) -> ImportPolicy:
    return ImportPolicy(Filter(rules) if rules else None, builtin, IMPORT)


def refilter(table: AdjRibIn, now: ImportPolicy | None) -> None:
    """Run a new policy over a whole table."""
    table.refilter(now)
    assert not table.rejudge()
    assert table.is_judged


def is_one(table: AdjRibIn) -> bool:
    """Tell whether a table keeps nothing beside the paths that are used."""
    return not table.changed and not table.refused


def reject(nlri: Nlri) -> Rule:
    return Rule(Action.REJECT, nlri, MatchOperator.EQUAL)


def prioritise(nlri: Nlri) -> Rule:
    return Rule(Action.ACCEPT, nlri, MatchOperator.EQUAL, operations=(SetPriority(7),))


def test_without_a_policy_there_is_one_table() -> None:
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, LocRib(IPV4_UNICAST))
    table.announce(PATHS[0], PREFIXES)
    assert is_one(table)
    assert len(table) == 5


def test_a_policy_that_changes_nothing_keeps_one_table() -> None:
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, LocRib(IPV4_UNICAST), policy(Rule(Action.ACCEPT)))
    table.announce(PATHS[0], PREFIXES)
    assert is_one(table)


def test_what_is_refused_is_kept_but_not_used() -> None:
    ear = Ear()
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, policy(reject(PREFIXES[0])))
    table.announce(PATHS[0], PREFIXES)
    assert set(table.paths) == set(PREFIXES[1:])
    assert len(table) == 5
    table.withdraw(PREFIXES[:2])
    assert set(table.received) == set(PREFIXES[2:])
    assert ear.told == [(PATHS[0], PREFIXES[1:]), (None, PREFIXES[1:2])]


def test_an_accepted_prefix_that_is_refused_the_next_time_is_withdrawn() -> None:
    ear = Ear()
    rule = Rule(Action.REJECT, as_path_prefix=(65001, 7))
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, policy(rule))
    table.announce(PATHS[0], PREFIXES)
    table.announce(PATHS[2], PREFIXES[:2])
    assert ear.told == [(PATHS[0], PREFIXES), (None, PREFIXES[:2])]


def test_only_what_differs_reaches_the_loc_rib() -> None:
    ear = Ear()
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear)
    table.announce(PATHS[0], PREFIXES)
    ear.told.clear()
    refilter(table, policy(reject(PREFIXES[0]), prioritise(PREFIXES[1])))
    used = table.paths[PREFIXES[1]]
    assert ear.told == [(None, PREFIXES[:1]), (used, PREFIXES[1:2])]
    assert used.attributes.local_pref == local_pref_of(7)
    ear.told.clear()
    refilter(table, policy(reject(PREFIXES[0])))
    assert ear.told == [(PATHS[0], PREFIXES[1:2])]
    ear.told.clear()
    refilter(table, None)
    assert ear.told == [(PATHS[0], PREFIXES[:1])]
    assert is_one(table)


def test_the_same_policy_again_tells_nothing() -> None:
    ear = Ear()
    same = policy(reject(PREFIXES[0]), prioritise(PREFIXES[1]))
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, same)
    table.announce(PATHS[0], PREFIXES)
    ear.told.clear()
    refilter(table, same)
    assert ear.told == []


def asking(vrps: Vrps) -> ImportPolicy:
    """Make a policy that refuses what is Invalid."""
    scope = replace(IMPORT, origins=Origins(vrps, 65000))
    return ImportPolicy(Filter([Rule(Action.REJECT, rpki=Validity.INVALID)]), None, scope)


def said(*nlris: Nlri) -> VrpTable:
    """Say of prefixes, and of nothing inside them, that AS 1 may originate them."""
    table = VrpTable(IPV4_UNICAST.afi)
    for nlri in nlris:
        table.add(nlri, nlri[0], 1)
    return table


def test_what_vrps_are_about_is_judged_again_and_nothing_else() -> None:
    ear, vrps = Ear(), Vrps(IPV4_UNICAST.afi)
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, asking(vrps))
    table.announce(PATHS[0], PREFIXES)
    vrps.put("cache", said(*PREFIXES[:2]))
    ear.told.clear()
    # Of the second it is not told, so it stands as it stood.
    table.revalidate(Covered(IPV4_UNICAST.afi, PREFIXES[:1]))
    assert not table.is_judged
    while table.rejudge(2):
        pass
    assert ear.told == [(None, PREFIXES[:1])]
    assert table.is_judged
    vrps.put("cache", None)
    ear.told.clear()
    table.revalidate(Covered(IPV4_UNICAST.afi, PREFIXES[:2]))
    table.rejudge()
    assert ear.told == [(PATHS[0], PREFIXES[:1])]


def test_what_was_judged_before_a_change_in_a_walk_is_judged_again() -> None:
    vrps = Vrps(IPV4_UNICAST.afi)
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, LocRib(IPV4_UNICAST))
    table.announce(PATHS[0], PREFIXES)
    table.refilter(asking(vrps))
    assert table.rejudge(len(PREFIXES) - 1)
    vrps.put("cache", said(*PREFIXES))
    table.revalidate(Covered(IPV4_UNICAST.afi, []))
    while table.rejudge(2):
        pass
    assert table.paths == {}


def test_without_a_policy_no_validity_is_asked_for() -> None:
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, Ear())
    table.announce(PATHS[0], PREFIXES)
    assert not table.asks_for_validity
    table.revalidate(Covered(IPV4_UNICAST.afi, PREFIXES))
    assert table.is_judged


def test_the_nodes_own_preference_is_not_taken_for_what_was_received() -> None:
    """A rule that accepts comes before the node's own policy, also when it comes later."""
    builtin = BuiltinPolicy()
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, Ear(), policy(builtin=builtin))
    urgent = PATHS[1]
    table.announce(urgent, PREFIXES)
    assert table.paths[PREFIXES[0]].preference > urgent.preference
    refilter(table, policy(Rule(Action.ACCEPT), builtin=builtin))
    assert table.paths == dict.fromkeys(PREFIXES, urgent)


def test_what_two_policies_make_alike_is_not_told_again() -> None:
    """An edit of a filter costs what it changes, also where most is changed by both."""
    ear = Ear()
    everything = Rule(Action.ACCEPT, operations=(SetPriority(7),), origin="the first rule")
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, policy(everything))
    table.announce(PATHS[0], PREFIXES)
    used = table.paths[PREFIXES[0]]
    assert used is not PATHS[0]
    ear.told.clear()
    refilter(table, policy(reject(PREFIXES[0]), replace(everything, origin="the second rule")))
    assert ear.told == [(None, PREFIXES[:1])]
    ear.told.clear()
    table.announce(PATHS[0], PREFIXES[1:2])
    assert ear.told == [(used, PREFIXES[1:2])]


def test_what_came_with_a_former_policy_is_known_until_all_is_judged() -> None:
    """Next hops move meanwhile, and every path that is used must be ranked again."""
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, Ear(), policy(prioritise(PREFIXES[0])))
    table.announce(PATHS[0], PREFIXES)
    table.refilter(policy(Rule(Action.REJECT)))
    table.rejudge(1)
    table.refilter(None)
    table.announce(PATHS[2], PREFIXES[3:4])
    while table.rejudge(1):
        assert set(table.paths.values()) <= {*PATHS, *table.made_paths()}
    assert list(table.made_paths()) == []
    assert is_one(table)


def test_a_table_is_cleared_in_slices_and_leaves() -> None:
    ear = Ear()
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear, policy(reject(PREFIXES[0])))
    table.announce(PATHS[0], PREFIXES)
    assert table.clear(3)
    assert not table.clear(3)
    assert (len(table), ear.best) == (0, {})
    table.close()
    assert ear.candidates(PREFIXES[1]) == []


RULES = st.lists(
    st.one_of(
        st.builds(reject, st.sampled_from(PREFIXES)),
        st.builds(prioritise, st.sampled_from(PREFIXES)),
        st.just(Rule(Action.REJECT, as_path_prefix=(65001, 7))),
        st.just(Rule(Action.ACCEPT)),
    ),
    max_size=3,
)
SOME = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=5, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(PATHS), SOME),
        st.tuples(st.none(), SOME),
        st.tuples(RULES, st.booleans()),
        st.tuples(st.integers(1, 3), st.just(False)),
    ),
    max_size=20,
)


@given(STEPS)
def test_tables_are_what_was_received_and_what_the_policy_makes_of_it(
    steps: list[tuple[object, object]],
) -> None:
    """Also when changes, other policies and slices of judging anew come between each other."""
    ear = Ear()
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, ear)
    received: dict[Nlri, Path] = {}
    now: ImportPolicy | None = None
    for what, extent in [*steps, (len(PREFIXES), False)]:
        if isinstance(what, Path) and isinstance(extent, list):
            table.announce(what, extent)
            received.update(dict.fromkeys(extent, what))
        elif isinstance(extent, list):
            table.withdraw(extent)
            for nlri in extent:
                received.pop(nlri, None)
        elif isinstance(what, list):
            builtin = BuiltinPolicy() if extent else None
            now = policy(*what, builtin=builtin) if what or builtin else None
            table.refilter(now)
        elif isinstance(what, int):
            before = dict(table.paths)
            ear.told.clear()
            table.rejudge(what)
            told = [nlri for _, nlris in ear.told for nlri in nlris]
            assert len(told) == len(set(told))
            assert all(before.get(nlri) is not table.paths.get(nlri) for nlri in told)
        assert table.received == received
        assert len(table) == len(received)
        assert ear.best == table.paths
        if table.is_judged:
            assert table.paths == {
                nlri: used
                for nlri, path in received.items()
                for used, _ in ([(path, [nlri])] if now is None else now.apply(path, [nlri]))
                if used is not None
            }
    assert table.is_judged
    assert is_one(table) or now is not None


SOME = st.lists(st.sampled_from(PREFIXES), min_size=1, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), SOME),
        st.tuples(st.just("withdraw"), SOME),
        st.tuples(st.sampled_from(["begin", "end", "sweep one"]), st.just([])),
    ),
    max_size=20,
)


@given(steps=STEPS, refused=st.sampled_from([None, *PREFIXES]))
def test_what_was_not_told_since_the_refresh_began_is_swept(
    steps: list[tuple[str, list[Nlri]]], refused: Nlri | None
) -> None:
    """RFC 7313 §4, against two plain sets."""
    rib = LocRib(IPV4_UNICAST)
    rules = None if refused is None else policy(reject(refused))
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, rib, rules)
    held: set[Nlri] = set()
    again: set[Nlri] = set()
    for step, nlris in [*steps, ("end", [])]:
        if step == "announce":
            table.announce(PATHS[0], nlris)
            held |= set(nlris)
            again |= set(nlris)
        elif step == "withdraw":
            table.withdraw(nlris)
            held -= set(nlris)
        elif step == "begin":
            table.mark_stale()
            again = set()
        elif table.is_marked:
            while table.sweep_stale(1) and step == "end":
                pass
            if step == "end":
                held &= again
            else:
                held = set(table.received)
        assert set(table.received) == held
        assert table.stale == (len(held - again) if table.is_marked else 0)
    assert set(rib.best) == set(table.paths) == held - {refused}
    assert not table.is_marked


@given(batches=st.lists(SOME, max_size=8), maximum=st.integers(1, 5))
def test_a_table_never_grows_beyond_its_maximum(batches: list[list[Nlri]], maximum: int) -> None:
    table = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, LocRib(IPV4_UNICAST))
    table.maximum = maximum
    for number, nlris in enumerate(batches):
        path = PATHS[number % len(PATHS)]
        known = set(table.received)
        table.announce(path, nlris)
        assert known <= set(table.received)
        assert len(table) == min(maximum, len(known | set(nlris)))
        assert all(table.paths[nlri] is path for nlri in known & set(nlris))
    assert bool(table.dropped) == (len({n for nlris in batches for n in nlris}) > maximum)
