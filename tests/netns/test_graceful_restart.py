"""Wren is killed and comes back, again and again: not one packet is lost, no wanted route goes.

Packets flow through Wren between all four kinds of peers, a thousand a second each way in each
family, and are numbered; every route that any node's kernel loses is written down.

A kill while peers wait for what they had been told before a first kill is another thing: such
routes have to go at once (RFC 4724 §4.2), and with most peers that takes packets along.
"""

from __future__ import annotations

import random
import time

import pytest

from fsm.capabilities import GracefulRestart
from lab import Family
from tests.support.netns import needs_namespaces
from tests.support.restarters import (
    BIRD,
    FRR,
    GOBGP,
    KINDS,
    OTHER,
    Ring,
    bgp_family,
    restart_in,
    ring,
)
from tests.support.traffic import flowing, lost
from tests.support.watching import removed, watched
from tests.support.wiretap import Tap

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

PAIRS = ((BIRD, FRR), (GOBGP, OTHER))


def said_of_restarts(found: Ring, tap: Tap, kind: str, family: Family) -> list[GracefulRestart]:
    """Give what each OPEN of Wren to a peer says of its restarts."""
    opens = tap.opens(found.here(kind, family), found.there(kind, family))
    return [restart_in(message.capabilities) for message in opens]


@pytest.mark.parametrize(
    "kills",
    [
        2,
        pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_kills_at_any_moment_lose_nothing_either_way(kills: int) -> None:
    moments = random.Random(kills)
    with ring() as found:
        with (
            watched(*found.installing) as watches,
            found.tap() as tap,
            flowing(found.flows(*PAIRS)) as counts,
        ):
            for _ in range(kills):
                time.sleep(moments.uniform(0, 2))
                found.wren.kill()
                time.sleep(moments.uniform(0, 1))
                found.wren.start()
                found.is_settled()
        assert (lost(counts), removed(watches)) == ({}, {})
        for kind in KINDS:
            for family in Family:
                said = said_of_restarts(found, tap, kind, family)
                assert said
                kept = ((bgp_family(family), True),)
                assert set(said) == {GracefulRestart(True, True, 120, kept)}
