"""A value that must not be printed.

The keys by which a session is signed go through plans, comparisons and logs like any other value;
this type sees to it that only `Secret.reveal` ever gives them away. Where one comes from is no
secret: it is how people tell two of them apart.
"""

from __future__ import annotations

from typing import NoReturn

MAX_PASSWORD = 80
"""Octets a key of TCP-MD5 or TCP-AO may have (RFCs leave it to the system; Linux takes 80)."""


class Secret:
    """Octets that show themselves only when asked by name. Equal by value, hashable.

    Args:
        octets: verbatim.
        source: where they come from, as ``SECRET/KEY``; no part of the value.

    Attributes:
        source: see above; empty where nobody knows.
    """

    __slots__ = ("_octets", "source")

    def __init__(self, octets: bytes, source: str = "") -> None:
        self._octets = octets
        self.source = source

    def reveal(self) -> bytes:
        """Give the octets, verbatim."""
        return self._octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._octets == other._octets

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into anything that could be."""
        raise TypeError("a secret is not written down")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"
