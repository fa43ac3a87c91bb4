"""Tables that were large once take no more room than they need."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.filters import Filter
from policy.path import PeerType
from policy.rules import Action, Direction, Rule, Scope
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.import_policy import ImportPolicy
from speaker.rib.loc_rib import LocRib
from speaker.rib.room import LEAST, compacted
from tests.support.builders import few_prefixes, peers
from tests.support.routes import route

MANY = 100_000


@given(left=st.sets(st.integers(0, MANY - 1), max_size=20))
def test_what_is_left_of_a_large_table_is_the_same_in_less_room(left: set[int]) -> None:
    table = dict.fromkeys(range(MANY), "kept")
    for number in range(MANY):
        if number not in left:
            del table[number]
    small = compacted(table)
    assert list(small.items()) == list(table.items())
    assert sys.getsizeof(small) < LEAST < sys.getsizeof(table)


@pytest.mark.parametrize("size", [0, 10, MANY])
def test_a_table_that_is_in_use_is_left_as_it_is(size: int) -> None:
    table = dict.fromkeys(range(size))
    assert compacted(table) is table


@pytest.mark.parametrize("refuses", [True, False])
def test_every_table_of_a_source_gives_its_room_back(refuses: bool) -> None:
    rib = LocRib(IPV4_UNICAST)
    source = peers(1)[0]
    table = AdjRibIn(source, IPV4_UNICAST, rib)
    path = route(source=source)
    nlris = [b"\x20" + number.to_bytes(4, "big") for number in range(MANY)]
    kept = few_prefixes(3)
    if refuses:
        rules = Filter([Rule(Action.REJECT)])
        table.policy = ImportPolicy(rules, None, Scope(PeerType.EXTERNAL, Direction.IMPORT))
    table.announce(path, nlris)
    table.policy = None
    table.announce(path, kept)
    before = sys.getsizeof(table.paths) + sys.getsizeof(table.refused)
    table.withdraw(nlris)
    table.compact()
    rib.compact()
    assert sys.getsizeof(table.paths) + sys.getsizeof(table.refused) < before
    assert table.paths == table.received == rib.best == dict.fromkeys(kept, path)
    table.announce(path, nlris[:2])
    assert len(rib.best) == len(table.paths) == 5
