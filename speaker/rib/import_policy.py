"""What becomes of a received path: accepted as it is, accepted changed, or refused.

An `ImportPolicy` belongs to one peer and family. It runs the peer's import filter and what the
node's own policy adds (the preference of urgent routes), and remembers the outcome per path, so
that a path without prefix conditions costs one look-up however many prefixes share it.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy.attributes import PathAttributes
from policy.calico import BuiltinPolicy, import_preference
from policy.decision import DecisionOptions, rank
from policy.filters import NO_MATCH, Filter, Scope, Verdict
from policy.operations import apply
from policy.path import PREFERENCE, Path
from policy.prefix import Nlri


class ImportPolicy:
    """The way in for one peer and family.

    Args:
        chain: the import filters of the peer, compiled; None accepts everything.
        builtin: the node's own policy, or None where BGP's rules are all.
        scope: of the session, for conditions that ask for it.
        options: how paths are ranked.
    """

    __slots__ = ("_accepted", "builtin", "chain", "options", "scope")

    def __init__(
        self,
        chain: Filter | None,
        builtin: BuiltinPolicy | None,
        scope: Scope,
        options: DecisionOptions,
    ) -> None:
        self.chain = chain
        self.builtin = builtin
        self.scope = scope
        self.options = options
        self._accepted: dict[tuple[Path, Verdict | None], Path] = {}

    # hot: per batch
    def apply(self, path: Path, nlris: list[Nlri]) -> list[tuple[Path | None, list[Nlri]]]:
        """Sort prefixes that came with one path, by the path as it is used; None: refused."""
        if self.chain is None:
            return [(self._as_used(path, None), nlris)]
        return [
            (
                self._as_used(path, verdict) if verdict.accepted or verdict is NO_MATCH else None,
                part,
            )
            for verdict, part in self.chain.partition(nlris, path, self.scope)
        ]

    def _as_used(self, path: Path, verdict: Verdict | None) -> Path:
        key = (path, verdict)
        used = self._accepted.get(key)
        if used is None:
            used = self._accepted[key] = self._make(path, verdict)
        return used

    def _make(self, path: Path, verdict: Verdict | None) -> Path:
        attributes: PathAttributes = path.attributes
        preference = int(PREFERENCE[path.source.kind])
        if verdict is not None and verdict is not NO_MATCH:
            # A rule that accepts ends the chain before the node's own policy is asked.
            if verdict.operations:
                attributes = apply(attributes, verdict.operations)
        elif self.builtin is not None:
            preference = import_preference(attributes, self.builtin.normal_priority)
        if attributes is path.attributes and preference == path.preference:
            return path
        used = Path(
            attributes,
            path.source,
            path.next_hop,
            preference=preference,
            blackhole=path.blackhole,
        )
        used.rank = rank(used, self.options)
        return used

    def paths(self) -> Iterable[Path]:
        """Give every path that was made here or passed."""
        return self._accepted.values()

    def __len__(self) -> int:
        return len(self._accepted)

    def sweep(self, alive: set[Path]) -> set[Path]:
        """Drop what was remembered of paths that no table uses any more.

        Args:
            alive: paths that stand in a table, as received or as used.

        Returns:
            What the paths that stay were as they were received.
        """
        self._accepted = {
            key: used for key, used in self._accepted.items() if used in alive or key[0] in alive
        }
        return {path for path, _ in self._accepted}
