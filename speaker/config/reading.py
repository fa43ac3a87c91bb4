"""From a document to a resource, or to everything that is wrong with it.

`read_file` takes the text of a file and gives one `Report` per document: the resource if the
document is valid, and in any case all problems and warnings with their places. The order is:
envelope (is there a kind we know, the right apiVersion), models (fields, types), rules (what
fields demand of each other), cautions and fields without effect. Models and rules are both asked,
so that one mistake does not hide another.

`validate` does the same for several files and looks across documents as well: names used twice,
two peers with one address, a node that peers with itself.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from speaker.config import legacy
from speaker.config.annotations import TEXT_MAPS
from speaker.config.documents import Document, parse_documents
from speaker.config.effects import without_effect
from speaker.config.keys import PREFIX
from speaker.config.kinds import Kind, find_kind, unknown_kind, versions_of
from speaker.config.models import Resource, fields_of
from speaker.config.problems import (
    FieldPath,
    Problem,
    Violation,
    did_you_mean,
    show_path,
    show_value,
)
from speaker.config.report import Report, RuleLines
from speaker.config.resources import MODELS
from speaker.config.rules import cautions_of, errors_of
from speaker.config.scalars import ScalarError
from speaker.config.trees import map_at, name_of

_M = TypeVar("_M", bound=BaseModel)


def read_file(text: str, file: str) -> list[Report]:
    """Read all documents of a file."""
    reports: list[Report] = []
    for number, found in enumerate(parse_documents(text, file)):
        if isinstance(found, Problem):
            reports.append(Report(file, number, problems=(found,), line=found.line))
        else:
            reports.append(read_document(found))
    return reports


def read_document(document: Document) -> Report:
    """Read one document: all that is wrong with it, or the resource."""
    report = Report(
        document.file, document.index, line=document.at(())[0], problems=document.problems
    )
    tree = document.tree
    if not isinstance(tree, dict):
        return _refused(report, document, [Violation((), "type", "a resource is a mapping")])
    word = tree.get("kind")
    if not isinstance(word, str) or not word:
        return _refused(report, document, [Violation(("kind",), "required", "kind is required")])
    kind = find_kind(word)
    report = replace(report, kind=kind or word, name=name_of(tree))
    if kind is None:
        return _refused(
            report, document, [Violation(("kind",), "unknown-kind", unknown_kind(word))]
        )
    return _read_known(report, document, kind)


def _read_known(report: Report, document: Document, kind: Kind) -> Report:
    violations: list[Violation] = []
    if legacy.is_legacy(document, kind):
        document = legacy.convert(document, kind)
        report = replace(report, name=name_of(document.tree))
    tree = document.tree
    violations += _api_version(kind, tree)
    resource, broken = _model(kind, tree)
    violations += broken
    violations += errors_of(kind, tree)
    warnings = [*cautions_of(kind, tree), *without_effect(kind, tree)]
    report = replace(
        report,
        warnings=tuple(map(document.problem, warnings)),
        places={show_path(path): document.at(path) for path in _COMPARED if _is_there(tree, path)},
        rule_lines=_rule_lines(document) if kind in _FILTERS else {},
    )
    if violations or document.problems:
        return _refused(report, document, violations)
    return replace(report, resource=resource)


_COMPARED: tuple[FieldPath, ...] = (
    ("metadata", "name"),
    ("spec", "peerIP"),
    ("spec", "cidr"),
    ("spec", "password"),
    ("spec", "nodeMeshPassword"),
    *((*path, f"{PREFIX}bfdAuth") for path in TEXT_MAPS),
)
"""The fields that are looked at across documents (`speaker.config.across`)."""


def _is_there(tree: Mapping[str, Any], path: FieldPath) -> bool:
    for name in path[:-1]:
        tree = map_at(tree, str(name))
    return path[-1] in tree


_FILTERS = (Kind.BGP_FILTER, Kind.ROUTE_POLICY)
_CHAINS = ("importV4", "importV6", "exportV4", "exportV6")


def _rule_lines(document: Document) -> RuleLines:
    """Say where each rule of a filter stands, for explanations."""
    spec = map_at(document.tree, "spec")
    return {
        chain: tuple(document.at(("spec", chain, n))[0] for n in range(len(spec[chain])))
        for chain in _CHAINS
        if isinstance(spec.get(chain), list)
    }


def _refused(report: Report, document: Document, violations: list[Violation]) -> Report:
    problems = {*document.problems, *map(document.problem, violations)}
    return replace(report, problems=tuple(sorted(problems)))


def _api_version(kind: Kind, tree: Mapping[str, Any]) -> list[Violation]:
    found = tree.get("apiVersion")
    allowed = versions_of(kind)
    if found in allowed:
        return []
    if found is None:
        return [Violation(("apiVersion",), "required", f"apiVersion is required: {allowed[0]}")]
    message = f"{show_value(found)} is not read here; a {kind} has apiVersion {allowed[0]}"
    return [Violation(("apiVersion",), "api-version", message)]


def _model(kind: Kind, tree: Mapping[str, Any]) -> tuple[Resource | None, list[Violation]]:
    versions = versions_of(kind)
    return modelled(MODELS[kind], {"apiVersion": versions[0], **tree, "kind": kind.value})


def modelled(model: type[_M], tree: Mapping[str, Any]) -> tuple[_M | None, list[Violation]]:
    """Make a model of a tree, or say all that is wrong with it."""
    try:
        return model.model_validate(tree), []
    except ValidationError as error:
        return None, [
            _violation(model, item["loc"], item["type"], item["msg"], item.get("ctx") or {})
            for item in error.errors(include_url=False, include_input=False)
        ]


_RULES = {
    "missing": "required",
    "extra_forbidden": "unknown-field",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "too_short": "size",
    "too_long": "size",
    "string_too_short": "size",
    "string_too_long": "size",
}
"""Our rules for pydantic's kinds of error; all others say that a value is of the wrong type."""

_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text; quote it",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} of them",
    "too_long": "must have at most {max_length} of them",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}


def _violation(
    model: type[BaseModel], loc: FieldPath, kind: str, message: str, context: Mapping[str, Any]
) -> Violation:
    """Turn one of pydantic's errors into ours."""
    error = context.get("error")
    if isinstance(error, ScalarError):
        return Violation(loc, error.rule, str(error))
    if kind == "extra_forbidden":
        around = model_at(model, loc[:-1])
        known = fields_of(around) if around else ()
        message = f"{loc[-1]} is no field here{did_you_mean(str(loc[-1]), known)}"
    elif kind == "missing":
        message = f"{loc[-1]} is required"
    elif kind in _WORDS:
        message = _WORDS[kind].format(**context)
    rule = _RULES.get(kind, "type")
    return Violation(loc, rule, message)


def model_at(model: type[BaseModel], path: FieldPath) -> type[BaseModel] | None:
    """Find the model that a path leads to."""
    found: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        if found is None:
            return None
        fields = {item.alias or name: item for name, item in found.model_fields.items()}
        found = _inner_model(fields[step].annotation) if step in fields else None
    return found


def _inner_model(annotation: object) -> type[BaseModel] | None:
    """Find the model inside ``list[Model]``, ``Model | None`` and the like."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        found = _inner_model(argument)
        if found is not None:
            return found
    return None


def validate(files: Iterable[tuple[str, str]]) -> list[Report]:
    """Check files, (name, text) each, one by one and against each other."""
    # Imported here: what looks across documents needs the store and the plan, which need reports.
    from speaker.config.across import problems_across

    reports = [report for file, text in files for report in read_file(text, file)]
    found = problems_across(reports)
    return [
        replace(report, problems=(*report.problems, *found.get(number, ())))
        for number, report in enumerate(reports)
    ]
