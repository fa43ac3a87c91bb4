"""What an embedder is told: sessions, BFD and caches that come and go, routes that change.

Every follower has a queue of its own with a bound; one that does not keep up loses the oldest
notices and is told how many, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from fsm.negotiation import Negotiated
from speaker.rib.loc_rib import Delta

QUEUE = 10_000
"""Notices that wait for one follower at the most."""


@dataclass(frozen=True, slots=True)
class SessionEstablished:
    """A session is up."""

    peer: str
    address: str
    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class SessionDown:
    """A session is down; the reason is a sentence."""

    peer: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class CacheChanged:
    """An RPKICache is in sync, or begins to fail; then the reason is a sentence, else empty."""

    cache: str
    reason: str


@dataclass(frozen=True, slots=True)
class BfdChanged:
    """BFD says something else of an address; the diagnostic is in RFC 5880's words, or empty.

    Attributes:
        peers: that have the address; empty where it is watched no more, since they have gone.
        failed: it was up, and nobody has ended it on purpose: sessions end.
    """

    address: str
    peers: tuple[str, ...]
    is_up: bool
    failed: bool
    diagnostic: str


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """Best paths have changed."""

    delta: Delta


@dataclass(frozen=True, slots=True)
class NoticesLost:
    """The follower was too slow; so many notices are lost."""

    count: int


Notice: TypeAlias = (
    SessionEstablished | SessionDown | BfdChanged | CacheChanged | RoutesChanged | NoticesLost
)


class _Follower:
    """The queue of one follower."""

    def __init__(self, kinds: tuple[type[Notice], ...]) -> None:
        self.kinds = kinds
        self.queue: deque[Notice] = deque()
        self.lost = 0
        self.closed = False
        self.news = asyncio.Event()

    def wants(self, kind: type[Notice]) -> bool:
        return not self.kinds or kind in self.kinds


class Notices:
    """Tells followers what happens."""

    def __init__(self) -> None:
        self._followers: list[_Follower] = []

    def wants(self, kind: type[Notice]) -> bool:
        """Whether anybody follows what is of a kind."""
        return any(follower.wants(kind) for follower in self._followers)

    def tell(self, notice: Notice) -> None:
        """Tell everybody who follows."""
        for follower in self._followers:
            if not follower.wants(type(notice)):
                continue
            if len(follower.queue) >= QUEUE:
                follower.queue.popleft()
                follower.lost += 1
            follower.queue.append(notice)
            follower.news.set()

    def follow(self, *kinds: type[Notice]) -> AsyncIterator[Notice]:
        """Follow from now on, until `close`; everything, or what is of some kinds."""
        follower = _Follower(kinds)
        self._followers.append(follower)
        return self._notices_of(follower)

    async def _notices_of(self, follower: _Follower) -> AsyncIterator[Notice]:
        try:
            while True:
                while follower.queue:
                    if follower.lost:
                        lost, follower.lost = follower.lost, 0
                        yield NoticesLost(lost)
                    yield follower.queue.popleft()
                if follower.closed:
                    return
                follower.news.clear()
                await follower.news.wait()
        finally:
            if follower in self._followers:
                self._followers.remove(follower)

    def close(self) -> None:
        """End every iteration once its queue is empty."""
        for follower in self._followers:
            follower.closed = True
            follower.news.set()
