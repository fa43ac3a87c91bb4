"""What paths become on their way out, for one group: made once, packed for all of its members.

An `OutRoute` is a path's attributes as the peers of a group are told them. `OutRoutes` makes one a
path, and one more for each set of operations by which an operator's rules change it, remembers
them as long as a prefix uses them, and packs them with prefixes into UPDATEs. Whom a route is
withheld from is looked up in the two sets that it keeps: the sources, and the next hops of others.

Relayed families say routes otherwise (`speaker.rib.relayed_out_routes`); nothing else about a group
is different for them.

Standards: RFC 4271 §9.1.3; RFC 8654 §4.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain

from policy.operations import Operation
from policy.outbound import GroupKey, withheld
from policy.path import Path, Source
from policy.prefix import Nlri
from policy.rewriter import Rewriter
from policy.rules import Verdict
from speaker.rib.attribute_table import OCTETS_EACH
from speaker.wire.update import Packer, pack_withdrawals


class OutRoute:
    """What a path becomes on its way out, for one group.

    Attributes:
        path: where it came from.
        attributes: encoded, as they stand in an UPDATE.
        next_hop: for MP_REACH_NLRI; of IPv4 routes it stands in the attributes.
        avoids: address of the member that must not get it because it is the next hop, or empty.
    """

    __slots__ = ("attributes", "avoids", "next_hop", "path")

    def __init__(self, path: Path, attributes: bytes, next_hop: bytes, avoids: bytes) -> None:
        self.path = path
        self.attributes = attributes
        self.next_hop = next_hop
        self.avoids = avoids


class OutRoutes:
    """The OutRoutes of one group.

    Args:
        key: what the members of the group have in common.

    Attributes:
        plain: what paths become where no rule of the operator changes them; None for those that
            do not fit into the members' messages.
        inherited: what paths became in a group that differed in its filter alone, and need not be
            made again.
        sources: from whom there are routes.
        avoided: next hops of others to which routes lead.
    """

    __slots__ = (
        "_changed",
        "_octets",
        "_packer",
        "_rewrite",
        "avoided",
        "inherited",
        "key",
        "plain",
        "sources",
    )

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.plain: dict[Path, OutRoute | None] = {}
        self.sources: set[Source] = set()
        self.avoided: set[bytes] = set()
        self._changed: dict[tuple[Path, tuple[Operation, ...]], OutRoute | None] = {}
        self.inherited: Mapping[Path, OutRoute | None] = {}
        self._octets = 0
        self._rewrite = Rewriter(key)
        self._packer = Packer(key.family, key.max_message, path_ids=key.add_path > 0)

    def make(self, path: Path, verdict: Verdict) -> OutRoute | None:
        """Give what a path becomes; None where it is not to be told, or cannot be."""
        if not verdict.accepted:
            return None
        if not verdict.operations:
            return self.plain[path] if path in self.plain else self.make_plain(path)
        key = (path, verdict.operations)
        if key not in self._changed:
            self._changed[key] = self._make(path, verdict.operations)
        return self._changed[key]

    # hot: per attribute set
    def make_plain(self, path: Path) -> OutRoute | None:
        """Make what an accepted path becomes as it is; None where it cannot be told."""
        out = self.inherited.get(path)
        if out is None:
            out = self._make(path, ())
        else:
            self._octets += len(out.attributes)
            self._keep_in_mind(out)
        self.plain[path] = out
        return out

    def _make(self, path: Path, operations: tuple[Operation, ...]) -> OutRoute | None:
        raw, own, link_local = self._rewrite(path, operations)
        next_hop = own + link_local
        # RFC 8654 §4: what does not fit the peer's messages is withdrawn.
        if not self._packer.room(raw, next_hop):
            return None
        self._octets += len(raw)
        avoids = b"" if own == self.key.local_address else own
        return self._keep_in_mind(OutRoute(path, raw, next_hop, avoids))

    def _keep_in_mind(self, out: OutRoute) -> OutRoute:
        """Remember who must not hear a route."""
        self.sources.add(out.path.source)
        if out.avoids:
            self.avoided.add(out.avoids)
        return out

    def says_the_same(self, one: OutRoute, other: OutRoute) -> bool:
        """Tell whether a peer that has heard the one need not be told the other."""
        return one.attributes == other.attributes and one.next_hop == other.next_hop

    def pack(self, out: OutRoute, nlris: list[Nlri]) -> list[bytes]:
        """Make the messages that tell prefixes with a route; with ADD-PATH the keys of a table."""
        return self._packer.pack(out.attributes, out.next_hop, nlris)

    def withdrawals(self, nlris: list[Nlri]) -> list[bytes]:
        """Make the messages that withdraw what stands in the table under these keys."""
        key = self.key
        return pack_withdrawals(key.family, nlris, key.max_message, path_ids=key.add_path > 0)

    @property
    def size(self) -> int:
        """How many there are, or more where they are large."""
        return max(len(self.plain) + len(self._changed), self._octets // OCTETS_EACH)

    def remake(self, paths: Collection[Path]) -> None:
        """Make anew what these paths become: the distance that they tell has changed."""
        self.plain = {path: out for path, out in self.plain.items() if path not in paths}
        self._changed = {key: out for key, out in self._changed.items() if key[0] not in paths}
        self.inherited = {}

    def forget(self, source: Source) -> None:
        """Who may hear the paths of a source is another question now: judge them when they come."""
        mine = [path for path in self.plain if path.source is source]
        for path in mine:
            if withheld(path, self.key) is not None:
                del self.plain[path]

    def keep(self, used: Collection[OutRoute | None]) -> None:
        """Forget all others than these, which prefixes use."""
        self.plain = {path: out for path, out in self.plain.items() if out in used}
        self._changed = {key: out for key, out in self._changed.items() if out in used}
        outs = chain(self.plain.values(), self._changed.values())
        self._octets = sum(len(out.attributes) for out in outs if out is not None)
        self.sources = {out.path.source for out in used if out is not None}
        self.avoided = {out.avoids for out in used if out is not None}
