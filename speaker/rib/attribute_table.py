"""From attribute octets to one interned path, per peer.

The octets of an UPDATE's attributes are the key; what they mean is worked out once, when a key is
seen for the first time, however many UPDATEs repeat it. One table belongs to one session, since the
same octets mean different things under different negotiations (AS numbers of two or four octets,
internal or external peer).

What is worked out: the verdict of RFC 7606, the loop checks (AS_PATH, ORIGINATOR_ID, CLUSTER_LIST),
whether the next hop can be one at all, and the `Path` with its rank. A set that must not be used
keeps the reason instead of a path; its prefixes are withdrawn.

Standards: RFC 4271 §6.3, §9.1.2; RFC 4456 §8; RFC 7606.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from policy.attributes import PathAttributes
from policy.decision import DecisionOptions, rank
from policy.path import NextHop, Path, Source
from speaker.wire.attributes import Fault, ScanContext, Scanned, Verdict, missing, scan
from speaker.wire.usual import usual_next_hop


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
    """

    source: Source
    context: ScanContext
    local_asn: int
    allow_local_as: int = 0
    router_id: int = 0
    cluster_id: int = 0
    interface: int = 0
    options: DecisionOptions = field(default_factory=DecisionOptions)


class Interned:
    """What one attribute set means: a path, or the reason why there is none."""

    __slots__ = ("faults", "path", "why_not")

    def __init__(self, path: Path | None, why_not: str, faults: tuple[Fault, ...]) -> None:
        self.path = path
        self.why_not = why_not
        self.faults = faults


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
        self._known: dict[bytes | tuple[bytes, bytes], Interned] = {}
        self.lookup = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def paths(self) -> Iterable[Path]:
        """Give every path that is known."""
        return (interned.path for interned in self._known.values() if interned.path is not None)

    # hot: per attribute set
    def intern_usual(self, raw: bytes) -> Interned | None:
        """Intern attributes of the usual shape, without taking them apart; None for others."""
        next_hop = usual_next_hop(raw, self.intake.context)
        if next_hop is None:
            return None
        known = self._known[raw] = self._make(PathAttributes(raw, next_hop), ())
        return known

    def intern_classic(self, raw: bytes) -> Interned:
        """Intern attributes whose prefixes stand in the NLRI field (IPv4, NEXT_HOP).

        Raises:
            UpdateMessageError: the session must be reset.
        """
        known = self._known.get(raw)
        if known is None:
            scanned = scan(raw, self.intake.context)
            known = self._known[raw] = self._judge(scanned, scanned.next_hop, b"", classic=True)
        return known

    def intern_multiprotocol(self, raw: bytes, next_hop: bytes, link_local: bytes) -> Interned:
        """Intern attributes whose prefixes and next hop stand in MP_REACH_NLRI.

        Raises:
            UpdateMessageError: the session must be reset.
        """
        key = (raw, next_hop + link_local)
        known = self._known.get(key)
        if known is None:
            scanned = scan(raw, self.intake.context)
            known = self._judge(scanned, next_hop, link_local, classic=False)
            self._known[key] = known
        return known

    def _judge(
        self, scanned: Scanned, next_hop: bytes, link_local: bytes, *, classic: bool
    ) -> Interned:
        faults = scanned.faults
        internal = self.intake.context.internal
        if not scanned.withdraw:
            absent = missing(scanned.codes, internal=internal, classic=classic)
            if absent is not None:
                faults = (*faults, absent)
        for fault in faults:
            if fault.verdict is not Verdict.DISCARD:
                return Interned(None, str(fault), faults)
        # RFC 4760 §3: NEXT_HOP has no meaning beside MP_REACH_NLRI; `rewrite` sets its own.
        return self._make(PathAttributes(scanned.raw, next_hop, link_local), faults)

    def _make(self, attributes: PathAttributes, faults: tuple[Fault, ...]) -> Interned:
        """Make the path of a well-formed set, unless it must not be used."""
        why_not = self._refusal(attributes)
        if why_not:
            return Interned(None, why_not, faults)
        path = Path(attributes, self.intake.source, self._next_hop(attributes))
        path.rank = rank(path, self.intake.options)
        self._notice(path)
        return Interned(path, "", faults)

    def _next_hop(self, attributes: PathAttributes) -> NextHop:
        if attributes.link_local and not any(attributes.next_hop):
            return self._next_hops.intern(attributes.link_local, self.intake.interface)
        interface = self.intake.interface if is_link_local(attributes.next_hop) else 0
        return self._next_hops.intern(attributes.next_hop, interface)

    def _refusal(self, attributes: PathAttributes) -> str:
        """Say why a well-formed set must not be used, or nothing."""
        intake = self.intake
        seen = attributes.count_as(intake.local_asn)
        if seen > intake.allow_local_as:
            return f"AS loop: {intake.local_asn} stands in the AS_PATH {seen} times"
        if intake.context.internal:
            if attributes.originator_id == intake.router_id:
                return "ORIGINATOR_ID is our own"
            if intake.cluster_id and intake.cluster_id in attributes.cluster_list:
                return "our cluster stands in the CLUSTER_LIST"
        return self._next_hop_refusal(attributes)

    def _next_hop_refusal(self, attributes: PathAttributes) -> str:
        """RFC 4271 §6.3: a next hop that is not a usable address, or is our own."""
        address = attributes.next_hop
        if not any(address):
            return "" if attributes.link_local else "the next hop is the unspecified address"
        # A session over loopback, as in a test bed on one machine, has its next hops there too.
        on_loopback = is_loopback(address) and not is_loopback(self.intake.source.address)
        if is_multicast(address) or on_loopback:
            return "the next hop is no unicast address of a neighbour"
        if self._next_hops.is_own(address):
            return "the next hop is our own address"
        return ""

    def sweep(self, alive: set[Path]) -> None:
        """Let go of paths that no table uses any more.

        Args:
            alive: paths that stand in a table.
        """
        for key, interned in list(self._known.items()):
            if interned.path is None or interned.path not in alive:
                del self._known[key]


def is_link_local(address: bytes) -> bool:
    """Tell whether an address is fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_multicast(address: bytes) -> bool:
    """Tell whether an address is multicast, or IPv4's reserved class above it."""
    return address[0] >= 0xE0 if len(address) == 4 else address[0] == 0xFF


def is_loopback(address: bytes) -> bool:
    """Tell whether an address is a loopback address or of network 0."""
    if len(address) == 4:
        return address[0] in (0, 127)
    return bool(address) and not any(address[:15]) and address[15] == 1
