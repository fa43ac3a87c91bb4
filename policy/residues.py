"""What a path leaves of the rules of a filter: conditions on the prefix, in their order.

A `Residue` is asked about the prefixes of a path, or of all paths that leave the same. Its
conditions are tried one by one where they are few, and looked up otherwise (`policy.dispatch`).
What RPKI says on export is asked of the route as it would be announced, so that `Announced` looks
at each prefix with the rules' own operations (RFC 8893 §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.dispatch import Dispatch, PrefixCondition
from policy.matching import (
    PrefixTest,
    prefix_test,
)
from policy.operations import (
    Operation,
    as_path_edited,
)
from policy.path import Path
from policy.prefix import Nlri
from policy.rules import NO_MATCH, Direction, Partition, Scope, Verdict, by_verdict
from policy.vrps import Origins, Validity, origin_of

FEW = 3
"""So many conditions on the prefix are sooner tried one by one than looked up."""


class Residue:
    """What a path leaves of the rules: prefix conditions, and the verdict behind them.

    Attributes:
        asks: there are any conditions.
        otherwise: the verdict where none holds.
    """

    __slots__ = ("_dispatch", "_tests", "asks", "otherwise")

    def __init__(
        self,
        tests: Sequence[tuple[PrefixTest, Verdict]],
        otherwise: Verdict,
        dispatch: Dispatch[Verdict] | None = None,
    ) -> None:
        self.otherwise = otherwise
        self.asks = bool(tests)
        self._tests = tests
        self._dispatch = dispatch

    @classmethod
    def of(
        cls, conditions: Sequence[tuple[PrefixCondition, Verdict]], otherwise: Verdict
    ) -> Residue:
        """Compile conditions on the prefix alone."""
        tests = [(prefix_test(each), verdict) for each, verdict in conditions]
        dispatch = None if len(conditions) <= FEW else Dispatch(conditions, otherwise)
        return cls(tests, otherwise, dispatch)

    # hot: per prefix
    def partition(self, nlris: list[Nlri]) -> Partition:
        """Group prefixes by verdict."""
        if self._dispatch is not None:
            return by_verdict(self._dispatch.decide(nlris), nlris)
        tests, otherwise = self._tests, self.otherwise
        decided = []
        for nlri in nlris:
            for test, verdict in tests:
                if test(nlri):
                    decided.append(verdict)
                    break
            else:
                decided.append(otherwise)
        return by_verdict(decided, nlris)


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule whose conditions on the path hold.

    Attributes:
        test: of the prefix; None where every one will do.
        wanted: what RPKI must say; None for anything.
    """

    test: PrefixTest | None
    wanted: Validity | None
    verdict: Verdict


class Announced(Residue):
    """What a path leaves of export rules that ask for validity and change the AS_PATH."""

    __slots__ = ("_path", "_said", "_scope", "_standing")

    def __init__(self, standing: Sequence[Standing], path: Path, scope: Scope) -> None:
        super().__init__((), NO_MATCH)
        self.asks = True
        self._standing = standing
        self._path = path
        self._scope = scope
        self._said: dict[tuple[Operation, ...], int | None] = {}

    def partition(self, nlris: list[Nlri]) -> Partition:
        """Group prefixes by verdict."""
        return by_verdict([self._decide(nlri) for nlri in nlris], nlris)

    def announcing(self, nlri: Nlri) -> Verdict:
        """Give what decides for a prefix if no rule rejects it for what RPKI says."""
        return self._without_rejections(nlri)[0]

    def _decide(self, nlri: Nlri) -> Verdict:
        announcing, rejecting = self._without_rejections(nlri)
        for each in rejecting:
            if self._says(nlri, announcing) is each.wanted:
                return each.verdict
        return announcing

    def _without_rejections(self, nlri: Nlri) -> tuple[Verdict, list[Standing]]:
        """Give also the rules before that would reject it for that."""
        rejecting: list[Standing] = []
        for each in self._standing:
            if each.test is not None and not each.test(nlri):
                continue
            if each.wanted is not None and not each.verdict.accepted:
                rejecting.append(each)
            elif each.wanted is None or self._says(nlri, each.verdict) is each.wanted:
                return each.verdict, rejecting
        return NO_MATCH, rejecting

    def _says(self, nlri: Nlri, verdict: Verdict) -> Validity:
        origins, operations = self._scope.origins, verdict.operations
        if origins is None:
            return Validity.NOT_FOUND
        if operations not in self._said:
            self._said[operations] = announced_origin(self._path, operations, self._scope, origins)
        return origins.vrps.validate(nlri, self._said[operations])


def announced_origin(
    path: Path, operations: tuple[Operation, ...], scope: Scope, origins: Origins
) -> int | None:
    """Give the AS from which a route comes; on export as the peer will see it (RFC 8893 §3)."""
    attributes = path.attributes
    if scope.direction is Direction.EXPORT:
        attributes = as_path_edited(attributes, operations, scope.ends)
    return origin_of(attributes, origins.local_asn)
