"""Resilient sharing: flows stay where they are when the next hops that share traffic change.

Plain sharing hashes every packet over all next hops: one more or one less, and most flows go
another way. Resilient sharing hashes over a fixed number of *buckets*, each of which belongs to a
next hop. When one goes, only its buckets go to others; when one comes, it gets buckets that no
packet has used for some time, so that no flow is moved.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resilience:
    """How flows are kept.

    Attributes:
        buckets: among how many a set of next hops shares, 1–65535.
        idle: whole seconds for which a bucket must be unused to be given to another next hop.
        unbalanced: whole seconds after which buckets are given away although they are in use, so
            that every next hop has its share; 0 for never.
    """

    buckets: int
    idle: int = 120
    unbalanced: int = 0

    def __str__(self) -> str:
        words = f"{self.buckets} idle {self.idle}"
        return f"{words} unbalanced {self.unbalanced}" if self.unbalanced else words
