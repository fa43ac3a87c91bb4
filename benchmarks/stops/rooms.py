"""What the benchmarks of single stops work on: the peers' messages, and tables to put them into.

`Peer` says what one peer of the table generator sends; `House` is what a router holds of it, as far
as the stops need: a Loc-RIB, the way in of each session, and export groups. Everything is made of
the product's own parts, none is replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

from benchmarks.table import blob
from benchmarks.table.attributes import TEMPLATE_ASN
from benchmarks.table.messages import announcements, bodies, withdrawals
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from policy.outbound import ALL_PATHS, GroupKey
from policy.path import NextHop, PeerType, Source, SourceKind
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.attribute_table import AttributeTable, Intake
from speaker.rib.export_group import ExportGroup
from speaker.rib.export_paths import PathsGroup
from speaker.rib.inbound import Inbound
from speaker.rib.loc_rib import Delta, LocRib
from speaker.rib.member import Member
from speaker.wire.attributes import ScanContext
from speaker.wire.update import sections

PREFIXES = 100_000
OUR_AS = 65000
SLICE = 2048
"""Prefixes that a step of a turn takes from the Loc-RIB."""

_PATH_ID = b"\0\0\0\1"
_OURS = {4: "10.2.0.1", 6: "fd00:2::1"}
_FAMILIES = {4: IPV4_UNICAST, 6: IPV6_UNICAST}


@cache
def _table(family: int, attribute_seed: int | None) -> blob.Table:
    return blob.draw(PREFIXES, family, attribute_seed=attribute_seed)


@dataclass(frozen=True, slots=True)
class Peer:
    """One sender of a table.

    Attributes:
        number: from 1 on; decides AS and address.
        family: 4 or 6.
        attribute_seed: other attributes for the same prefixes.
        has_ids: tells path identifiers (RFC 7911).
    """

    number: int = 1
    family: int = 4
    attribute_seed: int | None = None
    has_ids: bool = False

    @property
    def asn(self) -> int:
        return TEMPLATE_ASN + self.number - 1

    @property
    def next_hop(self) -> str:
        return f"10.1.1.{self.number}" if self.family == 4 else f"fd00:1::1:{self.number:x}"

    @property
    def table(self) -> blob.Table:
        return _table(self.family, self.attribute_seed)

    @property
    def stream(self) -> bytes:
        """All UPDATEs that announce the table."""
        return _stream(self)

    @property
    def bodies(self) -> list[bytes]:
        """Their bodies."""
        return list(bodies(self.stream))

    @property
    def withdrawals(self) -> list[bytes]:
        """The bodies of the UPDATEs that withdraw the table."""
        return list(bodies(b"".join(withdrawals(self.table.prefixes, self.family))))

    @property
    def sets(self) -> list[bytes]:
        """The attribute sets, each once; IPv4 only."""
        return list(dict.fromkeys(sections(body)[1] for body in self.bodies))

    def source(self) -> Source:
        return Source(
            f"s{self.number}",
            SourceKind.BGP,
            peer_type=PeerType.EXTERNAL,
            address=ip_address(self.next_hop).packed,
            router_id=0x0A010100 + self.number,
            asn=self.asn,
            tells_several=self.has_ids,
        )


@cache
def _stream(peer: Peer) -> bytes:
    octets = b"".join(
        message
        for attributes, group in peer.table.groups
        for message in announcements(
            attributes, [_PATH_ID + each for each in group] if peer.has_ids else group, peer.family
        )
    )
    return blob.retarget(octets, peer.family, peer.asn, peer.next_hop)


class _NextHops:
    """Next hops that are always reachable."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int, bytes], NextHop] = {}

    def intern(
        self, address: bytes, scope: int = 0, link_local: bytes = b"", peer: bytes = b""
    ) -> NextHop:
        return self._known.setdefault((address, scope, link_local), NextHop(address))

    def is_own(self, address: bytes, scope: int = 0) -> bool:
        return False


class House:
    """The tables of a router.

    Args:
        family: 4 or 6.
    """

    def __init__(self, family: int = 4) -> None:
        self.family: Family = _FAMILIES[family]
        self.loc_rib = LocRib(self.family)
        self._address = ip_address(_OURS[family]).packed
        self._next_hops = _NextHops()
        self._receivers = 0

    def attribute_table(self, peer: Peer, source: Source | None = None) -> AttributeTable:
        """Make what interns the attributes of a session."""
        intake = Intake(source or peer.source(), ScanContext(), OUR_AS, router_id=0x0A020001)
        return AttributeTable(intake, self._next_hops, self.loc_rib.note)

    def session(self, peer: Peer) -> Inbound:
        """Make the way in of a session."""
        source = peer.source()
        kind = AdjRibInPaths if peer.has_ids else AdjRibIn
        rib = kind(source, self.family, self.loc_rib)
        return Inbound(self.attribute_table(peer, source), {self.family: rib})

    def heard(self, *peers: Peer) -> list[AdjRibIn]:
        """Let peers tell their tables, and what has changed be taken; give their tables."""
        ribs = []
        for peer in peers:
            inbound = self.session(peer)
            learn(inbound, peer.bodies)
            ribs.append(inbound.ribs[self.family])
        self.deltas()
        return ribs

    def deltas(self) -> list[Delta]:
        """Take all that has changed, as turns do."""
        return take(self.loc_rib)

    def key(self, *, tells_all: bool = False) -> GroupKey:
        """Say what receivers have in common."""
        return GroupKey(
            self.family,
            PeerType.EXTERNAL,
            OUR_AS,
            self._address,
            router_id=0x0A020001,
            add_path=ALL_PATHS if tells_all else 0,
        )

    def group(self, receivers: int = 1, *, tells_all: bool = False) -> ExportGroup:
        """Make a group of receivers that are in step."""
        self.loc_rib.follows_all = tells_all
        kind = PathsGroup if tells_all else ExportGroup
        group = kind(self.family, self.key(tells_all=tells_all), self.loc_rib)
        for _ in range(receivers):
            member = self.receiver()
            group.join(member)
            while not member.in_step:
                group.pull(member)
        return group

    def receiver(self) -> Member:
        """Make a session that only listens."""
        self._receivers += 1
        number = self._receivers
        address = bytes((10, 2, 1, number))
        source = Source(
            f"r{number}",
            SourceKind.BGP,
            peer_type=PeerType.EXTERNAL,
            address=address,
            router_id=int.from_bytes(address, "big"),
            asn=4210000000 + number,
        )
        return Member(source, address)


def learn(inbound: Inbound, bodies: Iterable[bytes]) -> None:
    """Take UPDATEs in, as a session does."""
    learn_one = inbound.learn
    for body in bodies:
        learn_one(body)


def take(loc_rib: LocRib) -> list[Delta]:
    """Take all that has changed, slice by slice."""
    deltas = []
    while loc_rib.pending:
        deltas.append(loc_rib.take(SLICE))
    return deltas


def apply(group: ExportGroup, deltas: Iterable[Delta]) -> None:
    """Let a group follow, as turns do."""
    for delta in deltas:
        group.apply(delta)
