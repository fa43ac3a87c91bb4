"""From attribute octets to one interned path, per peer.

The octets of an UPDATE's attributes are the key; what they mean is worked out once, when a key is
seen for the first time, however many UPDATEs repeat it. One table belongs to one session, since the
same octets mean different things under different negotiations (AS numbers of two or four octets,
internal or external peer).

What is worked out: the verdict of RFC 7606, the loop checks (AS_PATH, ORIGINATOR_ID, CLUSTER_LIST),
whether the next hop can be one at all, and the `Path` with its rank. A set that must not be used
keeps the reason instead of a path; its prefixes are withdrawn.

Standards: RFC 4271 §6.3, §9.1.2; RFC 4456 §8; RFC 7606; RFC 7999 §3; RFC 8326 §4; RFC 9234 §5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from policy.attributes import Attribute, PathAttributes
from policy.decision import DecisionOptions, rank
from policy.path import NextHop, Path, Source
from policy.roles import Role, received
from policy.wellknown import NOTHING_HONOURED, CommunityRules, honour
from speaker.wire.attributes import ScanContext, Scanned, missing, scan
from speaker.wire.usual import usual_next_hop
from speaker.wire.verdicts import TABLE, Error, Fault, Verdict, fault

REFUSED_KEPT = 1024
"""So many sets that must not be used are remembered, since a peer may never stop making some up."""


class NextHopSource(Protocol):
    """Where next hops are interned; `speaker.rib.next_hops.NextHopTable` is one."""

    def intern(self, address: bytes, scope: int = 0) -> NextHop:
        """Give the one object of an address."""

    def is_own(self, address: bytes) -> bool:
        """Tell whether an address is this node's own."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a session lets in.

    Attributes:
        source: the peer.
        context: how its octets are read.
        local_asn: our AS on this session.
        allow_local_as: how often it may stand in an AS_PATH all the same.
        router_id: our BGP Identifier.
        cluster_id: our cluster, where we reflect; 0 where not.
        interface: of the session, for link-local next hops; 0 where it is not known.
        options: how paths are ranked.
        role: ours on the session, where one is configured (RFC 9234).
        communities: which wishes of the peer are honoured.
        enforces_first_as: an external peer's AS_PATH must begin with its AS (RFC 4271 §6.3).
        own_addresses: of ours on this session, besides those that the kernel tells.
    """

    source: Source
    context: ScanContext
    local_asn: int
    allow_local_as: int = 0
    router_id: int = 0
    cluster_id: int = 0
    interface: int = 0
    options: DecisionOptions = field(default_factory=DecisionOptions)
    role: Role | None = None
    communities: CommunityRules = NOTHING_HONOURED
    enforces_first_as: bool = False
    own_addresses: frozenset[bytes] = frozenset()


class Interned:
    """What one attribute set means: a path, or the reason why there is none."""

    __slots__ = ("faults", "path", "why_not")

    def __init__(self, path: Path | None, why_not: str, faults: tuple[Fault, ...]) -> None:
        self.path = path
        self.why_not = why_not
        self.faults = faults


_Key: TypeAlias = bytes | tuple[bytes, bytes]


class AttributeTable:
    """The interned attribute sets of one session.

    Args:
        intake: what the session lets in.
        next_hops: where next hops are interned.
        notice: told about every new path, before it is used.
    """

    def __init__(
        self, intake: Intake, next_hops: NextHopSource, notice: Callable[[Path], None]
    ) -> None:
        self.intake = intake
        self._next_hops = next_hops
        self._notice = notice
        self._known: dict[_Key, Interned] = {}
        self._refused: dict[_Key, Interned] = {}
        self.lookup = self._known.get

    def __len__(self) -> int:
        return len(self._known) + len(self._refused)

    def paths(self) -> Iterable[Path]:
        """Give every path that is known."""
        return (interned.path for interned in self._known.values() if interned.path is not None)

    def _keep(self, key: _Key, interned: Interned) -> Interned:
        if interned.path is not None:
            self._known[key] = interned
            return interned
        self._refused[key] = interned
        if len(self._refused) > REFUSED_KEPT:
            del self._refused[next(iter(self._refused))]
        return interned

    # hot: per attribute set
    def intern_usual(self, raw: bytes) -> Interned | None:
        """Intern attributes of the usual shape, without taking them apart; None for others."""
        next_hop = usual_next_hop(raw, self.intake.context)
        if next_hop is None:
            return None
        return self._keep(raw, self._make(PathAttributes(raw, next_hop), (), classic=True))

    def intern_classic(self, raw: bytes) -> Interned:
        """Intern attributes whose prefixes stand in the NLRI field (IPv4, NEXT_HOP).

        Raises:
            UpdateMessageError: the session must be reset.
        """
        known = self._known.get(raw) or self._refused.get(raw)
        if known is not None:
            return known
        scanned = scan(raw, self.intake.context)
        return self._keep(raw, self._judge(scanned, scanned.next_hop, b"", classic=True))

    def intern_multiprotocol(self, raw: bytes, next_hop: bytes, link_local: bytes) -> Interned:
        """Intern attributes whose prefixes and next hop stand in MP_REACH_NLRI.

        Raises:
            UpdateMessageError: the session must be reset.
        """
        key = (raw, next_hop + link_local)
        known = self._known.get(key) or self._refused.get(key)
        if known is not None:
            return known
        scanned = scan(raw, self.intake.context)
        return self._keep(key, self._judge(scanned, next_hop, link_local, classic=False))

    def _judge(
        self, scanned: Scanned, next_hop: bytes, link_local: bytes, *, classic: bool
    ) -> Interned:
        faults = scanned.faults
        internal = self.intake.context.internal
        if not scanned.withdraw:
            absent = missing(scanned.codes, internal=internal, classic=classic)
            if absent is not None:
                faults = (*faults, absent)
        for each in faults:
            if each.is_grave:
                return Interned(None, str(each), faults)
        # RFC 4760 §3: NEXT_HOP has no meaning beside MP_REACH_NLRI; `rewrite` sets its own.
        attributes = PathAttributes(scanned.raw, next_hop, link_local)
        return self._make(attributes, faults, classic=classic)

    def _make(
        self, attributes: PathAttributes, faults: tuple[Fault, ...], *, classic: bool
    ) -> Interned:
        """Make the path of a well-formed set, unless it must not be used."""
        intake = self.intake
        if intake.enforces_first_as and not self._begins_with_peer(attributes):
            wrong = fault(
                Attribute.AS_PATH, Error.FIRST_AS, f"it does not begin with {intake.source.asn}"
            )
            return Interned(None, str(wrong), (*faults, wrong))
        code = Attribute.NEXT_HOP if classic else Attribute.MP_REACH_NLRI
        refusal = self._loop(attributes) or self._next_hop_refusal(attributes, code)
        if refusal:
            return Interned(None, refusal, faults)
        used = attributes
        if intake.role is not None:
            marked = received(attributes, intake.role, intake.source.asn)
            if marked is None:
                words = "the route leaks: it is for customers only"
                return Interned(
                    None, _excluded(Attribute.ONLY_TO_CUSTOMER, Error.LEAK, words), faults
                )
            used = marked
        used, blackhole = honour(used, intake.source.peer_type, intake.communities)
        path = Path(used, intake.source, self._next_hop(used), blackhole=blackhole)
        path.rank = rank(path, intake.options)
        self._notice(path)
        return Interned(path, "", faults)

    def _begins_with_peer(self, attributes: PathAttributes) -> bool:
        """RFC 4271 §6.3. A route server leaves its own number out (RFC 7947 §2.2.2.1)."""
        intake = self.intake
        if intake.context.internal or intake.role is Role.ROUTE_SERVER_CLIENT:
            return True
        return attributes.neighbor_as == intake.source.asn

    def _next_hop(self, attributes: PathAttributes) -> NextHop:
        if attributes.link_local and not any(attributes.next_hop):
            return self._next_hops.intern(attributes.link_local, self.intake.interface)
        interface = self.intake.interface if is_link_local(attributes.next_hop) else 0
        return self._next_hops.intern(attributes.next_hop, interface)

    def _loop(self, attributes: PathAttributes) -> str:
        """Say which loop an attribute shows, or nothing (RFC 4271 §9.1.2, RFC 4456 §8)."""
        intake = self.intake
        seen = attributes.count_as(intake.local_asn)
        if seen > intake.allow_local_as:
            words = f"AS loop: {intake.local_asn} stands in the AS_PATH {seen} times"
            return _excluded(Attribute.AS_PATH, Error.LOOP, words)
        if intake.context.internal:
            if attributes.originator_id == intake.router_id:
                return _excluded(Attribute.ORIGINATOR_ID, Error.LOOP, "ORIGINATOR_ID is our own")
            if intake.cluster_id and intake.cluster_id in attributes.cluster_list:
                words = "our cluster stands in the CLUSTER_LIST"
                return _excluded(Attribute.CLUSTER_LIST, Error.LOOP, words)
        return ""

    def _next_hop_refusal(self, attributes: PathAttributes, code: int) -> str:
        """Say why a next hop is no usable address, or nothing (RFC 4271 §6.3)."""
        address = attributes.next_hop
        if not any(address):
            if attributes.link_local:
                return ""
            words = "the next hop is the unspecified address"
            return _excluded(code, Error.UNSPECIFIED, words)
        error = self._martian(address)
        if error is not None:
            return _excluded(code, error, "the next hop is no unicast address of a neighbour")
        if address in self.intake.own_addresses or self._next_hops.is_own(address):
            return _excluded(code, Error.OWN, "the next hop is our own address")
        return ""

    def _martian(self, address: bytes) -> Error | None:
        if is_multicast(address):
            return Error.MULTICAST
        if len(address) == 4 and address[0] == 0:
            return Error.THIS_NETWORK
        # A session over loopback, as in a test bed on one machine, has its next hops there too.
        if is_loopback(address) and not is_loopback(self.intake.source.address):
            return Error.LOOPBACK
        return None

    def sweep(self, alive: set[Path]) -> None:
        """Let go of paths that no table uses any more.

        Args:
            alive: paths that stand in a table.
        """
        for key, interned in list(self._known.items()):
            if interned.path not in alive:
                del self._known[key]
        self._refused.clear()


def _excluded(code: int, error: Error, words: str) -> str:
    """Give the reason for leaving a well-formed route out; the table must have it."""
    assert TABLE[code, error].verdict is Verdict.EXCLUDE
    return words


def is_link_local(address: bytes) -> bool:
    """Tell whether an address is fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_multicast(address: bytes) -> bool:
    """Tell whether an address is multicast, or IPv4's reserved class above it."""
    return address[0] >= 0xE0 if len(address) == 4 else address[0] == 0xFF


def is_loopback(address: bytes) -> bool:
    """Tell whether an address is a loopback address."""
    if len(address) == 4:
        return address[0] == 127
    return bool(address) and not any(address[:15]) and address[15] == 1
