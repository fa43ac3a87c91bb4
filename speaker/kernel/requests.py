"""Requests to the kernel and what a dump shows: the small values that `speaker.kernel.fib` uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding
from speaker.kernel.stamps import Verb


class Run(NamedTuple):
    """One request for several prefixes."""

    verb: Verb
    forwarding: Forwarding
    nlris: list[Nlri]


@dataclass(frozen=True, slots=True)
class Found:
    """Routes of ours as a dump shows them; `more` are further ones to a prefix (other metrics)."""

    routes: dict[Nlri, Forwarding] = field(default_factory=dict)
    more: dict[Nlri, list[Forwarding]] = field(default_factory=dict)

    def add(self, nlri: Nlri, forwarding: Forwarding) -> None:
        """Note one route."""
        if self.routes.setdefault(nlri, forwarding) is not forwarding:
            self.more.setdefault(nlri, []).append(forwarding)
