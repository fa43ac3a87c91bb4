"""Test cases run against a node: what was expected, what came, and which rule decided.

Nothing of a policy is worked out here. A case's route is put into the form in which UPDATEs are
judged, goes the way that a route of its source goes (`speaker.trials.node`), and what comes out is
held against what the case names. Which rule decided, and why those before it did not, says
`policy.tracing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeAlias

from fsm.errors import UpdateMessageError
from fsm.family import Family
from policy.attributes import Attribute, AttributeEditor, Origin, PathAttributes, SegmentType
from policy.calico import KernelAction
from policy.filters import Filter
from policy.operations import priority_of
from policy.outbound import withheld
from policy.path import Path, SourceKind
from policy.prefix import Nlri, show_address
from policy.ranking import DEFAULT_LOCAL_PREF
from policy.rules import NO_MATCH, Scope
from policy.tracing import Asked, Miss, trace
from speaker.config.chains import RuleName, rule_name
from speaker.config.filters import afi_of, packed
from speaker.config.problems import FieldPath, Problem, Violation
from speaker.config.scalars import show_community
from speaker.errors import ConfigError
from speaker.inquiry.reasons import Arrival
from speaker.trials.case_files import (
    ABSENT,
    AsHops,
    Attributes,
    Case,
    Placed,
    Result,
    RouteOf,
    Way,
)
from speaker.trials.node import FAMILIES, Heard, Judged, TrialNode, TrialSession

Value: TypeAlias = Any
"""An attribute as it is compared: a number, text, a path, or a set of communities."""

BLOCK = "block"
_LOCAL = {
    "kernel": SourceKind.KERNEL,
    "static": SourceKind.STATIC,
    "direct": SourceKind.DIRECT,
    BLOCK: SourceKind.STATIC,
}


class CaseError(Exception):
    """A case that cannot be asked on this node."""

    def __init__(self, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as expected, both in words."""

    what: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"expected {self.what} {self.expected}, came {self.came}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a route.

    Attributes:
        reason: in words; begins with the rule, where one decided.
        rule: that decided.
        hits: all rules that decided on the way, on import before export among them.
        misses: rules that were asked before the one that decided, and why they do not hold.
        attributes: in the end, by the names of `speaker.trials.case_files.Attributes`.
    """

    result: Result
    reason: str
    rule: RuleName | None = None
    hits: tuple[RuleName, ...] = ()
    misses: tuple[Miss, ...] = ()
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case and what came of it.

    Attributes:
        outcome: None where it could not be asked; `problem` says why.
        mismatches: none for a case that passed.
    """

    case: Case
    file: str
    line: int
    outcome: Outcome | None
    mismatches: tuple[Mismatch, ...] = ()
    problem: Problem | None = None


def run(node: TrialNode, placed: Placed) -> Iterator[CaseResult]:
    """Run the cases of a document."""
    node.hear(
        (
            afi_of(vrp.prefix),
            packed(vrp.prefix),
            vrp.prefix.prefixlen if vrp.max_length is None else vrp.max_length,
            vrp.asn,
        )
        for vrp in placed.content.vrps
    )
    for number, case in enumerate(placed.content.cases):
        file, line = placed.document.file, placed.line(number)
        try:
            outcome = _Asking(node, case).outcome()
        except CaseError as error:
            path = ("cases", number, *error.path)
            problem = placed.document.problem(Violation(path, "no-such-case", str(error)))
            yield CaseResult(case, file, line, None, problem=problem)
        else:
            yield CaseResult(case, file, line, outcome, tuple(_mismatches(case, outcome)))


class _Asking:
    """One case, and the node that is asked.

    Args:
        node: that is asked.
        case: that asks.
    """

    def __init__(self, node: TrialNode, case: Case) -> None:
        self._node = node
        self._case = case
        self._afi = afi_of(case.route.prefix)
        self._family: Family = FAMILIES[self._afi]
        self._nlri: Nlri = packed(case.route.prefix)

    def outcome(self) -> Outcome:
        match self._case.direction:
            case Way.IMPORT:
                return self._imported(self._session("peer", self._case.peer or ""))[0]
            case Way.EXPORT:
                return self._exported(self._session("peer", self._case.peer or ""))
            case Way.KERNEL:
                return self._installed()

    def _session(self, field_name: str, name: str) -> TrialSession:
        path = (field_name,) if field_name == "peer" else ("route", field_name)
        try:
            session = self._node.session(name)
        except ConfigError as error:
            raise CaseError(path, str(error)) from None
        if self._family not in session.plan.families:
            carried = ", ".join(map(str, session.plan.families))
            words = f"{session.plan.name} does not carry {self._family}; it carries {carried}"
            raise CaseError(path, words)
        return session

    def _imported(self, session: TrialSession) -> tuple[Outcome, Judged]:
        heard = self._heard(session)
        try:
            judged = session.judge(heard, self._family, self._nlri)
        except UpdateMessageError as error:
            raise CaseError(("route",), f"it would reset the session: {error}") from None
        if judged.came is None:
            return Outcome(Result.REJECT, judged.verdict.reason), judged
        policy = session.policy(self._family)
        rule, misses = self._trace(policy.chain, judged.came, policy.scope)
        reason = judged.verdict.reason
        if judged.verdict is NO_MATCH:
            reason = Arrival.NO_RULE_MATCHES
        attributes = {}
        if judged.path is not None:
            attributes = _attributes(judged.path.attributes)
            attributes["preference"] = judged.path.preference
        return (
            Outcome(
                Result.REJECT if judged.path is None else Result.ACCEPT,
                reason,
                rule,
                () if rule is None else (rule,),
                misses,
                attributes,
            ),
            judged,
        )

    def _exported(self, session: TrialSession) -> Outcome:
        path, before = self._path()
        if path is None:
            return before
        sent = session.tell(path, self._family, self._nlri)
        key = session.key(self._family)
        rule: RuleName | None = None
        misses: tuple[Miss, ...] = ()
        if path.source is not session.source and withheld(path, key) is None:
            rule, misses = self._trace(key.export_filter, path, key.scope)
        hits = before.hits if rule is None else (*before.hits, rule)
        if sent.out is None:
            return Outcome(Result.REJECT, sent.verdict.reason, rule, hits, misses)
        attributes = _attributes(PathAttributes(sent.out.raw, sent.out.next_hop))
        reason = sent.verdict.reason
        return Outcome(Result.ACCEPT, reason, rule, hits, misses, attributes)

    def _installed(self) -> Outcome:
        path, before = self._path()
        if path is None:
            return before
        found = self._node.kernel(path, self._family, self._nlri)
        attributes = _attributes(path.attributes) | {"preference": path.preference}
        if found.action is not KernelAction.REJECT:
            attributes["metric"] = found.metric
        return Outcome(
            Result(found.action.value), found.reason, None, before.hits, before.misses, attributes
        )

    def _path(self) -> tuple[Path | None, Outcome]:
        """Give the path that the node would have; None where it would have none."""
        source = self._case.route.source or ""
        if source in _LOCAL:
            return self._local(source), Outcome(Result.ACCEPT, "")
        outcome, judged = self._imported(self._session("source", source))
        if judged.path is None:
            words = f"it does not come in from {source}: {outcome.reason}"
            return None, Outcome(Result.REJECT, words, outcome.rule, outcome.hits, outcome.misses)
        return judged.path, outcome

    def _local(self, source: str) -> Path:
        route = self._case.route
        told = ("as_path", "med", "local_pref", "communities")
        if any(getattr(route, name) for name in told):
            raise CaseError(("route", "source"), f"a {source} route has no attributes of BGP")
        next_hop = ip_address(route.next_hop).packed if route.next_hop else b""
        return self._node.local(
            _LOCAL[source],
            next_hop,
            interface=route.interface or "",
            metric=route.metric,
            blackhole=source == BLOCK,
        )

    def _heard(self, session: TrialSession) -> Heard:
        """Put a route as a peer tells it into attributes."""
        route = self._case.route
        if route.metric is not None:
            raise CaseError(("route", "metric"), "a route from a peer has none; set localPref")
        next_hop = session.source.address
        if route.next_hop is not None:
            next_hop = ip_address(route.next_hop).packed
        elif afi_of(route.prefix) is not session.plan.afi:
            words = "nextHop is required: the peer's address is of the other family"
            raise CaseError(("route",), words)
        as_path = route.as_path
        if as_path is None:
            as_path = () if session.plan.is_internal else (session.plan.peer_asn,)
        if route.local_pref is None and session.plan.is_internal:
            # RFC 4271 §5.1.5: no internal peer leaves it out.
            route = route.model_copy(update={"local_pref": DEFAULT_LOCAL_PREF})
        raw = octets(route, as_path, next_hop)
        return Heard(raw, next_hop, interface=route.interface or "")

    def _trace(
        self, chain: Filter | None, path: Path, scope: Scope
    ) -> tuple[RuleName | None, tuple[Miss, ...]]:
        found = trace(chain, Asked(self._afi, self._nlri, path, scope))
        return None if found.decided is None else rule_name(found.decided.origin), found.misses


def octets(route: RouteOf, as_path: AsHops, next_hop: bytes) -> bytes:
    """Write the attributes of a route, in normal form."""
    editor = AttributeEditor(b"")
    editor.set(Attribute.ORIGIN, bytes((route.origin.code,)))
    editor.set(Attribute.AS_PATH, path_octets(as_path))
    if len(next_hop) == 4:
        editor.set(Attribute.NEXT_HOP, next_hop)
    for code, number in (
        (Attribute.MULTI_EXIT_DISC, route.med),
        (Attribute.LOCAL_PREF, route.local_pref),
    ):
        if number is not None:
            editor.set(code, number.to_bytes(4, "big"))
    editor.add_communities(route.communities)
    return editor.encode()


def path_octets(hops: AsHops) -> bytes:
    """Write an AS_PATH (RFC 4271 §4.3)."""
    found = b""
    run_of: list[int] = []
    for hop in (*hops, None):
        if isinstance(hop, int):
            run_of.append(hop)
            continue
        if run_of:
            found += _segment(SegmentType.AS_SEQUENCE, run_of)
            run_of = []
        if hop is not None:
            found += _segment(SegmentType.AS_SET, hop)
    return found


def _segment(kind: SegmentType, numbers: Iterable[int]) -> bytes:
    each = [number.to_bytes(4, "big") for number in numbers]
    return bytes((kind, len(each))) + b"".join(each)


def _attributes(found: PathAttributes) -> dict[str, Value]:
    """Give what cases may ask for."""
    local_pref = found.local_pref
    hops: list[int | tuple[int, ...]] = []
    for kind, numbers in found.as_path:
        hops += [numbers] if kind == SegmentType.AS_SET else numbers
    return {
        "as_path": tuple(hops),
        "origin": Origin(found.origin),
        "next_hop": show_address(found.next_hop) if found.next_hop else ABSENT,
        "med": ABSENT if found.med is None else found.med,
        "local_pref": ABSENT if local_pref is None else local_pref,
        "priority": ABSENT if local_pref is None else priority_of(local_pref),
        "communities": frozenset(found.communities | found.large_communities),
    }


def _mismatches(case: Case, outcome: Outcome) -> Iterator[Mismatch]:
    expect = case.expect
    if outcome.result is not expect.verdict:
        yield Mismatch("verdict", expect.verdict, outcome.result)
    rule = outcome.rule
    if expect.filter is not None:
        number = "" if expect.rule is None else f" rule {expect.rule}"
        is_it = rule is not None and rule.name == expect.filter
        if not is_it or (
            expect.rule is not None and rule is not None and rule.number != expect.rule
        ):
            came = "no rule" if rule is None else f"{rule.name} rule {rule.number}"
            yield Mismatch("a decision of", expect.filter + number, came)
    if expect.reason is not None and expect.reason not in outcome.reason:
        yield Mismatch("reason", repr(expect.reason), repr(outcome.reason))
    if expect.attributes is not None and outcome.attributes:
        yield from _differences(expect.attributes, outcome.attributes)


def _differences(expect: Attributes, came: dict[str, Value]) -> Iterator[Mismatch]:
    for name in sorted(expect.model_fields_set):
        wanted = getattr(expect, name)
        shown_name = type(expect).model_fields[name].alias or name
        if name in ("has_communities", "lacks_communities"):
            there = came["communities"]
            held = set(wanted) <= there if name == "has_communities" else not there & set(wanted)
            if not held:
                yield Mismatch(
                    shown_name, _shown("communities", wanted), _shown("communities", there)
                )
            continue
        if name == "origin":
            wanted = wanted.code
        elif name == "communities":
            wanted = frozenset(wanted)
        found = came.get(name, ABSENT)
        if found != wanted:
            yield Mismatch(shown_name, _shown(name, wanted), _shown(name, found))


def _shown(name: str, value: Value) -> str:
    if name == "communities":
        return " ".join(sorted(map(show_community, value))) or "none"
    if name == "as_path" and value != ABSENT:
        hops = (f"{{{' '.join(map(str, h))}}}" if isinstance(h, tuple) else str(h) for h in value)
        return " ".join(hops) or "empty"
    return value.name if isinstance(value, Origin) else str(value)
