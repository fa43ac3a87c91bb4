"""What is put down is taken in its order, in lists of any length."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from policy.prefix import Nlri
from speaker.kernel.agenda import Agenda


def prefixes(first: int, number: int) -> list[Nlri]:
    return [b"\x20" + one.to_bytes(4, "big") for one in range(first, first + number)]


@given(st.lists(st.integers(0, 20_000), max_size=6), st.integers(1, 9000))
def test_everything_comes_once_in_its_order(lengths: list[int], limit: int) -> None:
    agenda = Agenda()
    put: list[Nlri] = []
    for length in lengths:
        put += prefixes(len(put), length)
        agenda.add(put[len(put) - length :])
    assert len(agenda) == len(put)
    taken: list[Nlri] = []
    while agenda:
        part = list(chain.from_iterable(agenda.take(limit)))
        assert len(part) == min(limit, len(put) - len(taken))
        taken += part
        assert len(agenda) == len(put) - len(taken)
    assert taken == put


def test_the_rest_of_a_long_list_keeps_its_place() -> None:
    agenda = Agenda()
    agenda.add(prefixes(0, 10))
    agenda.add(prefixes(10, 1))
    agenda.take(4)
    assert agenda.take(7) == [prefixes(4, 6), prefixes(10, 1)]
