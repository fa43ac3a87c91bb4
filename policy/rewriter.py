"""The attributes with which routes leave, made for many paths of one group.

A `Rewriter` has two ways to one result. The short way takes attribute sets of the usual shape
(`policy.usual`): a few parts are made anew, all others are joined as they came. Everything else
(operations, unknown attributes, two-octet AS numbers, …) goes the long way of
`policy.outbound.rewrite_fully`, which a property test uses as the referee of the short one.

Standards: RFC 4271 §5.1; RFC 4456 §8; RFC 2545 §3.
"""

from __future__ import annotations

from struct import Struct

from policy.attributes import OPTIONAL, Attribute, tlv
from policy.operations import Operation
from policy.outbound import (
    GroupKey,
    Leaving,
    NextHopMode,
    Outbound,
    is_demoted,
    local_pref_for,
    next_hop_for,
    rewrite_fully,
)
from policy.path import Path, PeerType
from policy.usual import UsualParts, usual

_U32 = Struct("!I")
# What a NamedTuple's own constructor does, without the way through Python.
_bare = tuple.__new__

_GROWN = {2 + 4 * n if n else 0: bytes((6 + 4 * n, 2, n + 1)) for n in range(63)}
"""By the length of a usual AS_PATH: length, kind and count of one that is longer by one AS."""
_AS_PATH_HEAD = b"\x40\x02"
_NEXT_HOP_HEAD = b"\x40\x03\x04"
_LOCAL_PREF_HEAD = b"\x40\x05\x04"
_MED_HEAD = b"\x80\x04\x04"
_ORIGINATOR_HEAD = b"\x80\x09\x04"
_LONGEST_TO_GROW = 250
"""Octets of an AS_PATH that grows within one octet of length."""


class Rewriter:
    """Makes the attributes with which paths leave to one group.

    What does not depend on the path is worked out once. The short way takes a usual set
    (`policy.usual`) and puts its parts together again; `rewrite_fully` takes whatever else there
    is.

    Args:
        key: the group.
    """

    __slots__ = ("_asn", "_demotes", "_is_plain", "_names_next_hop", "_own", "_rewritten", "key")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self._asn = _U32.pack(key.local_asn)
        is_external = key.peer_type is PeerType.EXTERNAL
        self._rewritten = self._outside if is_external else self._inside
        self._is_plain = (
            key.four_octet_as
            and key.role is None
            and not key.originates_aigp
            and key.leaving is Leaving.NO
        )
        self._demotes = key.demotes_stale
        # The next hop of a relayed route stands beside it, whatever its size.
        self._names_next_hop = not key.relays
        # What is told where the next hop is never another's.
        is_own = is_external and key.next_hop_mode is not NextHopMode.KEEP
        own = (key.local_address, key.local_link_address)
        self._own = own if is_own and not key.relays else None

    # hot: per attribute set
    def __call__(self, path: Path, operations: tuple[Operation, ...] = ()) -> Outbound:
        """Rewrite a path.

        Args:
            path: which the group may hear (`export_partition`).
            operations: of the verdict.
        """
        short = None if operations else self.shortly(path)
        return rewrite_fully(path, self.key, operations) if short is None else short

    # hot: per attribute set
    def shortly(self, path: Path) -> Outbound | None:
        """Rewrite a usual set without taking it apart; None for one of another shape."""
        parts = usual(path.attributes.raw) if self._is_plain else None
        if parts is None or (self._demotes and is_demoted(path, self.key)):
            return None
        return self._rewritten(path, parts)

    # hot: per attribute set
    def _outside(self, path: Path, parts: UsualParts) -> Outbound | None:
        """Rewrite for another AS; None where something would not pass unchanged."""
        as_path, _, med, _, before, reflection, extended, behind = parts
        if reflection or extended or as_path[0] > _LONGEST_TO_GROW:
            return None
        grown = _GROWN[as_path[0]] + self._asn + as_path[3:]
        next_hop, link_local = self._own or next_hop_for(path, self.key)
        named = _NEXT_HOP_HEAD + next_hop if len(next_hop) == 4 and self._names_next_hop else b""
        told = b"" if med is None else self._med_outside(path, med)
        # ORIGIN is one octet behind a header of three.
        origin = path.attributes.raw[:4]
        raw = b"".join((origin, _AS_PATH_HEAD, grown, named, told, before, behind))
        return _bare(Outbound, (raw, next_hop, link_local))

    def _med_outside(self, path: Path, med: bytes) -> bytes:
        """Write the MULTI_EXIT_DISC that an external peer is told, as `med_for` chooses it."""
        if not path.source.is_bgp:
            return _MED_HEAD + med
        return _MED_HEAD + bytes(4) if self.key.keeps_cleared_med else b""

    # hot: per attribute set
    def _inside(self, path: Path, parts: UsualParts) -> Outbound | None:
        """Rewrite for our own AS; None where attributes of reflection would have to go."""
        as_path, _, med, local_pref, before, reflection, extended, behind = parts
        key = self.key
        if path.source.is_internal:
            reflection = self._reflected(path, reflection)
        elif reflection:
            return None
        if key.builtin is not None or local_pref is None:
            local_pref = _U32.pack(local_pref_for(path, key))
        next_hop, link_local = next_hop_for(path, key)
        named = _NEXT_HOP_HEAD + next_hop if len(next_hop) == 4 and self._names_next_hop else b""
        told = b"" if med is None else _MED_HEAD + med
        origin = path.attributes.raw[:4]
        front = (origin, _AS_PATH_HEAD, as_path, named, told, _LOCAL_PREF_HEAD, local_pref)
        raw = b"".join((*front, before, reflection, extended, behind))
        return _bare(Outbound, (raw, next_hop, link_local))

    def _reflected(self, path: Path, reflection: bytes) -> bytes:
        """Write ORIGINATOR_ID and CLUSTER_LIST of a path that is reflected (RFC 4456 §8)."""
        cluster = _U32.pack(self.key.cluster_id or self.key.router_id)
        originator, clusters = _ORIGINATOR_HEAD + _U32.pack(path.source.router_id), reflection
        if reflection.startswith(_ORIGINATOR_HEAD):
            originator, clusters = reflection[:7], reflection[7:]
        return originator + tlv(OPTIONAL, Attribute.CLUSTER_LIST, cluster + clusters[3:])


def rewrite(path: Path, key: GroupKey, operations: tuple[Operation, ...] = ()) -> Outbound:
    """Make the attributes with which one path leaves to a group; for many, keep a `Rewriter`."""
    return Rewriter(key)(path, operations)
