"""Wren: a BGP speaker driven by Calico's BGP resources.

This is the one door for embedders. A router takes a plan, and a plan comes from resources::

    plan = speaker.resolve(speaker.load_resources("etc/"), node="r1")
    async with speaker.Speaker(plan) as router:
        async for notice in router.listen_to_notices():
            ...

Names are loaded when they are first used: asking for the version must not import an event loop.
`fsm` and `policy` are importable on their own; every other name inside may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from speaker.clock import Clock
    from speaker.config.changes import changes
    from speaker.config.filter_resources import BGPFilter
    from speaker.config.plan import PeerPlan, Plan, resolve
    from speaker.config.policy_resources import RoutePolicy
    from speaker.config.ranges import PeerRange
    from speaker.config.resources import BGPConfiguration, BGPPeer, Node
    from speaker.config.store import Resources
    from speaker.datastore.directory import load_resources
    from speaker.errors import BgpError, ConfigError, KernelError, SpeakerError, TransportError
    from speaker.fib_sink import RouteSink
    from speaker.forwarding_plane import KernelOptions
    from speaker.inquiry.answer import Why
    from speaker.inquiry.inquiry import why
    from speaker.notices import (
        BfdChanged,
        CacheChanged,
        NoticesLost,
        RoutesChanged,
        SessionDown,
        SessionEstablished,
    )
    from speaker.relays import RelayedRoute
    from speaker.speaker import Speaker
    from speaker.watches import Bfd, BfdVerdict, BfdWatch

_HOMES = {
    "Bfd": "speaker.watches",
    "BfdChanged": "speaker.notices",
    "BfdVerdict": "speaker.watches",
    "BfdWatch": "speaker.watches",
    "BGPConfiguration": "speaker.config.resources",
    "BGPFilter": "speaker.config.filter_resources",
    "BGPPeer": "speaker.config.resources",
    "BgpError": "speaker.errors",
    "CacheChanged": "speaker.notices",
    "Clock": "speaker.clock",
    "ConfigError": "speaker.errors",
    "KernelError": "speaker.errors",
    "KernelOptions": "speaker.forwarding_plane",
    "Node": "speaker.config.resources",
    "NoticesLost": "speaker.notices",
    "PeerPlan": "speaker.config.plan",
    "PeerRange": "speaker.config.ranges",
    "Plan": "speaker.config.plan",
    "RelayedRoute": "speaker.relays",
    "Resources": "speaker.config.store",
    "RoutePolicy": "speaker.config.policy_resources",
    "RouteSink": "speaker.fib_sink",
    "RoutesChanged": "speaker.notices",
    "SessionDown": "speaker.notices",
    "SessionEstablished": "speaker.notices",
    "Speaker": "speaker.speaker",
    "SpeakerError": "speaker.errors",
    "TransportError": "speaker.errors",
    "Why": "speaker.inquiry.answer",
    "changes": "speaker.config.changes",
    "load_resources": "speaker.datastore.directory",
    "resolve": "speaker.config.plan",
    "why": "speaker.inquiry.inquiry",
}

__all__ = [
    "BGPConfiguration",
    "BGPFilter",
    "BGPPeer",
    "Bfd",
    "BfdChanged",
    "BfdVerdict",
    "BfdWatch",
    "BgpError",
    "CacheChanged",
    "Clock",
    "ConfigError",
    "KernelError",
    "KernelOptions",
    "Node",
    "NoticesLost",
    "PeerPlan",
    "PeerRange",
    "Plan",
    "RelayedRoute",
    "Resources",
    "RoutePolicy",
    "RouteSink",
    "RoutesChanged",
    "SessionDown",
    "SessionEstablished",
    "Speaker",
    "SpeakerError",
    "TransportError",
    "Why",
    "__version__",
    "changes",
    "load_resources",
    "resolve",
    "why",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'speaker' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
