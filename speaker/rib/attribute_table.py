"""From attribute octets to one interned path, per peer.

The octets of an UPDATE's attributes are the key; what they mean is worked out once, when a key is
seen for the first time, however many UPDATEs repeat it. One table belongs to one session, since the
same octets mean different things under different negotiations (AS numbers of two or four octets,
internal or external peer).

What is worked out: the verdict of RFC 7606, the loop checks (AS_PATH, ORIGINATOR_ID, CLUSTER_LIST),
whether the next hop can be one at all, and the `Path` with its rank. A set that must not be used
keeps the reason instead of a path; its prefixes are withdrawn.

Standards: RFC 4271 §6.3, §9.1.2; RFC 4456 §8; RFC 7606; RFC 7999 §3; RFC 8326 §4; RFC 9234 §5;
RFC 9494 §4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from policy.attributes import Attribute, PathAttributes
from policy.path import NextHop, Path, RelayedPath, Source
from policy.roles import Role, received
from policy.wellknown import NOTHING_HONOURED, CommunityRules, honour, last_resort
from speaker.wire.attributes import ScanContext, Scanned, missing, scan
from speaker.wire.usual import usual_parts
from speaker.wire.verdicts import TABLE, Error, Fault, Verdict, fault

REFUSED_KEPT = 1024
"""So many sets that must not be used are remembered, since a peer may never stop making some up."""

OCTETS_EACH = 256
"""Octets of a usual set: a few large ones fill memory as well as many of these."""


class NextHopSource(Protocol):
    """Where next hops are interned; `speaker.rib.next_hops.NextHopTable` is one."""

    def intern(
        self, address: bytes, scope: int = 0, link_local: bytes = b"", peer: bytes = b""
    ) -> NextHop:
        """Give the one object of an address, of the one beside it, and of who stands in for it."""

    def is_own(self, address: bytes, scope: int = 0) -> bool:
        """Tell whether an address is this node's own, on its link if it is of one."""


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
        interface: of the link that the peer is on, for link-local next hops; 0 where it is not
            known, or the peer is not on a link of ours.
        role: ours on the session, where one is configured (RFC 9234).
        communities: which wishes of the peer are honoured.
        enforces_first_as: an external peer's AS_PATH must begin with its AS (RFC 4271 §6.3).
        own_addresses: of ours on this session, besides those that the kernel tells.
        gateway: the peer's address, where it is to be the gateway of next hops that are on no link.
    """

    source: Source
    context: ScanContext
    local_asn: int
    allow_local_as: int = 0
    router_id: int = 0
    cluster_id: int = 0
    interface: int = 0
    role: Role | None = None
    communities: CommunityRules = NOTHING_HONOURED
    enforces_first_as: bool = False
    own_addresses: frozenset[bytes] = frozenset()
    gateway: bytes = b""


class Interned:
    """What one attribute set means: a path, or the reason why there is none."""

    __slots__ = ("faults", "path", "why_not")

    def __init__(self, path: Path | None, why_not: str, faults: tuple[Fault, ...]) -> None:
        self.path = path
        self.why_not = why_not
        self.faults = faults


_Key: TypeAlias = bytes | tuple[bytes, bytes] | tuple[bytes, bytes, bytes]


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
        # Sets that nothing speaks against; those with faults, used or not, are kept apart.
        self._known: dict[_Key, Path] = {}
        self._faulty: dict[_Key, Interned] = {}
        self._refused: dict[_Key, Interned] = {}
        self._octets = 0
        self.lookup = self._known.get
        # Next hops that may be one, as they stood in a set that was judged at length.
        self._through: dict[bytes, NextHop] = {}
        # Neighbouring AS and MED of usual sets, by their octets; each pair is noticed once.
        self._heard: dict[bytes, tuple[int, int | None]] = {}
        # What paths are as a last resort, when the peer is gone for long.
        self._last_resorts: dict[Path, Path | None] = {}
        self._context = intake.context
        self._source = intake.source
        self._has_role = intake.role is not None
        self._own_asn = intake.local_asn.to_bytes(4, "big")
        own = (intake.router_id, intake.cluster_id)
        self._loop_marks = tuple(mark.to_bytes(4, "big") for mark in own if mark)
        checks_first = intake.enforces_first_as and not intake.context.internal
        self._first_asn = intake.source.asn.to_bytes(4, "big") if checks_first else b""

    def __len__(self) -> int:
        return len(self._known) + len(self._faulty) + len(self._refused)

    @property
    def weight(self) -> int:
        """How much is kept: the number of sets, or more where they are large."""
        return max(len(self), self._octets // OCTETS_EACH)

    def paths(self) -> Iterable[Path]:
        """Give every path that is known."""
        yield from self._known.values()
        yield from (each.path for each in self._faulty.values() if each.path is not None)
        yield from (path for path in self._last_resorts.values() if path is not None)

    def last_resort(self, path: Path) -> Path | None:
        """Give a path as it is used when the peer is gone for long; None: not at all.

        RFC 9494 §4.2-4.3.
        """
        if path not in self._last_resorts:
            made = self._last_resorts[path] = _last_resort(path)
            if made is not None:
                self._notice(made)
        return self._last_resorts[path]

    def _find(self, key: _Key) -> Interned | None:
        path = self._known.get(key)
        if path is not None:
            return Interned(path, "", ())
        return self._faulty.get(key) or self._refused.get(key)

    def _keep(self, key: _Key, interned: Interned) -> Interned:
        self._octets += _octets(key)
        if interned.path is None:
            self._refused[key] = interned
            if len(self._refused) > REFUSED_KEPT:
                del self._refused[next(iter(self._refused))]
        elif interned.faults:
            self._faulty[key] = interned
        else:
            self._known[key] = interned.path
        return interned

    # hot: per attribute set
    def intern_usual(self, raw: bytes, beside: bytes = b"") -> Path | None:
        """Intern attributes of the usual shape, without taking them apart.

        Args:
            raw: the attributes.
            beside: the next hop, or two, of an MP_REACH_NLRI that stood beside them; empty where
                the prefixes stand in the NLRI field.

        Returns:
            None for a set of another shape, or one of which `_judge` has to say why it is not used.
        """
        parts = usual_parts(raw, self._context)
        if parts is None:
            return None
        as_path, next_hop, med, local_pref, before, reflection, _, _ = parts
        if beside:
            next_hop = beside
        # A set without any next hop leads nowhere either.
        through = self._through.get(next_hop) if next_hop else None
        neighbor = as_path[3:7]
        if (
            through is None
            or next_hop is None
            or self._own_asn in as_path
            or (self._first_asn and neighbor != self._first_asn)
            or b"\xff\xff" in before
            or (reflection and any(mark in reflection for mark in self._loop_marks))
            or self._has_role
        ):
            return None
        # IPv6 may have a second one, of the link, behind the first (RFC 2545 §3).
        attributes = PathAttributes(raw, next_hop[:16], next_hop[16:])
        path = Path(attributes, self._source, through)
        self._known[(raw, beside) if beside else raw] = path
        self._octets += len(raw)
        # What a decision asks for is at hand here; octet by octet it would be read again.
        attributes.origin = raw[3]
        attributes.as_path_length = as_path[2] if len(as_path) > 1 else 0
        attributes.local_pref = None if local_pref is None else int.from_bytes(local_pref, "big")
        heard = neighbor if med is None else neighbor + med
        known = self._heard.get(heard)
        if known is not None:
            attributes.neighbor_as, attributes.med = known
            return path
        attributes.neighbor_as = int.from_bytes(neighbor, "big")
        attributes.med = None if med is None else int.from_bytes(med, "big")
        self._heard[heard] = attributes.neighbor_as, attributes.med
        self._notice(path)
        return path

    def intern_classic(self, raw: bytes) -> Interned:
        """Intern attributes whose prefixes stand in the NLRI field (IPv4, NEXT_HOP).

        Raises:
            UpdateMessageError: the session must be reset.
        """
        known = self._find(raw)
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
        known = self._find(key)
        if known is not None:
            return known
        scanned = scan(raw, self.intake.context)
        return self._keep(key, self._judge(scanned, next_hop, link_local, classic=False))

    def intern_relayed(self, raw: bytes, next_hop: bytes, rests: Iterable[bytes]) -> list[Interned]:
        """Intern attributes of routes that are relayed, with each of what their NLRI share.

        The next hop may have any form, and need not lead anywhere from here; what is decided about
        attributes on unicast routes alone (roles, communities that are honoured) is left out.

        Raises:
            UpdateMessageError: the session must be reset.
        """
        found = {rest: self._find((raw, next_hop, rest)) for rest in rests}
        judged = next((each for each in found.values() if each is not None), None)
        for rest, known in found.items():
            if known is None:
                # Labels may differ from route to route; attributes are judged, and kept, once.
                judged = self._judge_relayed(raw, next_hop, rest, judged)
                found[rest] = self._keep((raw, next_hop, rest), judged)
        return [each for each in found.values() if each is not None]

    def _judge_relayed(
        self, raw: bytes, next_hop: bytes, rest: bytes, like: Interned | None
    ) -> Interned:
        """Judge attributes that may have been judged with another rest."""
        if like is None:
            scanned = scan(raw, self.intake.context)
            faults = self._faults(scanned, classic=False)
            attributes = PathAttributes(scanned.raw, next_hop)
            refusal = _grave(faults)
            if not refusal:
                wrong = self._first_as(attributes)
                faults = faults if wrong is None else (*faults, wrong)
                refusal = _grave(faults) or self._loop(attributes)
        elif like.path is None:
            return like
        else:
            attributes, refusal, faults = like.path.attributes, "", like.faults
        if refusal:
            return Interned(None, refusal, faults)
        path = RelayedPath(attributes, self.intake.source, rest)
        if like is None:
            self._notice(path)
        return Interned(path, "", faults)

    def _faults(self, scanned: Scanned, *, classic: bool) -> tuple[Fault, ...]:
        """Give the faults of a set, with what is missing in it."""
        if not scanned.withdraw:
            internal = self.intake.context.internal
            absent = missing(scanned.codes, internal=internal, classic=classic)
            if absent is not None:
                return (*scanned.faults, absent)
        return scanned.faults

    def _judge(
        self, scanned: Scanned, next_hop: bytes, link_local: bytes, *, classic: bool
    ) -> Interned:
        faults = self._faults(scanned, classic=classic)
        grave = _grave(faults)
        if grave:
            return Interned(None, grave, faults)
        # RFC 4760 §3: NEXT_HOP has no meaning beside MP_REACH_NLRI; `rewrite` sets its own.
        attributes = PathAttributes(scanned.raw, next_hop, link_local)
        return self._make(attributes, faults, classic=classic)

    def _make(
        self, attributes: PathAttributes, faults: tuple[Fault, ...], *, classic: bool
    ) -> Interned:
        """Make the path of a well-formed set, unless it must not be used."""
        intake = self.intake
        wrong = self._first_as(attributes)
        if wrong is not None:
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
        through = self.next_hop_of(used)
        self._through[used.next_hop + used.link_local] = through
        path = Path(used, intake.source, through, blackhole=blackhole)
        self._notice(path)
        return Interned(path, "", faults)

    def _first_as(self, attributes: PathAttributes) -> Fault | None:
        """RFC 4271 §6.3. A route server leaves its own number out (RFC 7947 §2.2.2.1)."""
        intake, asn = self.intake, self.intake.source.asn
        if not intake.enforces_first_as or attributes.neighbor_as == asn:
            return None
        if intake.context.internal or intake.role is Role.ROUTE_SERVER_CLIENT:
            return None
        return fault(Attribute.AS_PATH, Error.FIRST_AS, f"it does not begin with {asn}")

    def next_hop_of(self, attributes: PathAttributes) -> NextHop:
        """Find where a path leads; `speaker.rib.next_hops` says which of two addresses it takes."""
        address, link_local = attributes.next_hop, attributes.link_local
        interface, gateway = self.intake.interface, self.intake.gateway
        if not link_local:
            if not gateway and not is_link_local(address):
                interface = 0
            return self._next_hops.intern(address, interface, b"", gateway)
        if is_link_local(address) or not any(address):
            # Twice the link-local one, or none beside it: how some say that they have no other.
            return self._next_hops.intern(link_local, interface, b"", gateway)
        return self._next_hops.intern(address, interface, link_local, gateway)

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
        address, scope = attributes.next_hop, self.intake.interface
        if not any(address):
            address = attributes.link_local
        if not address:
            words = "the next hop is the unspecified address"
            return _excluded(code, Error.UNSPECIFIED, words)
        error = self._martian(address)
        if error is not None:
            return _excluded(code, error, "the next hop is no unicast address of a neighbour")
        if address in self.intake.own_addresses or self._next_hops.is_own(address, scope):
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

    def is_needed(self, alive: set[Path]) -> bool:
        """Tell whether all that is kept stands in a table, of which these are the paths."""
        return not self._refused and alive.issuperset(self.paths())

    def sweep(self, alive: set[Path]) -> None:
        """Let go of paths that no table uses any more.

        Args:
            alive: paths that stand in a table.
        """
        self._known = {key: path for key, path in self._known.items() if path in alive}
        self._faulty = {key: each for key, each in self._faulty.items() if each.path in alive}
        self.lookup = self._known.get
        self._last_resorts = {
            path: last for path, last in self._last_resorts.items() if last in alive
        }
        self._refused.clear()
        self._heard.clear()
        self._through.clear()
        self._octets = sum(map(_octets, self._known)) + sum(map(_octets, self._faulty))


def _octets(key: _Key) -> int:
    return len(key) if isinstance(key, bytes) else len(key[0])


def _last_resort(path: Path) -> Path | None:
    attributes = last_resort(path.attributes)
    if attributes is None or attributes is path.attributes:
        return None if attributes is None else path
    if isinstance(path, RelayedPath):
        return RelayedPath(attributes, path.source, path.rest)
    return Path(attributes, path.source, path.next_hop, blackhole=path.blackhole)


def _grave(faults: Iterable[Fault]) -> str:
    """Name the first fault for which routes cannot be used; empty if there is none."""
    return next((str(fault) for fault in faults if fault.is_grave), "")


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
