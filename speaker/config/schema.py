"""JSON Schema of the resources, for editors: from the models, with the rules that a schema can say.

pydantic walks the models; what our own parsers accept is said here for each of them, and a parser
without an entry is an error, so that none is forgotten. Every document that is valid passes its
schema. The other way round a schema knows less than `speaker.config.reading`: selectors, addresses
and what several documents do to each other it leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from policy.as_path_syntax import LONGEST
from policy.operations import NextHopWord
from speaker.config import models, resources, scalars
from speaker.config.keys import KEYS, PREFIX
from speaker.config.kinds import Kind, versions_of
from speaker.config.resources import MODELS
from speaker.config.schema_rules import RULES

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

ABSENT = "absent"
"""The definition of what counts as if a field were not there."""

_NUMBERS = {"type": "integer", "minimum": 0, "maximum": scalars.MAX_AS}
_DECIMALS = "([0-9]+(\\.[0-9]*)?|\\.[0-9]+)"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _text(description: str, pattern: str = "", **more: Any) -> Schema:
    schema: Schema = {"type": "string", "description": description, **more}
    if pattern:
        schema["pattern"] = f"^{pattern}$"
    return schema


def _any_case(words: list[str]) -> Schema:
    """Offer words in their usual spelling, and take them in any."""
    pattern = "|".join(
        "".join(f"[{letter.upper()}{letter.lower()}]" for letter in word) for word in words
    )
    return {"anyOf": [{"enum": words}, {"type": "string", "pattern": f"^({pattern})$"}]}


_ADDRESS4 = _text("an IPv4 address", format="ipv4")
_ADDRESS6 = _text("an IPv6 address", format="ipv6")
_CIDR = "[0-9a-fA-F.:]+/[0-9]{1,3}"
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

PARSERS: Mapping[Callable[..., Any], Schema] = {
    scalars.parse_asn: {
        "anyOf": [_NUMBERS, _text('"high.low", each at most 65535', "[0-9]+(\\.[0-9]+)?")],
        "description": "an AS number",
    },
    scalars.parse_ip: _text("an IP address", "[0-9a-fA-F.:]+"),
    scalars.parse_ipv4: _ADDRESS4,
    scalars.parse_ipv6: _ADDRESS6,
    scalars.parse_peer_ip: _text("IPv4, IPv6, IPv4:port or [IPv6]:port", maxLength=64),
    scalars.parse_host: _text("an IP address, or the name of a host", "[0-9a-zA-Z.:-]+"),
    scalars.parse_duration: _text(
        "10s, 2m, 1h30m", f"\\+?(0|({_DECIMALS}(ns|us|µs|μs|ms|s|m|h))+)"
    ),
    scalars.parse_name: _text("a name", f"{_LABEL}(\\.{_LABEL})*", maxLength=253),
    scalars.parse_network: _text("a CIDR or an address", "[0-9a-fA-F.:]+(/[0-9]{1,3})?"),
    scalars.parse_long_network: _text("a CIDR", _CIDR),
    scalars.parse_masked_network: _text("a CIDR without host bits", _CIDR),
    scalars.parse_ipv4_interface: _text("a.b.c.d or a.b.c.d/len", "[0-9.]+(/[0-9]+)?"),
    scalars.parse_ipv6_interface: _text(
        "an IPv6 address, or with /len", "[0-9a-fA-F:.]+(/[0-9]+)?"
    ),
    scalars.parse_community: _text("aa:nn or aa:nn:mm", "[0-9]+(:[0-9]+){1,2}", maxLength=32),
    scalars.parse_community_pattern: _text(
        "aa:nn or aa:nn:mm; * stands for any number",
        "([0-9]+|\\*)(:([0-9]+|\\*)){1,2}",
        maxLength=32,
    ),
    scalars.parse_as_path_regex: {
        "type": ["string", "integer"],
        "description": "a regular expression over the AS path; _ is the boundary of a number",
        "maxLength": LONGEST,
    },
    scalars.parse_next_hop: _text(
        f"an address, {', '.join(NextHopWord)}", f"([0-9a-fA-F.:]+|{'|'.join(NextHopWord)})"
    ),
    scalars.parse_interface_pattern: _text(
        "an interface; * stands for anything", "(\\*|[a-zA-Z0-9_.*-]{1,15})"
    ),
    models.read_selector: _text("a label selector", maxLength=1024),
    scalars.as_text: _SCALAR,
    resources.read_severity: _any_case([str(each) for each in resources.Severity]),
    resources.read_deleted: {"enum": [True, False, "true", "false"]},
    resources.decode_base64: _text("base64", _BASE64),
    resources.encode_text: _text("taken as it is"),
}
"""What each parser of a field accepts."""


class _Generator(GenerateJsonSchema):
    """pydantic's walk over the models, with the words of our parsers."""

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        """Say what a parser accepts."""
        return self._accepted(schema["function"]["function"])

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        """Say what a parser accepts, or what the type does where it only prepares the value."""
        function = schema["function"]["function"]
        if getattr(function, "__name__", "") == "_without_nulls":
            return self.generate_inner(schema["schema"])
        return self._accepted(function)

    def _accepted(self, function: Any) -> JsonSchemaValue:
        if isinstance(function, models.EnumParser):
            return {"enum": [str(word) for word in function.words]}
        return dict(PARSERS[function])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Say the default where it is a plain value."""
        found = dict(self.generate_inner(schema["schema"]))
        default = schema.get("default")
        if isinstance(default, str | int):
            found["default"] = default if isinstance(default, bool | int) else str(default)
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Leave null to the field, for every one may be null."""
        return self.generate_inner(schema["schema"])


def _may_be_absent(model: Schema) -> None:
    """Take null and empty text as absent, as the models do, where a field may be left out."""
    required = model.get("required", ())
    for name, field in model.get("properties", {}).items():
        field.pop("title", None)
        if name not in required:
            hints = {key: field.pop(key) for key in ("default", "description") if key in field}
            model["properties"][name] = {
                **hints,
                "anyOf": [field, {"$ref": f"#/$defs/{ABSENT}"}],
            }


def _own_keys(kind: Kind) -> Schema:
    """Offer Wren's own keys for a map of texts, and refuse those that there are not."""
    known = {
        key.full_name: {"description": f"{key.sentence} ({key.values})", **_SCALAR}
        for key in KEYS
        if key.kind is kind
    }
    other = {"not": {"pattern": f"^{PREFIX}"}}
    return {"properties": known, "propertyNames": {"anyOf": [{"enum": list(known)}, other]}}


def schema_of(kind: Kind) -> Schema:
    """Give the JSON Schema of a kind of resource, in v3's form."""
    found = MODELS[kind].model_json_schema(
        schema_generator=_Generator, ref_template="#/$defs/{model}"
    )
    definitions = found.setdefault("$defs", {})
    for model in (found, *definitions.values()):
        _may_be_absent(model)
    definitions[ABSENT] = {
        "description": "as if the field were not there",
        "type": ["string", "null"],
        "maxLength": 0,
    }
    for name, rules in RULES.items():
        if name in definitions:
            definitions[name].setdefault("allOf", []).extend(rules)
    if kind is Kind.BGP_PEER:
        _add_keys(definitions["BGPPeerSpec"], "extensions", kind)
    _add_keys(definitions["Metadata"], "annotations", kind)
    found["properties"]["apiVersion"] = {"enum": list(versions_of(kind))}
    found["properties"]["kind"] = {"const": kind.value}
    return {"$schema": DIALECT, **found, "title": kind.value}


def _add_keys(model: Schema, name: str, kind: Kind) -> None:
    model["properties"][name]["anyOf"][0] |= _own_keys(kind)


def schema_of_all() -> Schema:
    """Give the JSON Schema of every kind in one, told apart by ``kind``."""
    definitions: Schema = {}
    choices: list[Schema] = []
    for kind in Kind:
        whole = schema_of(kind)
        definitions[kind.value] = {"$id": f"{kind.value}.json", **whole}
        choices.append(
            {
                "if": {"properties": {"kind": {"const": kind.value}}},
                "then": {"$ref": f"{kind.value}.json"},
            }
        )
    return {
        "$schema": DIALECT,
        "title": "Resources of Calico's BGP",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {"kind": {"enum": [kind.value for kind in Kind]}},
        "allOf": choices,
        "$defs": definitions,
    }
