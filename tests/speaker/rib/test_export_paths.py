"""Several paths per prefix on the way out: who is told what, under which identifiers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.attributes import WellKnown, tlv
from policy.decision import select
from policy.filters import Filter
from policy.matching import MatchOperator
from policy.operations import AddCommunity
from policy.outbound import ALL_PATHS, GroupKey, export_partition
from policy.path import NextHop, Path, PeerType, Source
from policy.prefix import Nlri
from policy.ranking import rank
from policy.rewriter import rewrite
from policy.rules import Action, Rule
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.export_paths import PathsGroup
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.rib.out_routes import OutRoute
from tests.support.builders import OUR_ADDRESS, OUR_AS, few_prefixes, peers
from tests.support.listener import Listener, Told
from tests.support.referee import exabgp_update
from tests.support.routes import attributes

PEERS = 4
KINDS = 6
OURS6 = bytes.fromhex("20010db80000000000000000000000fe")
FIRST, SECOND, THIRD = (n.to_bytes(4, "big") for n in (1, 2, 3))
EXTERNAL = GroupKey(
    IPV4_UNICAST, PeerType.EXTERNAL, OUR_AS, OUR_ADDRESS, router_id=1, add_path=ALL_PATHS
)
CLIENTS = replace(EXTERNAL, peer_type=PeerType.INTERNAL, is_client=True)


def filtering() -> Filter:
    """Refuse the first prefix, mark the second."""
    first, second = few_prefixes(2)
    mark = (AddCommunity(0xFDE80009),)
    return Filter(
        [
            Rule(Action.REJECT, first, MatchOperator.EQUAL),
            Rule(Action.ACCEPT, second, MatchOperator.EQUAL, operations=mark),
        ]
    )


KEYS = {
    "external": EXTERNAL,
    "the best alone": replace(EXTERNAL, add_path=1),
    "two best to clients": replace(CLIENTS, add_path=2),
    "clients of IPv6": replace(CLIENTS, family=IPV6_UNICAST, local_address=OURS6),
    "three, filtered": replace(EXTERNAL, add_path=3, export_filter=filtering()),
}


class Audience:
    """One group, the sources that feed it, and its members with their ears."""

    def __init__(self, key: GroupKey, *, keep_unreachable: bool = False) -> None:
        self.key = key
        self.prefixes = few_prefixes(4, key.family.afi)
        self.sources = peers(PEERS, internal=2)
        self.rib = LocRib(key.family, keep_unreachable=keep_unreachable)
        self.rib.follows_all = True
        for source in self.sources[2:]:
            source.tells_several = True
        self.tables = [
            (AdjRibInPaths if source.tells_several else AdjRibIn)(source, key.family, self.rib)
            for source in self.sources
        ]
        self.hops = [NextHop(self.address(n)) for n in range(PEERS)]
        self.known: dict[tuple[int, int], Path] = {}
        self.group = PathsGroup(key.family, key, self.rib)
        self.members: dict[int, Member] = {}
        self.ears: dict[int, Listener] = {}

    def address(self, peer: int) -> bytes:
        """Give a peer's address in the family of the group."""
        return self.key.local_address[:-1] + self.sources[peer].address[-1:]

    def path(self, peer: int, kind: int) -> Path:
        """Make a peer's path; some kinds differ in MED alone, which leaves with no external one."""
        found = self.known.get((peer, kind))
        if found is None:
            hop = self.hops[kind % PEERS]
            made = attributes(
                (65001 + kind % 2,),
                med=kind,
                local_pref=100 + 10 * (kind == 1),
                # The ears tell paths by it.
                communities=[0xFDE90000 + peer] + [WellKnown.NO_ADVERTISE] * (kind == PEERS),
            )
            made.next_hop = hop.address
            found = self.known[peer, kind] = Path(made, self.sources[peer], hop)
            found.rank = rank(found)
            self.rib.note(found)
        return found

    def keys(self, peer: int, chosen: list[int], path_id: int) -> list[Nlri]:
        """Name prefixes as a peer does; two of them tell several paths each."""
        before = bytes((0, 0, 0, path_id)) if self.tables[peer].has_ids else b""
        return [before + self.prefixes[n] for n in chosen]

    def announce(self, peer: int, kind: int, chosen: list[int], path_id: int = 0) -> None:
        self.tables[peer].announce(self.path(peer, kind), self.keys(peer, chosen, path_id))

    def withdraw(self, peer: int, chosen: list[int], path_id: int = 0) -> None:
        self.tables[peer].withdraw(self.keys(peer, chosen, path_id))

    def toggle(self, peer: int) -> None:
        """A next hop is lost, or comes back."""
        hop = self.hops[peer]
        hop.reachable = not hop.reachable
        touched = {path for path in self.known.values() if path.next_hop is hop}
        for path in touched:
            path.rank = rank(path)
        for _ in self.rib.rerank(touched):
            pass

    def apply(self, limit: int | None = None) -> None:
        """Let the group follow the Loc-RIB."""
        before = dict(self.group.table)
        heard = {n: len(ear.withdrawn) for n, ear in self.ears.items()}
        self.group.apply(self.rib.take(limit))
        for nlri in self.prefixes:
            check_identifiers(identified(before, nlri), identified(self.group.table, nlri))
        assert heard == {n: len(ear.withdrawn) for n, ear in self.ears.items()}
        if not self.rib.pending:
            self.check_table()

    def check_table(self) -> None:
        """The table is what policy makes of the chosen paths."""
        for nlri in self.prefixes:
            table = identified(self.group.table, nlri)
            assert Counter(map(self.told, table.values())) == Counter(self.wanted(nlri))

    def wanted(self, nlri: Nlri, member: Member | None = None) -> list[tuple[Source, Told]]:
        """Say naively what is told of a prefix: of each source, with which words."""
        candidates = self.rib.candidates(nlri)
        left = [path for path in candidates if path.next_hop.reachable]
        if not left:
            kept = select(candidates, self.rib.keep_unreachable)
            left = [] if kept is None else [kept]
        chosen: list[Path] = []
        while left and len(chosen) < self.key.add_path:
            best = select(left, keep_unreachable=True)
            assert best is not None
            left.remove(best)
            chosen.append(best)
        found: dict[tuple[Source, Told], None] = {}
        for path in chosen:
            ((verdict, _),) = export_partition([nlri], path, self.key)
            if verdict.accepted and (member is None or self.hears(member, path)):
                out = rewrite(path, self.key, verdict.operations)
                found[path.source, self.words(out.raw, out.next_hop)] = None
        return list(found)

    def hears(self, member: Member, path: Path) -> bool:
        """Not what it told itself, and not what leads to itself."""
        internal = self.key.peer_type is PeerType.INTERNAL
        leads = path.attributes.next_hop if internal else self.key.local_address
        return path.source is not member.source and leads != member.address

    def told(self, out: OutRoute) -> tuple[Source, Told]:
        return out.path.source, self.words(out.attributes, out.next_hop)

    def words(self, raw: bytes, next_hop: bytes) -> Told:
        return Told(raw, next_hop if self.key.family == IPV6_UNICAST else b"")

    def join(self, peer: int) -> None:
        self.leave(peer)
        self.members[peer] = Member(self.sources[peer], self.address(peer))
        self.ears[peer] = Listener(path_ids=True)
        self.group.join(self.members[peer])

    def leave(self, peer: int) -> None:
        member = self.members.pop(peer, None)
        if member is not None:
            self.group.leave(member)
            del self.ears[peer]

    def drain(self, peer: int) -> None:
        """The socket takes what waits."""
        member = self.members.get(peer)
        if member is not None:
            messages, member.queue = member.queue, []
            self.hear(peer, messages)

    def pull(self, peer: int, limit: int) -> None:
        """The socket has room for some of what a member owes."""
        member = self.members.get(peer)
        if member is not None and not member.in_step:
            self.drain(peer)
            self.hear(peer, self.group.pull(member, limit))

    def hear(self, peer: int, messages: list[bytes]) -> None:
        for message in messages:
            if len(message) > 29:
                # Longer than an End-of-RIB.
                exabgp_update(message[19:], path_ids=True)
        self.ears[peer].hear(messages)

    def refresh(self, peer: int) -> None:
        if peer in self.members:
            self.group.refresh(self.members[peer])

    def fall_behind(self, peer: int) -> None:
        if peer in self.members:
            self.group.fall_behind(self.members[peer])

    def settle(self) -> None:
        """Everybody reads everything, and then holds what the rule gives."""
        while self.rib.pending:
            self.apply()
        for peer, member in self.members.items():
            self.drain(peer)
            while not member.in_step:
                self.pull(peer, 2)
            ear = self.ears[peer]
            assert ear.ended == 1
            assert self.group.count(member) == len(ear.routes)
            assert ear.routes == {
                key: self.words(out.attributes, out.next_hop)
                for key, out in self.group.holds(member).items()
            }
            for nlri in self.prefixes:
                heard = Counter(words for key, words in ear.routes.items() if key[4:] == nlri)
                assert heard == Counter(words for _, words in self.wanted(nlri, member))

    def ids(self, peer: int, prefix: int = 0) -> dict[int, int]:
        """Tell whose paths to a prefix a member holds, by identifier."""
        found = {}
        for key, words in self.ears[peer].routes.items():
            if key[4:] == self.prefixes[prefix]:
                teller = next(
                    n
                    for n in range(PEERS)
                    if (0xFDE90000 + n).to_bytes(4, "big") in words.attributes
                )
                found[int.from_bytes(key[:4], "big")] = teller
        return found


def identified(table: dict[Nlri, OutRoute], nlri: Nlri) -> dict[int, OutRoute]:
    """Give the routes of one prefix by identifier."""
    return {int.from_bytes(k[:4], "big"): out for k, out in table.items() if k[4:] == nlri}


def check_identifiers(before: dict[int, OutRoute], after: dict[int, OutRoute]) -> None:
    """What stays keeps its identifier; what goes is replaced, within its source where possible."""
    stood = {out: path_id for path_id, out in before.items()}
    new = {path_id: out for path_id, out in after.items() if out not in stood}
    assert all(stood[out] == path_id for path_id, out in after.items() if out in stood)
    lost = Counter(out.path.source for out in before.values() if out not in after.values())
    come = Counter(out.path.source for out in new.values())
    kept = Counter(
        out.path.source
        for path_id, out in new.items()
        if path_id in before and before[path_id].path.source is out.path.source
    )
    assert kept == lost & come
    assert len(before.keys() - after.keys()) == max(0, len(before) - len(after))
    unused = (n for n in range(1, 99) if n not in before)
    added = sorted(after.keys() - before.keys())
    assert added == [next(unused) for _ in added]


peer = st.integers(0, PEERS - 1)
some = st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)
limit = st.integers(1, 3)
path_id = st.integers(0, 2)
announce = st.tuples(st.just("announce"), peer, st.integers(0, KINDS - 1), some, path_id)
pull = st.tuples(st.just("pull"), peer, limit)
apply = st.tuples(st.just("apply"), st.none() | limit)
verbs = st.sampled_from(["join", "leave", "drain", "refresh", "fall_behind", "toggle"])
scripts = st.lists(
    st.one_of(
        announce,
        announce,
        announce,
        st.tuples(st.just("withdraw"), peer, some, path_id),
        apply,
        apply,
        pull,
        pull,
        st.tuples(verbs, peer),
        st.tuples(st.just("join"), peer),
    ),
    min_size=10,
    max_size=40,
)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@given(script=scripts, keep_unreachable=st.booleans())
def test_every_member_ends_up_with_the_paths_that_the_rule_gives_it(
    key: GroupKey, script: list[tuple[str, object]], keep_unreachable: bool
) -> None:
    audience = Audience(key, keep_unreachable=keep_unreachable)
    audience.join(0)
    for name, *arguments in script:
        getattr(audience, name)(*arguments)
    audience.settle()


def hearing(key: GroupKey = EXTERNAL, member: int = 0) -> Audience:
    """Make a group with one member that is in step."""
    audience = Audience(key)
    audience.join(member)
    audience.settle()
    return audience


def test_all_paths_are_told_and_each_has_an_identifier() -> None:
    audience = hearing()
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    assert audience.ids(0) == {1: 2, 2: 3, 3: 1}


def test_as_many_as_the_peer_is_to_have() -> None:
    audience = hearing(replace(EXTERNAL, add_path=2))
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    assert set(audience.ids(0).values()) == {2, 3}
    audience.withdraw(2, [0])
    audience.settle()
    assert set(audience.ids(0).values()) == {3, 1}
    assert audience.ears[0].withdrawn == []


def test_who_told_the_best_path_hears_the_others() -> None:
    audience = hearing(member=2)
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    assert set(audience.ids(2).values()) == {1, 3}


def test_a_path_that_goes_is_withdrawn_and_the_others_are_not_told_again() -> None:
    audience = hearing()
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    audience.withdraw(3, [0])
    audience.apply()
    (message,) = audience.members[0].queue
    assert exabgp_update(message[19:], path_ids=True).withdrawn == {SECOND + audience.prefixes[0]}
    audience.settle()
    assert audience.ids(0) == {1: 2, 3: 1}


def test_a_source_that_tells_another_path_replaces_its_own() -> None:
    audience = hearing()
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    audience.announce(3, 1, [0])
    audience.apply()
    (message,) = audience.members[0].queue
    assert exabgp_update(message[19:], path_ids=True).announced.keys() == {
        SECOND + audience.prefixes[0]
    }
    audience.settle()
    assert audience.ids(0) == {1: 2, 2: 3, 3: 1}


def test_paths_of_one_source_are_told_side_by_side_unless_they_leave_alike() -> None:
    audience = hearing()
    audience.announce(2, 0, [0], path_id=1)
    audience.announce(2, 1, [0], path_id=2)
    audience.settle()
    assert audience.ids(0) == {1: 2, 2: 2}
    # It differs from the first in MED and next hop, neither of which external peers are told.
    audience.announce(2, 2, [0], path_id=3)
    audience.settle()
    assert audience.ids(0) == {1: 2, 2: 2}


def test_a_path_in_the_place_of_another_sources_takes_its_identifier() -> None:
    audience = hearing()
    audience.announce(1, 0, [0])
    audience.announce(2, 0, [0])
    audience.settle()
    audience.withdraw(2, [0])
    audience.announce(3, 0, [0])
    audience.settle()
    assert audience.ids(0) == {1: 3, 2: 1}
    assert audience.ears[0].withdrawn == []


def test_numbers_that_were_given_up_are_used_again() -> None:
    audience = hearing()
    for teller in (1, 2, 3):
        audience.announce(teller, 0, [0])
    audience.settle()
    audience.withdraw(2, [0])
    audience.settle()
    audience.announce(2, 1, [0])
    audience.settle()
    assert audience.ids(0) == {1: 2, 2: 3, 3: 1}


def test_paths_are_reflected_with_who_told_them() -> None:
    """RFC 4456 §8: each path has its own ORIGINATOR_ID."""
    audience = hearing(CLIENTS, member=3)
    audience.announce(0, 1, [0])
    audience.announce(1, 2, [0])
    audience.settle()
    reflected = [words.attributes for words in audience.ears[3].routes.values()]
    originators = {octets[octets.index(b"\x80\x09\x04") + 3 :][:4] for octets in reflected}
    assert originators == {bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))}
    assert all(b"\x80\x0a\x04\0\0\0\x01" in octets for octets in reflected)


@pytest.mark.parametrize(("over", "held"), [(0, {1: 2}), (1, {})])
def test_an_identifier_takes_room_beside_long_attributes(over: int, held: dict[int, int]) -> None:
    """RFC 8654 §4: what does not fit the peer's messages is withdrawn."""
    audience = hearing()
    audience.announce(2, 0, [0])
    audience.settle()

    def padded(octets: int) -> Path:
        more = tlv(0xC0, 99, bytes(octets))
        made = attributes((65001,), communities=[0xFDE90002], more=more)
        path = Path(made, audience.sources[2], audience.hops[0])
        path.rank = rank(path)
        return path

    room = 4096 - 23 - 9
    size = len(rewrite(padded(1000), EXTERNAL).raw)
    path = padded(1000 + room - size + over)
    audience.tables[2].announce(path, audience.keys(2, [0], 0))
    audience.group.apply(audience.rib.take())
    audience.drain(0)
    assert audience.ids(0) == held


def test_only_groups_with_identifiers_have_the_table_follow_every_path() -> None:
    ribs = {IPV4_UNICAST: LocRib(IPV4_UNICAST), IPV6_UNICAST: LocRib(IPV6_UNICAST)}
    exports = Exports(ribs, lambda _: None)
    sources = peers(4)
    members = [Member(source, source.address) for source in sources]
    keys = [replace(EXTERNAL, add_path=n) for n in (0, 1, 2, ALL_PATHS)]
    groups = [exports.join(key, each) for key, each in zip(keys, members, strict=True)]
    assert [isinstance(group, PathsGroup) for group in groups] == [False, True, True, True]
    follows = []
    for group, each in zip(groups, members, strict=True):
        follows.append(ribs[IPV4_UNICAST].follows_all)
        exports.leave(group, each)
    assert follows == [True] * 4
    assert [rib.follows_all for rib in ribs.values()] == [False, False]
