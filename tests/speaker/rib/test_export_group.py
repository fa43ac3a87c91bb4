"""An export group: whatever members do, each ends up with exactly what the rule gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from policy.attributes import PathAttributes, WellKnown, tlv
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import AddCommunity
from policy.outbound import GroupKey, export_partition
from policy.path import NextHop, Path, PeerType, Source, SourceKind
from policy.prefix import Nlri
from policy.ranking import rank
from policy.rules import Action, Rule
from policy.wellknown import last_resort
from speaker.rib import export_group
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import ExportGroup
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.member import Member, RefreshStage
from tests.support.builders import OUR_ADDRESS, OUR_AS, few_prefixes, peers
from tests.support.listener import Listener, Told
from tests.support.routes import attributes, route

PEERS = 4
Announced = tuple[str, int, int, list[int]]
OURS6 = bytes.fromhex("20010db80000000000000000000000fe")
EXTERNAL = GroupKey(IPV4_UNICAST, PeerType.EXTERNAL, OUR_AS, OUR_ADDRESS, router_id=1)
CLIENTS = replace(EXTERNAL, peer_type=PeerType.INTERNAL, is_client=True)
CLIENTS6 = replace(CLIENTS, family=IPV6_UNICAST, local_address=OURS6)


def filtering(family: Family) -> Filter:
    """Refuse the first prefix, mark the second."""
    first, second = few_prefixes(2, family.afi)
    mark = (AddCommunity(0xFDE80009),)
    return Filter(
        [
            Rule(Action.REJECT, first, MatchOperator.EQUAL),
            Rule(Action.ACCEPT, second, MatchOperator.EQUAL, operations=mark),
        ]
    )


KEYS = {
    "external": EXTERNAL,
    "clients": CLIENTS,
    "clients of IPv6": CLIENTS6,
    "who do not know of stale routes": replace(CLIENTS, demotes_stale=True),
    "filtered": replace(EXTERNAL, export_filter=filtering(IPV4_UNICAST)),
}


class Audience:
    """One group, the sources that feed it, and its members with their ears."""

    def __init__(self, key: GroupKey, before: Sequence[Announced] = ()) -> None:
        self.key = key
        self.prefixes = few_prefixes(5, key.family.afi)
        self.sources = peers(PEERS, internal=2)
        self.rib = LocRib(key.family)
        self.tables = [AdjRibIn(source, key.family, self.rib) for source in self.sources]
        self.known: dict[tuple[int, int], Path] = {}
        self.woken: set[Member] = set()
        for _, peer, kind, chosen in before:
            self.announce(peer, kind, chosen)
        self.group = ExportGroup(key.family, key, self.rib, self.woken.add)
        self.members: dict[int, Member] = {}
        self.ears: dict[int, Listener] = {}
        # What a member was to hear when it joined, as long as nothing else takes its place.
        self.initial: dict[int, set[Nlri]] = {}
        self.caught_up: set[int] = set()

    def address(self, peer: int) -> bytes:
        """Give a peer's address in the family of the group."""
        last = self.sources[peer].address[-1:]
        return self.key.local_address[:-1] + last

    def path(self, peer: int, kind: int) -> Path:
        """Make a peer's path; kinds below ``PEERS`` lead by way of that peer."""
        found = self.known.get((peer, kind))
        if found is None:
            # The community tells the ears whose route this is.
            marks = [0xFDE90000 + peer]
            if kind == PEERS:
                marks.append(WellKnown.NO_ADVERTISE)
            hop = self.address(kind % PEERS)
            made = attributes((65001,), communities=marks, local_pref=100 + 10 * (kind % 2))
            made.next_hop = hop
            found = Path(made, self.sources[peer], NextHop(hop))
            found.rank = rank(found)
            self.rib.note(found)
            self.known[peer, kind] = found
        return found

    def announce(self, peer: int, kind: int, chosen: list[int]) -> None:
        nlris = [self.prefixes[n] for n in chosen]
        self.tables[peer].announce(self.path(peer, kind), nlris)

    def withdraw(self, peer: int, chosen: list[int]) -> None:
        self.tables[peer].withdraw([self.prefixes[n] for n in chosen])

    def apply(self, limit: int | None = None) -> None:
        """Let the group follow the Loc-RIB."""
        before = dict(self.group.table)
        self.group.apply(self.rib.take(limit))
        other = {n for n, out in self.group.table.items() if before.get(n) is not out}
        for initial in self.initial.values():
            initial -= other
        if not self.rib.pending:
            self.check_table()

    def check_table(self) -> None:
        """The table is what policy makes of the Loc-RIB, save what an only member told."""
        accepted = {
            nlri
            for nlri, path in self.rib.best.items()
            for verdict, _ in export_partition([nlri], path, self.key)
            if verdict.accepted
        }
        assert self.group.table.keys() <= accepted
        for nlri in accepted - self.group.table.keys():
            # Nobody is there to hear it, or it has not been looked at yet.
            assert self.group.is_unread or all(
                m.source is self.rib.best[nlri].source for m in self.group.members
            )
        for nlri, out in self.group.table.items():
            assert out.path is self.rib.best[nlri]

    def join(self, peer: int) -> None:
        self.leave(peer)
        self.members[peer] = Member(self.sources[peer], self.address(peer))
        self.ears[peer] = Listener()
        self.group.join(self.members[peer])
        self.initial[peer] = set(self.group.holds(self.members[peer]))

    def leave(self, peer: int) -> None:
        member = self.members.pop(peer, None)
        if member is not None:
            self.group.leave(member)
            self.caught_up.discard(peer)
            assert member.debt == 0

    def drain(self, peer: int) -> None:
        """The socket takes what waits."""
        member = self.members.get(peer)
        if member is None:
            return
        assert not member.queue or member in self.woken
        self.woken.discard(member)
        self.hear(peer, member.queue)
        member.queue = []

    def pull(self, peer: int, limit: int) -> None:
        """The socket has room for some of what a member owes."""
        member = self.members.get(peer)
        if member is None or member.in_step:
            return
        self.drain(peer)
        before, was_unread = member.debt, self.group.is_unread
        self.hear(peer, self.group.pull(member, limit))
        if member.refresh is not RefreshStage.BEGINS and not was_unread:
            # Else another refresh had been asked for meanwhile.
            assert member.debt == before - min(before, limit) or member.debt < before
        if member.in_step:
            self.caught_up.add(peer)

    def read_on(self, limit: int) -> None:
        """The group looks at more of what was there before it."""
        before = dict(self.group.table)
        self.group.read_on(limit)
        # What was read first, and has changed since, was not told to anybody.
        assert before.items() <= self.group.table.items()

    def hear(self, peer: int, messages: list[bytes]) -> None:
        ear = self.ears[peer]
        ear.hear(messages)
        assert ear.vain.isdisjoint(self.initial[peer]), "withdrawn before it was told"
        mine = (0xFDE90000 + peer).to_bytes(4, "big")
        assert not any(mine in told.attributes for told in ear.routes.values())

    def refresh(self, peer: int) -> None:
        if peer in self.members:
            self.group.refresh(self.members[peer])

    def fall_behind(self, peer: int) -> None:
        if peer in self.members:
            self.group.fall_behind(self.members[peer])

    def check(self) -> None:
        """Members that are in step and have read everything hold what the rule gives them."""
        for peer, member in self.members.items():
            assert self.ears[peer].ended <= 1
            if not member.in_step or member.queue:
                continue
            assert self.ears[peer].ended == (peer in self.caught_up)
            held = self.group.holds(member)
            assert self.group.count(member) == len(held)
            assert self.ears[peer].routes == {
                nlri: Told(out.attributes, out.next_hop if self.is_ipv6 else b"")
                for nlri, out in held.items()
            }
            assert held.keys() == {
                nlri
                for nlri, out in self.group.table.items()
                if out.path.source is not member.source
                and self.next_hop(out.path) != member.address
            }

    @property
    def is_ipv6(self) -> bool:
        return self.key.family == IPV6_UNICAST

    def next_hop(self, path: Path) -> bytes:
        """Internal peers get the next hop as it came, external ones ours."""
        if self.key.peer_type is PeerType.INTERNAL:
            return path.attributes.next_hop
        return self.key.local_address

    def settle(self) -> None:
        """Everybody reads everything."""
        while self.rib.pending:
            self.apply()
        while self.group.is_unread:
            self.read_on(2)
        for peer, member in self.members.items():
            self.drain(peer)
            while not member.in_step:
                self.pull(peer, 2)
        self.check()
        assert all(ear.ended == 1 for peer, ear in self.ears.items() if peer in self.members)


peer = st.integers(0, PEERS - 1)
some = st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True)
limit = st.integers(1, 3)
announce = st.tuples(st.just("announce"), peer, st.integers(0, PEERS), some)
apply = st.tuples(st.just("apply"), st.none() | limit)
pull = st.tuples(st.just("pull"), peer, limit)
scripts = st.lists(
    st.one_of(
        announce,
        announce,
        st.tuples(st.just("withdraw"), peer, some),
        apply,
        apply,
        pull,
        pull,
        st.tuples(st.sampled_from(["join", "leave", "drain", "refresh", "fall_behind"]), peer),
        st.tuples(st.just("join"), peer),
        st.tuples(st.just("read_on"), limit),
    ),
    min_size=10,
    max_size=40,
)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@given(script=scripts, before=st.lists(announce, max_size=4))
def test_every_member_ends_up_with_what_the_rule_gives_it(
    key: GroupKey, script: list[tuple[str, object]], before: list[Announced]
) -> None:
    audience = Audience(key, before)
    audience.join(0)
    for name, *arguments in script:
        getattr(audience, name)(*arguments)
        audience.check()
    audience.settle()


def joined(*, key: GroupKey = EXTERNAL, before: bool = True) -> Audience:
    """Make a group of two members with three routes from a third peer."""
    audience = Audience(key)
    if before:
        audience.announce(2, 0, [0, 1, 2])
        audience.apply()
    audience.join(0)
    audience.join(1)
    return audience


def test_a_group_takes_over_what_the_loc_rib_holds() -> None:
    audience = Audience(EXTERNAL)
    audience.announce(2, 0, [0, 1])
    late = ExportGroup(IPV4_UNICAST, EXTERNAL, audience.rib)
    while late.is_unread:
        late.read_on(1)
    assert set(late.table) == set(audience.prefixes[:2])


def test_members_in_step_get_the_very_same_octets() -> None:
    audience = joined()
    audience.settle()
    audience.announce(2, 0, [3, 4])
    audience.apply()
    one, other = audience.members[0].queue, audience.members[1].queue
    assert len(one) == 1
    assert one[0] is other[0]


def test_a_prefix_that_vanished_before_it_was_told_is_not_withdrawn() -> None:
    audience = joined()
    audience.withdraw(2, [0, 1])
    audience.apply()
    audience.settle()
    assert audience.ears[0].withdrawn == []
    assert set(audience.ears[0].routes) == {audience.prefixes[2]}


def test_an_empty_table_is_told_by_end_of_rib_alone() -> None:
    """RFC 4724 §2: also when there is no update to send."""
    audience = joined(before=False)
    audience.pull(0, 10)
    assert audience.ears[0].ended == 1
    assert audience.members[0].in_step


def test_a_refresh_tells_everything_again_without_another_end_of_rib() -> None:
    audience = joined()
    audience.settle()
    audience.ears[0].ever.clear()
    audience.refresh(0)
    assert audience.members[0].debt == 3
    audience.settle()
    assert audience.ears[0].ever == set(audience.prefixes[:3])
    assert audience.ears[1].ended == 1


def test_a_route_that_moves_to_a_member_is_withdrawn_from_it_alone() -> None:
    audience = joined()
    audience.settle()
    audience.withdraw(2, [0])
    audience.announce(0, 0, [0])
    audience.apply()
    audience.settle()
    assert audience.ears[0].withdrawn == [audience.prefixes[0]]
    assert audience.prefixes[0] in audience.ears[1].routes
    assert audience.ears[1].withdrawn == []


def test_nobody_is_told_a_route_that_leads_to_himself() -> None:
    audience = joined(key=CLIENTS, before=False)
    audience.announce(2, 1, [0])
    audience.apply()
    audience.settle()
    assert audience.prefixes[0] in audience.ears[0].routes
    assert audience.prefixes[0] not in audience.ears[1].routes


@pytest.mark.parametrize("demotes", [True, False])
def test_what_becomes_stale_is_a_last_choice_or_is_withdrawn(demotes: bool) -> None:
    """RFC 9494 §4.3, §4.6; and what is told anew is fresh again."""
    audience = Audience(replace(CLIENTS, takes_stale=demotes, demotes_stale=demotes))
    source = audience.sources[0]
    fresh = audience.path(0, 1)
    kept = last_resort(fresh.attributes)
    assert kept is not None
    stale = Path(kept, source, fresh.next_hop)
    stale.rank = rank(stale)
    [nlri] = audience.prefixes[:1]
    audience.join(3)
    audience.announce(0, 1, [0])
    audience.settle()
    heard = audience.ears[3].routes
    before = heard[nlri]
    audience.tables[0].announce(stale, [nlri])
    audience.settle()
    if demotes:
        now = PathAttributes(heard[nlri].attributes, b"")
        assert now.local_pref == 0
        assert {WellKnown.NO_EXPORT, WellKnown.LLGR_STALE} <= now.communities
    else:
        assert heard == {}
    audience.announce(0, 1, [0])
    audience.settle()
    assert heard == {nlri: before}


def test_withdrawals_go_before_announcements() -> None:
    audience = joined()
    audience.settle()
    audience.fall_behind(0)
    audience.withdraw(2, [0])
    audience.announce(2, 0, [3])
    audience.apply()
    first, second = audience.group.pull(audience.members[0])
    assert audience.prefixes[0] in first
    assert audience.prefixes[3] in second


def test_what_changes_many_times_while_a_member_is_slow_is_told_once() -> None:
    audience = joined()
    audience.settle()
    audience.fall_behind(0)
    for kind in (1, 0, 1):
        audience.announce(2, kind, [0, 1])
        audience.apply()
    assert len(audience.group.pull(audience.members[0])) == 1


@pytest.mark.parametrize("told_before", [True, False])
def test_a_route_whose_attributes_fill_a_message_is_withdrawn(told_before: bool) -> None:
    """RFC 8654 §4: what does not fit the peer's messages must not stay as it was."""
    audience = joined(before=told_before)
    audience.settle()
    huge = attributes((65001,), more=tlv(0xC0, 99, bytes(4096)))
    path = Path(huge, audience.sources[2], NextHop(huge.next_hop))
    path.rank = rank(path)
    audience.tables[2].announce(path, audience.prefixes[:1])
    audience.group.apply(audience.rib.take())
    audience.settle()
    assert audience.prefixes[0] not in audience.ears[0].routes
    assert audience.prefixes[0] not in audience.group.holds(audience.members[0])


def test_what_is_told_during_a_sweep_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_group, "SWEPT", 1)
    audience = joined()
    audience.announce(2, 1, [0, 1])
    audience.apply()
    audience.announce(2, 0, [0, 1])
    audience.apply()
    sweep = iter(audience.group.sweep())
    next(sweep)
    audience.announce(2, 1, [0])
    audience.apply()
    assert list(sweep)
    audience.announce(2, 1, [1])
    audience.apply()
    one, other = (audience.group.table[audience.prefixes[n]] for n in (0, 1))
    assert one is other


def test_sweeping_forgets_what_no_prefix_uses() -> None:
    audience = joined()
    audience.settle()
    audience.announce(2, 1, [0, 1, 2])
    audience.apply()
    list(audience.group.sweep())
    audience.announce(2, 0, [0])
    audience.apply()
    audience.settle()
    assert len(audience.ears[0].routes) == 3


def test_a_path_that_may_be_heard_no_more_is_judged_anew() -> None:
    """Whether routes of an internal peer are reflected changes with it, and not with the path."""
    source = Source("rr", SourceKind.BGP, peer_type=PeerType.INTERNAL, is_client=True)
    loc_rib = LocRib(IPV4_UNICAST)
    rib = AdjRibIn(source, IPV4_UNICAST, loc_rib)
    key = GroupKey(IPV4_UNICAST, PeerType.INTERNAL, 65000, bytes((192, 0, 2, 254)))
    group = ExportGroup(IPV4_UNICAST, key, loc_rib)
    path = route(source)
    first, second = ([nlri] for nlri in few_prefixes(2))
    rib.announce(path, first)
    group.apply(loc_rib.take())
    (out,) = group.table.values()
    source.is_client = False
    group.forget(path.source)
    rib.announce(path, second)
    group.apply(loc_rib.take())
    assert group.table == {first[0]: out}
    group.apply(Delta(IPV4_UNICAST, {path: first}))
    assert group.table == {}
