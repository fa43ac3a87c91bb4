"""A value that must not be printed.

A session's TCP-MD5 key goes through plans, comparisons and logs like any other value; this type
sees to it that only `Secret.reveal` ever gives it away.
"""

from __future__ import annotations

MAX_PASSWORD = 80
"""Octets a TCP-MD5 key may have (RFC 2385 leaves it to the system; Linux takes 80)."""


class Secret:
    """Octets that show themselves only when asked by name. Equal by value, hashable."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """Give the octets, verbatim."""
        return self._octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._octets == other._octets

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"
