"""BFDConfiguration as a model: the timers of BFD, for nodes and their interfaces.

Calico's kind. What its fields demand of each other is asked by `speaker.config.bfd_rules`.
"""

from __future__ import annotations

from pydantic import Field

from speaker.config.models import Duration, InterfacePattern, Model, Resource, SelectorText

RECEIVE, SEND, IDLE, MULTIPLIER = 0.010, 0.100, 60.0, 5
"""Calico's defaults: seconds, and packets."""


class BFDInterface(Model):
    """Interfaces by name, and how peers on them are watched."""

    match_pattern: InterfacePattern = "*"
    minimum_recv_interval: Duration = RECEIVE
    minimum_send_interval: Duration = SEND
    idle_send_interval: Duration = IDLE
    multiplier: int = Field(default=MULTIPLIER, ge=1, le=255)


class BFDConfigurationSpec(Model):
    """Which nodes, and what holds for which of their interfaces; the first that fits counts."""

    node_selector: SelectorText | None = None
    interfaces: list[BFDInterface] = Field(default_factory=list)


class BFDConfiguration(Resource):
    """The timers of BFD."""

    spec: BFDConfigurationSpec = Field(default_factory=BFDConfigurationSpec)
