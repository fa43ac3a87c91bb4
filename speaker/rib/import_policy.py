"""What becomes of a received path: accepted as it is, accepted changed, or refused.

An `ImportPolicy` belongs to one peer and family. It runs the peer's import filter and what the
node's own policy adds (the preference of urgent routes), and remembers the outcome per path, so
that a path without prefix conditions costs one look-up however many prefixes share it.

A path with which packets are dropped (community BLACKHOLE) may be good for some prefixes only, by
their length; for the others it is a path like any other.

A policy that takes the place of another one (`succeed`) gives the very paths that the former made
wherever it would make the same, so that an edit of a filter is told of what it changes alone.

Standards: RFC 7999 §3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeAlias

from policy.attributes import PathAttributes
from policy.calico import BuiltinPolicy, import_preference
from policy.filters import Filter
from policy.operations import Operation, apply, drops_packets
from policy.path import PREFERENCE, NextHop, Path, PeerType
from policy.prefix import Nlri
from policy.rules import NO_MATCH, Direction, Scope, Verdict

_Judged: TypeAlias = tuple[Path, tuple[Operation, ...] | None]
"""A path, and what rules do to it; None where no rule decided."""


class ImportPolicy:
    """The way in for one peer and family.

    Args:
        chain: the import filters of the peer, compiled; None accepts everything.
        builtin: the node's own policy, or None where BGP's rules are all.
        scope: of the session, for conditions that ask for it.
        shortest_blackhole: bits that a prefix must have at least for its packets to be dropped.
        resolve: finds where a next hop leads that a rule has set.
    """

    __slots__ = (
        "_accepted",
        "_former",
        "_former_operations",
        "_forwarded",
        "_resolve",
        "builtin",
        "chain",
        "scope",
        "shortest_blackhole",
    )

    def __init__(
        self,
        chain: Filter | None,
        builtin: BuiltinPolicy | None,
        scope: Scope,
        shortest_blackhole: int = 0,
        resolve: Callable[[PathAttributes], NextHop] | None = None,
    ) -> None:
        self.chain = chain
        self.builtin = builtin
        self.scope = scope
        self.shortest_blackhole = shortest_blackhole
        self._resolve = resolve
        self._accepted: dict[_Judged, Path] = {}
        self._former: dict[_Judged, Path] = {}
        self._former_operations: set[tuple[Operation, ...] | None] = set()
        self._forwarded: dict[Path, Path] = {}

    def succeed(self, former: ImportPolicy) -> None:
        """Take the place of another policy, whose paths are still in use."""
        if former is not self:
            self._former = former._former | former._accepted
            self._former_operations = {operations for _, operations in self._former}
            self._forwarded = former._forwarded

    def forget_former(self) -> None:
        """No path of the former policy is in use any more that this one does not give."""
        self._former = {}
        self._former_operations = set()

    def decides_like(self, other: ImportPolicy | None) -> bool:
        """Tell whether another way in does the same with every path."""
        return other is not None and (
            (self.chain, self.builtin, self.scope, self.shortest_blackhole)
            == (other.chain, other.builtin, other.scope, other.shortest_blackhole)
        )

    # hot: per batch
    def apply(self, path: Path, nlris: list[Nlri]) -> list[tuple[Path | None, list[Nlri]]]:
        """Sort prefixes that came with one path, by the path as it is used; None: refused."""
        if path.blackhole and self.shortest_blackhole:
            return self._apply_by_length(path, nlris)
        return self._judge(path, nlris)

    def _apply_by_length(
        self, path: Path, nlris: list[Nlri]
    ) -> list[tuple[Path | None, list[Nlri]]]:
        dropping = [nlri for nlri in nlris if nlri[0] >= self.shortest_blackhole]
        parts = self._judge(path, dropping) if dropping else []
        if len(dropping) < len(nlris):
            others = [nlri for nlri in nlris if nlri[0] < self.shortest_blackhole]
            parts = parts + self._judge(self._as_forwarded(path), others)
        return parts

    def _as_forwarded(self, path: Path) -> Path:
        """Give the same path, but for packets to be forwarded."""
        found = self._forwarded.get(path)
        if found is None:
            found = Path(path.attributes, path.source, path.next_hop)
            self._forwarded[path] = found
        return found

    def _judge(self, path: Path, nlris: list[Nlri]) -> list[tuple[Path | None, list[Nlri]]]:
        if self.chain is None:
            return [(self._as_used(path, None), nlris)]
        if self.builtin is None and self.chain.passes_over(path):
            return [(path, nlris)]
        parts = self.chain.partition(nlris, path, self.scope)
        if self.builtin is None and len(parts) == 1 and parts[0][0] is NO_MATCH:
            # As `_as_used` would.
            return [(path, nlris)]
        return [
            (
                self._as_used(path, verdict) if verdict.accepted or verdict is NO_MATCH else None,
                part,
            )
            for verdict, part in parts
        ]

    def _as_used(self, path: Path, verdict: Verdict | None) -> Path:
        # A rule that accepts ends the chain before the node's own policy is asked.
        operations = None if verdict is None or verdict is NO_MATCH else verdict.operations
        if not operations and (operations is not None or self.builtin is None):
            # As most are: nothing is to be remembered of those.
            return path
        key = (path, operations)
        used = self._accepted.get(key)
        if used is None:
            used = self._accepted[key] = self._make(path, operations, self._former.get(key))
        return used

    def _make(
        self, path: Path, operations: tuple[Operation, ...] | None, former: Path | None
    ) -> Path:
        attributes: PathAttributes = path.attributes
        preference = PREFERENCE[path.source.kind]
        if operations is None and self.builtin is not None:
            preference = import_preference(attributes, self.builtin.normal_priority)
        if former is not None and former.preference == preference:
            return former
        next_hop, blackhole = path.next_hop, path.blackhole
        if operations:
            attributes = apply(attributes, operations, path.source.address)
            blackhole = blackhole or drops_packets(operations)
            if _leads_elsewhere(attributes, path.attributes) and self._resolve is not None:
                next_hop = self._resolve(attributes)
        if attributes is path.attributes and (preference, blackhole) == (
            path.preference,
            path.blackhole,
        ):
            return path
        made = Path(attributes, path.source, next_hop, preference=preference, blackhole=blackhole)
        return self._made_before(path, made) or made

    def _made_before(self, path: Path, made: Path) -> Path | None:
        """Find what the former policy made of a path by other operations, if it is the same."""
        for operations in self._former_operations:
            former = self._former.get((path, operations))
            if former is not None and _are_alike(former, made):
                return former
        return None

    def paths(self) -> Iterable[Path]:
        """Give every path that was made here, or by the former policy."""
        return chain(self._accepted.values(), self._former.values(), self._forwarded.values())

    def __len__(self) -> int:
        return len(self._accepted) + len(self._former) + len(self._forwarded)

    def sweep(self, alive: set[Path]) -> set[Path]:
        """Drop what was remembered of paths that no table uses any more.

        Args:
            alive: paths that stand in a table, as received or as used.

        Returns:
            What the paths that stay were as they were received.
        """
        self._forwarded = {path: f for path, f in self._forwarded.items() if path in alive}
        kept = alive.union(self._forwarded.values()) if self._forwarded else alive
        self._accepted = {
            key: used for key, used in self._accepted.items() if used in kept or key[0] in kept
        }
        return {path for path, _ in self._accepted}.union(self._forwarded)


def _leads_elsewhere(one: PathAttributes, other: PathAttributes) -> bool:
    return (one.next_hop, one.link_local) != (other.next_hop, other.link_local)


def _are_alike(one: Path, other: Path) -> bool:
    return (
        one.attributes.raw == other.attributes.raw
        and not _leads_elsewhere(one.attributes, other.attributes)
        and one.next_hop is other.next_hop
        and (one.preference, one.blackhole) == (other.preference, other.blackhole)
    )


def take_all() -> ImportPolicy:
    """Make a policy that takes every path as it is."""
    return ImportPolicy(None, None, Scope(PeerType.EXTERNAL, Direction.IMPORT))
