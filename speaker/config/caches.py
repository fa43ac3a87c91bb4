"""Which caches a node asks for the validity of routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from speaker.config.cache_resources import RPKICache
from speaker.config.cluster import Cluster, Member
from speaker.config.scalars import whole_seconds
from speaker.rpki.intervals import Wishes


@dataclass(frozen=True, slots=True)
class CachePlan:
    """A cache, and how it is asked.

    Attributes:
        name: of its RPKICache.
        address: canonical text, or the name of a host.
    """

    name: str
    address: str
    port: int
    wishes: Wishes

    @property
    def place(self) -> str:
        """Address and port, for people."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def caches_of(caches: Iterable[RPKICache], cluster: Cluster, me: Member) -> dict[str, CachePlan]:
    """Give those that are for a node, by name."""
    return {
        cache.name: _plan(cache)
        for cache in caches
        if cache.spec.node_selector is None or cluster.chooses(cache.spec.node_selector, me)
    }


def _plan(cache: RPKICache) -> CachePlan:
    spec = cache.spec
    wishes = Wishes(
        _whole(spec.refresh_interval),
        _whole(spec.retry_interval),
        _whole(spec.expire_interval),
        spec.max_vrps,
    )
    return CachePlan(cache.name, spec.address, spec.port, wishes)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else whole_seconds(seconds)
