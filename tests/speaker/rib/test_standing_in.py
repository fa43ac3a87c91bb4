"""Who stands in for a source that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from policy.path import NextHop, Path, Source
from policy.prefix import Nlri
from speaker.rib.standing_in import StandIn, stand_in
from tests.support.routes import nlri, peer, route

A, B, C = (peer(name=name, at=f"192.0.2.{number}") for number, name in enumerate("abc", 2))
HOPS = {source: NextHop(bytes((10, 0, 0, number))) for number, source in enumerate((A, B, C))}
ALL = ("10.1.0.0/16", "10.2.0.0/16")


@dataclass
class Offers:
    """What a source offers."""

    source: Source
    paths: dict[Nlri, Path]
    more: Mapping[Nlri, tuple[Path, ...]] = field(default_factory=dict)


def offers(source: Source, *prefixes: str, length: int = 1, via: NextHop | None = None) -> Offers:
    path = route(source, via=via or HOPS[source], path=tuple(range(1, length + 1)))
    return Offers(source, {nlri(text): path for text in prefixes})


def found(*others: Offers) -> NextHop | None:
    """Say by whom packets of A's prefixes go."""
    standing = stand_in([others[0], offers(A, *ALL), *others[1:]], A)
    if standing is None:
        return None
    assert standing == StandIn(frozenset({HOPS[A]}), standing.instead)
    return standing.instead


def test_it_has_a_path_to_each_prefix() -> None:
    assert found(offers(B, *ALL, "10.3.0.0/16")) is HOPS[B]
    assert found(offers(B, ALL[0])) is None
    assert found(offers(B, ALL[0], "10.3.0.0/16", "10.4.0.0/16")) is None


def test_the_better_one_is_taken_if_it_can() -> None:
    assert found(offers(B, *ALL, length=2), offers(C, *ALL, length=1)) is HOPS[C]
    assert found(offers(B, *ALL, length=1), offers(C, *ALL, length=2)) is HOPS[B]
    assert found(offers(B, ALL[0], length=1), offers(C, *ALL, length=2)) is HOPS[C]


def test_its_next_hop_is_one_and_reachable() -> None:
    both = offers(B, ALL[0]).paths | offers(B, ALL[1], via=HOPS[C]).paths
    assert found(Offers(B, both)) is None
    assert found(offers(B, *ALL, via=NextHop(b"\x0a\0\0\x09", reachable=False))) is None


@pytest.mark.parametrize("tables", [[], [offers(B, *ALL)], [offers(A), offers(B, *ALL)]])
def test_nobody_stands_in_for_one_who_has_told_nothing(tables: list[Offers]) -> None:
    assert stand_in(tables, A) is None
