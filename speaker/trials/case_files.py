"""Files of test cases for policies: their form, and how they are read.

A document has ``cases``, and perhaps the node and the resources that they are about. Each case is a
route, a direction and a peer, and what is expected. What a file does not say is what a peer would
usually send: its own address as next hop, its AS as path, LOCAL_PREF 100 within the AS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import Field, PlainValidator

from policy.attributes import Origin, WellKnown
from speaker.config import scalars
from speaker.config.documents import Document, parse_documents
from speaker.config.models import Ip, MaskedNetwork, Model, Name, word_of
from speaker.config.problems import Problem, Violation
from speaker.config.reading import modelled


class Way(StrEnum):
    """Which of a node's policies is asked."""

    IMPORT = "import"
    EXPORT = "export"
    KERNEL = "kernel"


class Result(StrEnum):
    """What becomes of a route."""

    ACCEPT = "accept"
    REJECT = "reject"
    TUNNEL = "tunnel"
    """It goes into the kernel, through the IPIP device."""


class OriginWord(StrEnum):
    """ORIGIN in words."""

    IGP = "IGP"
    EGP = "EGP"
    INCOMPLETE = "INCOMPLETE"

    @property
    def code(self) -> Origin:
        """The value of the attribute."""
        return Origin[self.value]


_WELL_KNOWN = {each.name.lower().replace("_", "-"): int(each) for each in WellKnown}


def _community(value: object) -> scalars.Community:
    if isinstance(value, str) and value.lower() in _WELL_KNOWN:
        return _WELL_KNOWN[value.lower()]
    return scalars.parse_community(value)


def parse_as_path(value: object) -> AsHops:
    """Read a list of AS numbers, with a list for an AS_SET, or text: ``65001 {65002 65003}``."""
    if isinstance(value, str):
        words = value.replace("{", " { ").replace("}", " } ").split()
        value = list(_nested(words))
    elif not isinstance(value, list):
        value = [value]
    return tuple(
        tuple(map(scalars.parse_asn, each)) if isinstance(each, list) else scalars.parse_asn(each)
        for each in value
    )


def _nested(words: list[str]) -> Iterator[str | list[str]]:
    """Put what stands between braces into lists."""
    members: list[str] | None = None
    for word in words:
        if word == "{" and members is None:
            members = []
        elif word == "}" and members is not None:
            yield members
            members = None
        elif members is None:
            yield word
        else:
            members.append(word)
    if members is not None:
        raise scalars.ScalarError("as-path", "a set of AS numbers ends with }")


def _number_or_none(value: object) -> int | str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value == ABSENT or (is_number and 0 <= value <= 0xFFFFFFFF):  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise scalars.ScalarError("type", f"must be a number (0–4294967295), or {ABSENT}")


def _address_or_none(value: object) -> str:
    return ABSENT if value == ABSENT else scalars.parse_ip(value)


ABSENT = "none"
"""Stands for an attribute that is not to be there."""

AsHops: TypeAlias = tuple[int | tuple[int, ...], ...]
Number: TypeAlias = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Community: TypeAlias = Annotated[scalars.Community, PlainValidator(_community)]
AsPath: TypeAlias = Annotated[AsHops, PlainValidator(parse_as_path)]
NumberOrNone: TypeAlias = Annotated[int | str, PlainValidator(_number_or_none)]
AddressOrNone: TypeAlias = Annotated[str, PlainValidator(_address_or_none)]


class RouteOf(Model):
    """A route as it comes; ``source`` says from whom, where that is not the case's peer."""

    prefix: MaskedNetwork
    source: str | None = None
    as_path: AsPath | None = None
    origin: Annotated[OriginWord, word_of(OriginWord)] = OriginWord.IGP
    next_hop: Ip | None = None
    interface: str | None = None
    med: Number | None = None
    local_pref: Number | None = None
    communities: list[Community] = Field(default_factory=list)
    metric: Number | None = None


class Attributes(Model):
    """What a route is to have in the end; only what is named is compared."""

    as_path: AsPath | None = None
    origin: Annotated[OriginWord, word_of(OriginWord)] | None = None
    next_hop: AddressOrNone | None = None
    med: NumberOrNone | None = None
    local_pref: NumberOrNone | None = None
    priority: NumberOrNone | None = None
    communities: list[Community] | None = None
    has_communities: list[Community] | None = None
    lacks_communities: list[Community] | None = None
    preference: Number | None = None
    metric: Number | None = None


class Expect(Model):
    """What is to become of a route."""

    verdict: Annotated[Result, word_of(Result)]
    filter: Name | None = None
    rule: Annotated[int, Field(ge=0)] | None = None
    reason: str | None = None
    attributes: Attributes | None = None


class Case(Model):
    """One question to a policy, and the answer that is expected."""

    name: str
    direction: Annotated[Way, word_of(Way)]
    peer: str | None = None
    route: RouteOf
    expect: Expect


class VrpOf(Model):
    """What RPKI says while the cases are asked: who may originate a network, and how finely."""

    prefix: MaskedNetwork
    max_length: Annotated[int, Field(ge=0, le=128)] | None = None
    asn: Annotated[int, PlainValidator(scalars.parse_asn)]


class CaseFile(Model):
    """A document of cases."""

    node: Name | None = None
    resources: str | None = None
    vrps: list[VrpOf] = Field(default_factory=list)
    cases: list[Case] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Placed:
    """A document of cases, with the places of its fields."""

    document: Document
    content: CaseFile

    def line(self, number: int) -> int:
        """Give the line on which a case begins."""
        return self.document.at(("cases", number))[0]


def read_cases(text: str, file: str) -> Iterator[Placed | Problem]:
    """Read the documents of a file; of one that is not valid, give all that is wrong with it."""
    found = False
    for document in parse_documents(text, file):
        found = True
        if isinstance(document, Problem):
            yield document
        else:
            yield from _read(document)
    if not found:
        yield Problem(file, 1, 1, "", "empty", "there are no cases")


def _read(document: Document) -> Iterator[Placed | Problem]:
    tree = document.tree
    if not isinstance(tree, dict):
        yield document.problem(Violation((), "type", "a file of cases is a mapping with cases"))
        return
    content, violations = modelled(CaseFile, tree)
    problems = sorted({*document.problems, *map(document.problem, violations)})
    if content is not None:
        problems += map(document.problem, (*_impossible(content), *_incomplete(content)))
    yield from problems
    if content is not None and not problems:
        yield Placed(document, content)


def _impossible(content: CaseFile) -> Iterator[Violation]:
    """Find VRPs whose longest length does not fit their prefix (RFC 6482 §3.3)."""
    for number, vrp in enumerate(content.vrps):
        network = vrp.prefix
        if vrp.max_length is not None and not (
            network.prefixlen <= vrp.max_length <= network.max_prefixlen
        ):
            words = f"of {network} it is from {network.prefixlen} to {network.max_prefixlen}"
            yield Violation(("vrps", number, "maxLength"), "range", words)


def _incomplete(content: CaseFile) -> Iterator[Violation]:
    """Find what fields of a case demand of each other."""
    for number, case in enumerate(content.cases):
        path = ("cases", number)
        if case.direction is not Way.KERNEL and case.peer is None:
            yield Violation(path, "required", f"peer is required for direction {case.direction}")
        if case.direction is Way.KERNEL and case.peer is not None:
            yield Violation((*path, "peer"), "exclusive", "the kernel's policy knows no peer")
        if case.direction is Way.IMPORT and case.route.source is not None:
            words = "what is imported comes from the peer; name it there"
            yield Violation((*path, "route", "source"), "exclusive", words)
        if case.direction is not Way.IMPORT and case.route.source is None:
            words = "source is required: a peer, or kernel, static, direct or block"
            yield Violation((*path, "route"), "required", words)
        if case.expect.rule is not None and case.expect.filter is None:
            yield Violation((*path, "expect", "rule"), "required", "of which filter? name it")
        if case.expect.verdict is Result.TUNNEL and case.direction is not Way.KERNEL:
            words = "only the kernel's policy has it"
            yield Violation((*path, "expect", "verdict"), "enum", words)
        if case.expect.attributes is not None and case.expect.verdict is Result.REJECT:
            words = "a route that is rejected has none"
            yield Violation((*path, "expect", "attributes"), "exclusive", words)
