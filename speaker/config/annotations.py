"""The keys ``wren.bgp/…``: what Calico's fields cannot say.

They stand in ``spec.extensions`` of a BGPPeer, or in ``metadata.annotations`` of a BGPPeer or
BGPConfiguration, with text as value. `KEYS` is the whole list as data: the parser, where the key
is allowed, and the sentence that the manual prints. A ``wren.bgp/…`` key that is not in the list
is refused; all other keys belong to somebody else and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fsm.family import Afi, Family
from policy.prefix import Nlri, PrefixError, parse_prefix
from policy.roles import Role
from speaker.config.kinds import Kind
from speaker.config.limits import FAMILIES, Limits, parse_limits
from speaker.config.problems import FieldPath, Violation, did_you_mean
from speaker.config.scalars import ScalarError

PREFIX = "wren.bgp/"


class PolicyMode(StrEnum):
    """Calico's built-in policy, or BGP's own rules alone."""

    CALICO = "calico"
    PLAIN = "plain"


class AddPathMode(StrEnum):
    """Which way several paths per prefix may travel (RFC 7911)."""

    OFF = "off"
    SEND = "send"
    RECEIVE = "receive"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Key:
    """One key ``wren.bgp/<name>``.

    Attributes:
        parse: gives the value, or raises `ScalarError`.
        kind: the kind of resource it may stand on.
        values: what it takes, for people.
        sentence: what it does, for the manual.
    """

    name: str
    parse: Callable[[str], Any]
    kind: Kind
    values: str
    sentence: str

    @property
    def full_name(self) -> str:
        """The key as it is written."""
        return PREFIX + self.name


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in ("on", "true", "yes"):
        return True
    if word in ("off", "false", "no"):
        return False
    raise ScalarError("value", f"{text!r} is neither on nor off")


def _families(text: str) -> tuple[Family, ...]:
    words = [word.strip().lower() for word in text.split(",")]
    unknown = [word for word in words if word not in FAMILIES]
    if unknown:
        raise ScalarError("value", f"{unknown[0]!r} is no family (ipv4, ipv6 or ipv4,ipv6)")
    return tuple(family for word, family in FAMILIES.items() if word in words)


def _hold_time(text: str) -> int:
    """RFC 4271 §4.2: zero, or at least three seconds."""
    if text.isascii() and text.isdigit() and (int(text) == 0 or 3 <= int(text) <= 65535):
        return int(text)
    raise ScalarError("value", f"{text!r} is no hold time (0, or 3–65535 seconds)")


_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z")


def _seconds(text: str) -> float:
    if _SECONDS.match(text.strip()) and 0 < float(text) <= 65535:
        return float(text)
    raise ScalarError("value", f"{text!r} is no number of seconds above 0")


def _range(text: str) -> tuple[float, float]:
    low, comma, high = text.partition(",")
    if not comma:
        raise ScalarError("value", f"{text!r} is not min,max in seconds")
    shortest, longest = _seconds(low), _seconds(high)
    if shortest > longest:
        raise ScalarError("value", f"{text!r}: the minimum is above the maximum")
    return shortest, longest


def _word(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return words(text.strip().lower())
        except ValueError:
            known = ", ".join(words)
            raise ScalarError("value", f"{text!r} is none of {known}") from None

    return parse


def _add_path(text: str) -> AddPathMode:
    word = {"on": "both", "true": "both", "false": "off"}.get(text.strip().lower(), text)
    mode = _word(AddPathMode)(word)
    assert isinstance(mode, AddPathMode)  # tells mypy what _word was given
    return mode


_ROLES = {
    "provider": Role.PROVIDER,
    "customer": Role.CUSTOMER,
    "rs-server": Role.ROUTE_SERVER,
    "rs-client": Role.ROUTE_SERVER_CLIENT,
    "peer": Role.PEER,
}


def _role(text: str) -> Role:
    word = text.strip().lower().replace("_", "-")
    if word not in _ROLES:
        raise ScalarError("value", f"{text!r} is none of {', '.join(_ROLES)}")
    return _ROLES[word]


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\.(?=.{1,64}\Z)[A-Za-z0-9_-]+)*\Z")


def _name(text: str) -> str:
    """Read a name, or whether there is one: ``on`` stays, off is nothing."""
    try:
        return "on" if _switch(text) else ""
    except ScalarError:
        if _NAME.match(text.strip()):
            return text.strip()
        raise ScalarError("value", f"{text!r} is neither on, off nor a name") from None


def _networks(text: str) -> tuple[tuple[Afi, Nlri], ...]:
    found: list[tuple[Afi, Nlri]] = []
    for word in re.split(r"[,\s]+", text.strip()):
        if not word:
            continue
        try:
            found.append(parse_prefix(word))
        except PrefixError as error:
            raise ScalarError("value", f"{word!r} is no prefix: {error}") from error
    return tuple(dict.fromkeys(found))


KEYS: tuple[Key, ...] = (
    Key(
        "passive",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "The node waits for the peer to open the connection (on), or opens it itself (off).",
    ),
    Key(
        "families",
        _families,
        Kind.BGP_PEER,
        "ipv4,ipv6",
        "Address families that the session carries; by default only that of the peer's address.",
    ),
    Key(
        "holdTime",
        _hold_time,
        Kind.BGP_PEER,
        "0, or 3–65535 seconds",
        "The Hold Time that is offered; 0 means that the session never times out.",
    ),
    Key(
        "connectRetry",
        _seconds,
        Kind.BGP_PEER,
        "seconds",
        "How long after a failed attempt the next connection is tried.",
    ),
    Key(
        "idleHold",
        _range,
        Kind.BGP_PEER,
        "min,max seconds",
        "The shortest and the longest wait after a session fell; it doubles from one to the other.",
    ),
    Key(
        "routeReflectorClient",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether an iBGP peer is our route-reflector client, whatever the cluster ids say.",
    ),
    Key(
        "addPath",
        _add_path,
        Kind.BGP_PEER,
        "off|send|receive|both",
        "Which way several paths for one prefix may travel.",
    ),
    Key(
        "gracefulRestart",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether graceful restart is offered.",
    ),
    Key(
        "enhancedRefresh",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether it is offered to mark the beginning and the end of a refresh, so that what is "
        "left out goes (RFC 7313); on by default.",
    ),
    Key(
        "extendedMessages",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether messages of up to 65535 octets are offered (RFC 8654); off by default.",
    ),
    Key(
        "maxPrefixes",
        parse_limits,
        Kind.BGP_PEER,
        "[ipv4|ipv6] NUMBER [SHARE%] [drop|restart SECONDS|down], …",
        "How many prefixes the peer may tell, before any filter; from the share on there is a "
        "warning. Beyond the number, what is new is dropped, or the session is closed (Cease, "
        "Maximum Number of Prefixes Reached) for some seconds or until the limit is changed (down, "
        "the default).",
    ),
    Key(
        "role",
        _role,
        Kind.BGP_PEER,
        "provider|customer|rs-server|rs-client|peer",
        "What this node is to an eBGP peer (RFC 9234). It is told to the peer, which has to be the "
        "opposite, and routes that leak are neither taken nor sent.",
    ),
    Key(
        "strictRole",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether a peer that does not tell its role is refused; off by default.",
    ),
    Key(
        "fqdn",
        _name,
        Kind.BGP_PEER,
        "on|off|NAME",
        "The name that the peer is told, for people: the node's (on), none (off, the default), or "
        "another one.",
    ),
    Key(
        "softwareVersion",
        _switch,
        Kind.BGP_PEER,
        "on|off",
        "Whether the peer is told which software runs here; off by default.",
    ),
    Key(
        "policy",
        _word(PolicyMode),
        Kind.BGP_CONFIGURATION,
        "calico|plain",
        "Calico's built-in policy, or BGP's own rules alone: everything is imported and the best "
        "path of every prefix is announced.",
    ),
    Key(
        "networks",
        _networks,
        Kind.BGP_CONFIGURATION,
        "prefixes, separated by commas or blanks",
        "Prefixes that the node announces as its own, without a route for them.",
    ),
)
"""All keys there are."""

_BY_NAME = {(key.kind, key.full_name): key for key in KEYS}

TEXT_MAPS: tuple[FieldPath, ...] = (("metadata", "annotations"), ("spec", "extensions"))
"""Where keys may stand, the weaker first."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """What the keys of a BGPPeer say; None where they are silent."""

    passive: bool | None = None
    families: tuple[Family, ...] | None = None
    hold_time: int | None = None
    connect_retry: float | None = None
    idle_hold: tuple[float, float] | None = None
    route_reflector_client: bool | None = None
    add_path: AddPathMode | None = None
    graceful_restart: bool | None = None
    enhanced_refresh: bool | None = None
    extended_messages: bool | None = None
    max_prefixes: Limits | None = None
    role: Role | None = None
    strict_role: bool | None = None
    fqdn: str | None = None
    software_version: bool | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationOptions:
    """What the keys of a BGPConfiguration say; None where they are silent."""

    policy: PolicyMode | None = None
    networks: tuple[tuple[Afi, Nlri], ...] | None = None


def _attribute(name: str) -> str:
    return re.sub(r"(?<=[a-z])[A-Z]", lambda found: "_" + found[0].lower(), name)


def _values(kind: Kind, *text_maps: Mapping[str, str]) -> dict[str, Any]:
    """Parse the keys of maps that were checked before; the later map wins."""
    values: dict[str, Any] = {}
    for text_map in text_maps:
        for name, text in text_map.items():
            key = _BY_NAME.get((kind, name))
            if key:
                values[_attribute(key.name)] = key.parse(text)
    return values


def peer_options(annotations: Mapping[str, str], extensions: Mapping[str, str]) -> PeerOptions:
    """Read the keys of a valid BGPPeer."""
    return PeerOptions(**_values(Kind.BGP_PEER, annotations, extensions))


def configuration_options(annotations: Mapping[str, str]) -> ConfigurationOptions:
    """Read the keys of a valid BGPConfiguration."""
    return ConfigurationOptions(**_values(Kind.BGP_CONFIGURATION, annotations))


def check_keys(kind: Kind, path: FieldPath, texts: Mapping[str, str]) -> Iterator[Violation]:
    """Find the keys ``wren.bgp/…`` that are unknown, misplaced or have a senseless value."""
    for name, text in texts.items():
        if not name.startswith(PREFIX):
            continue
        key = _BY_NAME.get((kind, name))
        if key is None:
            yield Violation((*path, name), "unknown-key", _unknown_key(kind, name))
            continue
        try:
            key.parse(text)
        except ScalarError as error:
            yield Violation((*path, name), "key-value", f"{name}: {error}")


def _unknown_key(kind: Kind, name: str) -> str:
    for key in KEYS:
        if key.full_name == name:
            return f"{name} belongs on a {key.kind}, not on a {kind}"
    known = [key.full_name for key in KEYS if key.kind is kind]
    return f"{name} is not known{did_you_mean(name, known)}"
