"""The ground that the resource models stand on: field names, field types, strictness.

Models are pydantic's, frozen and strict: an unknown field is refused, a number is no text, a bool
is no number. Their attributes have Python's names and the documents Calico's; `calico_name` makes
the second from the first. Types of fields are plain Python types with one parser each from
`speaker.config.scalars`; what a parser refuses comes out as a `ScalarError` that names its rule.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from policy.as_path_regex import AsPathRegex
from policy.operations import NextHopWord
from speaker.config import scalars
from speaker.config.problems import did_you_mean, show_value
from speaker.config.selectors import Selector, SelectorError, parse_selector

_ACRONYMS = {
    "ip": "IP",
    "ips": "IPs",
    "as": "AS",
    "id": "ID",
    "bgp": "BGP",
    "ipip": "IPIP",
    "vxlan": "VXLAN",
    "mac": "MAC",
    "med": "MED",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "vrps": "VRPs",
}


def calico_name(name: str) -> str:
    """Spell a field as Calico does: ``local_as_number`` → ``localASNumber``."""
    first, *rest = name.split("_")
    return first + "".join(_ACRONYMS.get(word, word[:1].upper() + word[1:]) for word in rest)


class Model(BaseModel):
    """Part of a resource: frozen, strict, with Calico's field names."""

    # Built when the first document of the kind is read: most clusters hold some of the kinds only.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=calico_name,
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        """Take null and empty text as absent, as Go does; an unknown field stays and is refused.

        So an empty selector of a BGPPeer is one that is not given, and selects nothing.
        """
        if not isinstance(data, dict):
            return data
        known = fields_of(cls)
        return {
            name: value
            for name, value in data.items()
            if name not in known or value not in (None, "")
        }


def fields_of(model: type[BaseModel]) -> frozenset[str]:
    """Give the names a model's fields have in documents."""
    return frozenset(
        field.alias or name for name, field in model.model_fields.items() if not field.exclude
    )


def read_selector(value: object) -> Selector:
    """Read a selector.

    Raises:
        ScalarError: it is none, or has more than 1024 characters.
    """
    if not isinstance(value, str):
        raise scalars.ScalarError("selector", "a selector is text")
    if len(value) > 1024:
        raise scalars.ScalarError("selector", "a selector has at most 1024 characters")
    try:
        # Calico's clients trim what they are given; inside, line ends are errors.
        return parse_selector(value.strip())
    except SelectorError as error:
        raise scalars.ScalarError("selector", f"not a selector: {error}") from error


_E = TypeVar("_E", bound=StrEnum)


class EnumParser:
    """Read a word of an enumeration, in its own spelling."""

    def __init__(self, words: type[StrEnum]) -> None:
        self.words = words

    def __call__(self, value: object) -> StrEnum:
        try:
            return self.words(str(value))
        except ValueError:
            known = list(self.words)
            guess = did_you_mean(str(value), known)
            message = f"{show_value(value)} is none of {', '.join(known)}{guess}"
            raise scalars.ScalarError("enum", message) from None


def word_of(words: type[_E]) -> Any:
    """Make the validator of a field that takes one of some words."""
    return PlainValidator(EnumParser(words))


AsNumber: TypeAlias = Annotated[int, BeforeValidator(scalars.parse_asn)]
Ip: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_ip)]
Ipv4: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_ipv4)]
Ipv6: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_ipv6)]
PeerIp: TypeAlias = Annotated[scalars.Endpoint, PlainValidator(scalars.parse_peer_ip)]
Host: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_host)]
Duration: TypeAlias = Annotated[float, PlainValidator(scalars.parse_duration)]
Name: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_name)]
SelectorText: TypeAlias = Annotated[Selector, PlainValidator(read_selector)]
Network: TypeAlias = Annotated[IPv4Network | IPv6Network, PlainValidator(scalars.parse_network)]
LongNetwork: TypeAlias = Annotated[
    IPv4Network | IPv6Network, PlainValidator(scalars.parse_long_network)
]
MaskedNetwork: TypeAlias = Annotated[
    IPv4Network | IPv6Network, PlainValidator(scalars.parse_masked_network)
]
Ipv4Interface: TypeAlias = Annotated[IPv4Interface, PlainValidator(scalars.parse_ipv4_interface)]
Ipv6Interface: TypeAlias = Annotated[IPv6Interface, PlainValidator(scalars.parse_ipv6_interface)]
CommunityText: TypeAlias = Annotated[scalars.Community, PlainValidator(scalars.parse_community)]
CommunityPatternText: TypeAlias = Annotated[
    scalars.CommunityOrPattern, PlainValidator(scalars.parse_community_pattern)
]
AsPathRegexText: TypeAlias = Annotated[AsPathRegex, PlainValidator(scalars.parse_as_path_regex)]
NextHopText: TypeAlias = Annotated[
    IPv4Address | IPv6Address | NextHopWord, PlainValidator(scalars.parse_next_hop)
]
Unsigned: TypeAlias = Annotated[int, Field(ge=0, le=2**32 - 1)]
InterfacePattern: TypeAlias = Annotated[str, BeforeValidator(scalars.parse_interface_pattern)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Priority: TypeAlias = Annotated[int, Field(ge=1, le=scalars.MAX_PRIORITY)]
TextMap: TypeAlias = dict[str, Annotated[str, BeforeValidator(scalars.as_text)]]


class Metadata(Model):
    """What every resource carries. Only name, labels and annotations mean anything here."""

    name: Name
    labels: TextMap = Field(default_factory=dict)
    annotations: TextMap = Field(default_factory=dict)
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    generate_name: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    self_link: str | None = None
    owner_references: list[dict[str, Any]] | None = None
    finalizers: list[str] | None = None
    managed_fields: list[dict[str, Any]] | None = None


class Resource(Model):
    """A whole document."""

    api_version: str
    kind: str
    metadata: Metadata

    @property
    def name(self) -> str:
        """Give the name, which is unique within the kind."""
        return self.metadata.name
