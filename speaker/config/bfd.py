"""How peers on which interfaces of a node are watched by BFD."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fsm.bfd import Settings
from fsm.bfd.session import MICROSECONDS
from speaker.config.bfd_resources import BFDConfiguration, BFDInterface
from speaker.config.cluster import Cluster, Member


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
