"""How peers on which interfaces of a node are watched by BFD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fsm.bfd import Settings
from fsm.bfd.session import MICROSECONDS
from speaker.config.bfd_keys import BfdAuthentication, BfdKeys, KeyPlace
from speaker.config.bfd_resources import BFDConfiguration, BFDInterface
from speaker.config.cluster import Cluster, Member
from speaker.config.resources import SecretResource
from speaker.config.secrets import Secret


@dataclass(frozen=True, slots=True)
class InterfaceTimers:
    """What holds for interfaces of a pattern."""

    pattern: str
    settings: Settings


def timers_of(
    configurations: Iterable[BFDConfiguration], cluster: Cluster, me: Member
) -> tuple[InterfaceTimers, ...]:
    """Give what is configured for a node; of several the first that fits an interface counts."""
    return tuple(
        InterfaceTimers(interface.match_pattern, _settings(interface))
        for configuration in configurations
        if configuration.spec.node_selector is None
        or cluster.chooses(configuration.spec.node_selector, me)
        for interface in configuration.spec.interfaces
    )


def settings_on(timers: Iterable[InterfaceTimers], interface: str) -> Settings:
    """Give what holds for an interface, or Calico's defaults."""
    for each in timers:
        if fnmatchcase(interface, each.pattern):
            return each.settings
    return DEFAULTS


def authentication_of(
    wanted: BfdKeys, secrets: Mapping[str, SecretResource]
) -> tuple[BfdAuthentication | None, dict[KeyPlace, str]]:
    """Find keys in their Secrets.

    Returns:
        What was found, None without the key that signs; and what is wrong with each of the others.
    """
    keys: list[tuple[int, Secret]] = []
    wrong: dict[KeyPlace, str] = {}
    for place in wanted.places:
        secret = secrets.get(place.secret)
        key = None if secret is None else secret.get(place.key)
        problem = _wrong_with(place, secret, key, wanted.kind.longest_key)
        if problem or key is None:
            wrong[place] = problem
        else:
            keys.append((place.number, key))
    if wanted.places[0] in wrong:
        return None, wrong
    return BfdAuthentication(wanted.kind, tuple(keys)), wrong


def _wrong_with(
    place: KeyPlace, secret: SecretResource | None, key: Secret | None, longest: int
) -> str:
    if secret is None:
        return f"there is no Secret {place.secret}"
    if key is None:
        return f"Secret {place.secret} has no key {place.key}"
    size = len(key.reveal())
    if not size:
        return f"{place} is empty"
    if size > longest:
        return f"{place} has {size} bytes; such a key of BFD has at most {longest} (RFC 5880)"
    return ""


def _settings(interface: BFDInterface) -> Settings:
    return Settings(
        desired_min_tx_us=_microseconds(interface.minimum_send_interval),
        required_min_rx_us=_microseconds(interface.minimum_recv_interval),
        detect_mult=interface.multiplier,
        idle_tx_us=_microseconds(interface.idle_send_interval),
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


DEFAULTS = _settings(BFDInterface())
"""Where no BFDConfiguration says otherwise."""
