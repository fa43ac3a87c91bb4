"""The keys ``wren.bgp/…``: what Calico's fields cannot say.

They stand in ``spec.extensions`` of a BGPPeer, or in ``metadata.annotations`` of a BGPPeer or
BGPConfiguration, with text as value. A ``wren.bgp/…`` key that is not in the list of
`speaker.config.keys` is refused; all other keys belong to somebody else and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fsm.family import Afi, Family
from policy.prefix import Nlri
from policy.resilience import Resilience
from policy.roles import Role
from speaker.config.add_path import AddPath
from speaker.config.as_ranges import AsRanges, Relation
from speaker.config.bfd_keys import BfdKeys, BfdTimers, BfdWay
from speaker.config.key_values import AigpMode, BlackholeMode
from speaker.config.keys import KEYS, PREFIX, PolicyMode
from speaker.config.kinds import Kind
from speaker.config.limits import Limits
from speaker.config.listen_ranges import Network
from speaker.config.problems import FieldPath, Violation, did_you_mean
from speaker.config.requirements import Requirement
from speaker.config.scalars import ScalarError
from speaker.config.tcp_ao import KeyReference

_BY_NAME = {(key.kind, key.full_name): key for key in KEYS}

TEXT_MAPS: tuple[FieldPath, ...] = (("metadata", "annotations"), ("spec", "extensions"))
"""Where keys may stand, the weaker first."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """What the keys of a BGPPeer say; None where they are silent."""

    passive: bool | None = None
    interface: str | None = None
    listen_range: tuple[Network, ...] | None = None
    as_range: AsRanges | Relation | None = None
    max_dynamic_peers: int | None = None
    families: tuple[Family, ...] | None = None
    hold_time: int | None = None
    connect_retry: float | None = None
    idle_hold: tuple[float, float] | None = None
    send_hold_time: float | None = None
    delay_open: float | None = None
    route_reflector_client: bool | None = None
    add_path: AddPath | None = None
    graceful_restart: bool | None = None
    llgr_partial_deployment: bool | None = None
    enhanced_refresh: bool | None = None
    extended_messages: bool | None = None
    extended_next_hop: bool | None = None
    four_octet_as: bool | None = None
    require: tuple[Requirement, ...] | None = None
    max_prefixes: Limits | None = None
    max_prefixes_out: Limits | None = None
    graceful_shutdown: bool | None = None
    blackhole: BlackholeMode | None = None
    enforce_first_as: bool | None = None
    as_sets: bool | None = None
    reject_invalid: bool | None = None
    aigp: AigpMode | None = None
    role: Role | None = None
    strict_role: bool | None = None
    fqdn: str | None = None
    software_version: bool | None = None
    tcp_ao: tuple[KeyReference, ...] | None = None
    weight: int | None = None
    bfd: BfdWay | None = None
    bfd_timers: BfdTimers | None = None
    bfd_auth: BfdKeys | None = None
    bfd_strict: float | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationOptions:
    """What the keys of a BGPConfiguration say; None where they are silent."""

    policy: PolicyMode | None = None
    always_compare_med: bool | None = None
    reject_invalid: bool | None = None
    networks: tuple[tuple[Afi, Nlri], ...] | None = None
    external_networks: tuple[tuple[str, int], ...] | None = None
    resilient_groups: Resilience | Literal[False] | None = None
    selection_deferral: float | None = None


def _attribute(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


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
