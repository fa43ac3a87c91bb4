"""A member that changes its group: it ends up with what the new one has, told of what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from fsm.messages import RefreshSubtype, RouteRefresh
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import AddCommunity
from policy.outbound import ALL_PATHS, GroupKey, Quota
from policy.path import NextHop, Path, PeerType
from policy.prefix import ID_LENGTH, Nlri
from policy.ranking import rank
from policy.rules import Action, Rule
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import AT_ONCE, ExportGroup
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member, RefreshStage
from speaker.wire.codec import encode
from tests.support.builders import OUR_ADDRESS, OUR_AS, few_prefixes, peers
from tests.support.listener import Listener, Told
from tests.support.routes import attributes

PREFIXES = few_prefixes(6)
MEMBERS = 3
MARK = (AddCommunity(0xFDE80009),)
PLAIN = GroupKey(IPV4_UNICAST, PeerType.INTERNAL, OUR_AS, OUR_ADDRESS, router_id=1, is_client=True)
END = encode(RouteRefresh(IPV4_UNICAST, RefreshSubtype.END))
BEGIN = encode(RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN))


def rule(number: int, *, refuses: bool = False) -> Rule:
    action = Action.REJECT if refuses else Action.ACCEPT
    operations = () if refuses else MARK
    return Rule(action, PREFIXES[number], MatchOperator.EQUAL, operations=operations)


FILTERS = [
    None,
    Filter([rule(0, refuses=True), rule(1)]),
    Filter([rule(1), rule(2, refuses=True)]),
    Filter([Rule(Action.ACCEPT, operations=MARK)]),
    Filter([Rule(Action.REJECT)]),
]
KEYS = {
    "the best": PLAIN,
    "all paths": replace(PLAIN, add_path=ALL_PATHS),
    "counted": replace(PLAIN, quota=Quota(b"")),
    "no more than two": replace(PLAIN, quota=Quota(b"", 2)),
}


class World:
    """Three peers that tell routes, and hear them in groups between which they move.

    Args:
        key: of all, but for the filter.
    """

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.rib = LocRib(IPV4_UNICAST)
        self.exports = Exports({IPV4_UNICAST: self.rib}, lambda _: None)
        self.sources = peers(MEMBERS, internal=MEMBERS)
        for source in self.sources:
            source.is_client = True
        self.tables = [AdjRibIn(source, IPV4_UNICAST, self.rib) for source in self.sources]
        self.known: dict[tuple[int, int], Path] = {}
        self.places: list[tuple[ExportGroup, Member]] = []
        self.ears = [Listener(path_ids=key.add_path > 0) for _ in range(MEMBERS)]
        # Prefixes that a peer was told of, since its running refresh began.
        self.again: list[set[Nlri] | None] = [None] * MEMBERS
        for number in range(MEMBERS):
            member = self.member(number)
            self.places.append((self.exports.join(self.key_of(number, 0), member), member))

    def member(self, number: int) -> Member:
        source = self.sources[number]
        return Member(source, source.address, marks_refresh=True)

    def key_of(self, number: int, chosen: int) -> GroupKey:
        """Give a key; with a quota everybody has one of his own."""
        key = replace(self.key, export_filter=FILTERS[chosen])
        if key.quota is None:
            return key
        return replace(key, quota=key.quota._replace(owner=self.sources[number].address))

    def path(self, number: int, kind: int) -> Path:
        found = self.known.get((number, kind))
        if found is None:
            # By way of the teller, or of the next peer, which must not hear it then.
            hop = self.sources[(number + kind) % MEMBERS].address
            made = attributes((65001,), local_pref=100 + kind, communities=[0xFDE90000 + number])
            made.next_hop = hop
            found = self.known[number, kind] = Path(made, self.sources[number], NextHop(hop))
            found.rank = rank(found)
            self.rib.note(found)
        return found

    def announce(self, number: int, kind: int, chosen: list[int]) -> None:
        self.tables[number].announce(self.path(number, kind), [PREFIXES[n] for n in chosen])

    def withdraw(self, number: int, chosen: list[int]) -> None:
        self.tables[number].withdraw([PREFIXES[n] for n in chosen])

    def apply(self, limit: int | None) -> None:
        self.exports.apply(self.rib.take(limit))

    def read_on(self, limit: int) -> None:
        self.exports.read_on(limit)

    def move(self, number: int, chosen: int) -> None:
        """As `speaker.exchange.Exchange.regroup` does it."""
        group, old = self.places[number]
        key = self.key_of(number, chosen)
        self.drain(number)
        if group.key == key:
            return
        member = self.member(number)
        member.former = group.former_of(old)
        self.exports.leave(group, old)
        self.places[number] = (self.exports.join(key, member), member)
        member.eor_due, member.refresh = old.eor_due, old.refresh

    def refresh(self, number: int) -> None:
        group, member = self.places[number]
        group.refresh(member)

    def fall_behind(self, number: int) -> None:
        group, member = self.places[number]
        group.fall_behind(member)

    def drain(self, number: int) -> None:
        _, member = self.places[number]
        self.hear(number, member.queue)
        member.queue = []

    def pull(self, number: int, limit: int) -> None:
        group, member = self.places[number]
        self.drain(number)
        if not member.in_step:
            self.hear(number, group.pull(member, limit))

    def hear(self, number: int, messages: list[bytes]) -> None:
        """Read; after a refresh what was not told again is gone (RFC 7313 §4)."""
        ear = self.ears[number]
        for message in messages:
            if message == BEGIN:
                self.again[number], ear.ever = set(ear.routes), set()
            elif message == END:
                before = self.again[number]
                assert before is not None
                for nlri in before - ear.ever:
                    ear.routes.pop(nlri, None)
                self.again[number] = None
            else:
                ear.hear([message])
        if self.key.quota is not None and self.key.quota.maximum is not None:
            assert len(ear.routes) <= self.key.quota.maximum

    def settle(self) -> None:
        """Everybody reads everything, and has what a peer has that comes now."""
        while self.rib.pending:
            self.apply(None)
        while self.exports.read_on(2):
            pass
        for number, (group, member) in enumerate(self.places):
            self.drain(number)
            while not member.in_step:
                self.pull(number, 2)
            assert self.ears[number].ended == 1
            assert member.refresh is RefreshStage.NONE
            assert member.former is None
            held = {key: Told(out.attributes, b"") for key, out in group.holds(member).items()}
            assert self.ears[number].routes == held
            assert group.count(member) == len(held)
            if self.key.quota is None:
                assert words(held, self.key) == words(self.anew(group.key, member), self.key)

    def anew(self, key: GroupKey, member: Member) -> dict[Nlri, Told]:
        """Say what a member of a group made now would hold."""
        kind = type(next(group for group in self.exports if group.key == key))
        group = kind(IPV4_UNICAST, key, self.rib)
        while group.is_unread:
            group.read_on(100)
        return {key: Told(out.attributes, b"") for key, out in group.holds(member).items()}


def words(held: dict[Nlri, Told], key: GroupKey) -> set[tuple[Nlri, Told]]:
    """Leave identifiers away: which path has which depends on what was before."""
    return {(nlri[ID_LENGTH:] if key.add_path else nlri, told) for nlri, told in held.items()}


number = st.integers(0, MEMBERS - 1)
some = st.lists(st.integers(0, len(PREFIXES) - 1), min_size=1, unique=True)
limit = st.integers(1, 3)
announce = st.tuples(st.just("announce"), number, st.integers(0, 2), some)
move = st.tuples(st.just("move"), number, st.integers(0, len(FILTERS) - 1))
pull = st.tuples(st.just("pull"), number, limit)
scripts = st.lists(
    st.one_of(
        announce,
        announce,
        st.tuples(st.just("withdraw"), number, some),
        st.tuples(st.just("apply"), st.none() | limit),
        st.tuples(st.just("apply"), st.none()),
        st.tuples(st.just("read_on"), limit),
        pull,
        pull,
        move,
        move,
        st.tuples(st.sampled_from(["refresh", "fall_behind", "drain"]), number),
    ),
    min_size=10,
    max_size=50,
)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@given(script=scripts)
def test_who_moves_ends_up_with_what_a_new_peer_would_have(
    key: GroupKey, script: list[tuple[str, object]]
) -> None:
    """Whatever changes meanwhile, and however often it moves."""
    world = World(key)
    for name, *arguments in script:
        getattr(world, name)(*arguments)
    world.settle()


def told(key: GroupKey = PLAIN) -> World:
    """Have everybody hear six routes of the last peer."""
    world = World(key)
    world.announce(2, 0, [0, 1, 2, 3, 4, 5])
    world.settle()
    for ear in world.ears:
        ear.ever.clear()
    return world


@pytest.mark.parametrize("key", [PLAIN, KEYS["all paths"], KEYS["counted"]])
@pytest.mark.parametrize("all_move", [False, True])
def test_only_what_differs_is_told(key: GroupKey, all_move: bool) -> None:
    world = told(key)
    for mover in range(MEMBERS if all_move else 1):
        world.move(mover, 1)
    world.settle()
    skip = ID_LENGTH if key.add_path else 0
    for each in world.ears[: 2 if all_move else 1]:
        assert {nlri[skip:] for nlri in each.withdrawn} == {PREFIXES[0]}
        assert {nlri[skip:] for nlri in each.ever} == {PREFIXES[1]}
    assert not world.ears[2].ever
    assert bool(world.ears[1].ever) == all_move


def test_a_second_edit_in_the_middle_counts_from_what_the_peer_has() -> None:
    world = told()
    world.move(0, 4)
    world.pull(0, 2)
    while not world.ears[0].withdrawn:
        world.pull(0, 2)
    gone = set(world.ears[0].withdrawn)
    world.move(0, 0)
    world.settle()
    assert world.ears[0].ever == gone
    assert len(world.ears[0].withdrawn) == len(gone) < len(PREFIXES)


def test_an_edit_that_is_taken_back_before_anything_was_told_tells_nothing() -> None:
    world = told()
    world.move(0, 3)
    world.move(0, 0)
    world.settle()
    assert (world.ears[0].ever, world.ears[0].withdrawn) == (set(), [])


def test_what_changes_while_it_is_compared_is_told_once() -> None:
    world = told()
    world.move(0, 3)
    world.announce(2, 2, [4])
    world.apply(None)
    heard: list[Nlri] = []
    group, member = world.places[0]
    while not member.in_step:
        for message in group.pull(member, 2):
            ear = Listener()
            ear.hear([message])
            heard += ear.ever
    assert sorted(heard) == sorted(PREFIXES)


@pytest.mark.parametrize("key", [PLAIN, KEYS["all paths"]])
@pytest.mark.parametrize("chosen", [1, 2])
def test_what_no_rule_changes_is_not_encoded_anew(key: GroupKey, chosen: int) -> None:
    world = told(key)
    group, _ = world.places[0]
    before = set(group.table.values())
    world.move(0, chosen)
    world.settle()
    after = set(world.places[0][0].table.values())
    assert len(after - before) == 1  # what a rule marks
    world.move(0, 0)
    world.settle()
    assert set(world.places[0][0].table.values()) == before


def test_what_becomes_another_meanwhile_is_encoded_anew() -> None:
    """As where the distance that a path tells has changed."""
    world = told()
    group, _ = world.places[0]
    before = set(group.table.values())
    world.move(0, 1)
    world.exports.remake([world.path(2, 0)])
    world.move(0, 2)
    world.settle()
    assert not before & set(world.places[0][0].table.values())


@pytest.mark.parametrize("when", [0, 1, 40])
def test_who_joins_a_large_table_hears_each_prefix_once(when: int) -> None:
    """Whatever changes meanwhile."""
    world = World(PLAIN)
    many = few_prefixes(AT_ONCE + 1_000)
    world.tables[2].announce(world.path(2, 0), many)
    world.settle()
    group, _ = world.places[0]
    late = Member(peers(9)[8], bytes(4))
    world.exports.join(group.key, late)
    ear, heard = Listener(), 0
    gone, changed, new = (
        many[:10],
        many[-20:-10],
        [b"\x20" + bytes(range(n, n + 4)) for n in (1, 2)],
    )
    for step in range(10_000):
        if late.in_step:
            break
        if step == when:
            world.tables[2].withdraw(gone)
            world.tables[2].announce(world.path(2, 2), changed)
            world.tables[2].announce(world.path(2, 0), new)
            world.apply(None)
            assert group.count(late) == 0
        for message in group.pull(late, 1000):
            once = Listener()
            once.hear([message])
            heard += len(once.ever)
            ear.hear([message])
    assert ear.routes.keys() == set(many) - set(gone) | set(new) == group.holds(late).keys()
    assert (heard, ear.withdrawn, ear.ended) == (len(ear.routes), [], 1)
    assert group.count(late) == heard
