"""Requests to the kernel, and what may become of them: the small values `speaker.kernel.fib` uses.

A `Run` is one request for many prefixes. A `Trouble` stands beside a prefix as long as its route
cannot be made what it should be. `Found` is what a dump shows of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from policy.prefix import Nlri
from speaker.kernel.routes import Forwarding
from speaker.kernel.stamps import Verb

NEVER = float("inf")
"""Due at no time of its own: a scan will bring it back."""


class Run(NamedTuple):
    """One request for several prefixes."""

    verb: Verb
    forwarding: Forwarding
    nlris: list[Nlri]


class Hitch(Enum):
    """Why a wanted route is not in the kernel."""

    REFUSED = "refused"
    CONFLICT = "conflict"
    UNCLEAR = "unclear"
    """Something unknown holds the place; a scan will tell what."""


@dataclass(slots=True)
class Trouble:
    """A route that could not be installed, or not be removed."""

    hitch: Hitch
    forwarding: Forwarding | None
    text: str
    attempts: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """Routes of ours as a dump shows them; `more` are further ones to a prefix (other metrics)."""

    routes: dict[Nlri, Forwarding] = field(default_factory=dict)
    more: dict[Nlri, list[Forwarding]] = field(default_factory=dict)

    def add(self, nlri: Nlri, forwarding: Forwarding) -> None:
        """Note one route."""
        if self.routes.setdefault(nlri, forwarding) is not forwarding:
            self.more.setdefault(nlri, []).append(forwarding)
