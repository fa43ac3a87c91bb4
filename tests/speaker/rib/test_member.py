"""What a member owes, in which order it is taken, and when a refresh begins."""

from __future__ import annotations

import pytest

from policy.path import Source, SourceKind
from policy.prefix import Nlri
from speaker.rib.member import Member, RefreshStage
from tests.support.routes import nlri

ONE, TWO, THREE = (nlri(f"10.{number}.0.0/16") for number in (1, 2, 3))
TABLE: dict[Nlri, None] = dict.fromkeys((ONE, TWO, THREE))


def member() -> Member:
    return Member(Source("peer", SourceKind.BGP), bytes((192, 0, 2, 1)))


def up_to_date() -> Member:
    """Make a member to which End-of-RIB was said."""
    made = member()
    made.eor_due = False
    made.in_step = True
    return made


def test_what_a_member_knows_is_taken_first() -> None:
    owing = member()
    owing.again = [THREE]
    owing.owe_new([TWO])
    owing.owe([ONE])
    assert owing.debt == 3
    taken = [owing.take(5, all_is_read=True) for _ in range(4)]
    assert taken == [[ONE], [TWO], [THREE], []]
    assert owing.debt == 0


def test_what_a_member_knows_stays_owed_until_all_is_read() -> None:
    owing = member()
    owing.again = [THREE]
    owing.owe_new([TWO])
    owing.owe([ONE])
    assert [owing.take(5, all_is_read=False) for _ in range(2)] == [[TWO], []]
    assert owing.debt == 2


def test_no_more_is_taken_than_is_asked_for() -> None:
    owing = member()
    owing.owe([ONE, TWO, THREE])
    assert len(owing.take(2, all_is_read=True)) == 2
    owing.forgive()
    owing.again = [THREE, TWO, ONE]
    assert owing.take(2, all_is_read=True) == [TWO, ONE]
    assert owing.again == [THREE]


def test_a_new_prefix_is_owed_once_however_often_it_changes() -> None:
    owing = member()
    owing.owe_new([ONE])
    owing.owe([ONE, TWO])
    owing.owe_new([TWO])
    assert (list(owing.untold), list(owing.owes)) == ([ONE], [TWO])


def test_who_joins_owes_nothing_yet_and_awaits_end_of_rib() -> None:
    moved = up_to_date()
    moved.owe([ONE])
    moved.again = [TWO]
    moved.begin()
    assert (moved.debt, moved.in_step, moved.eor_due) == (0, False, True)


def test_a_refresh_takes_the_table_in_its_order() -> None:
    asking = up_to_date()
    asking.ask_refresh(TABLE)
    assert (asking.refresh, asking.in_step) == (RefreshStage.BEGINS, False)
    assert [asking.take(1, all_is_read=True) for _ in range(3)] == [[ONE], [TWO], [THREE]]


@pytest.mark.parametrize(
    ("stage", "then"),
    [
        (RefreshStage.BEGINS, RefreshStage.BEGINS),
        (RefreshStage.RUNS, RefreshStage.AGAIN),
        (RefreshStage.AGAIN, RefreshStage.AGAIN),
    ],
)
def test_a_refresh_in_the_middle_of_another_waits(stage: RefreshStage, then: RefreshStage) -> None:
    asking = up_to_date()
    asking.refresh = stage
    asking.ask_refresh(TABLE)
    assert (asking.refresh, asking.again) == (then, [])


def test_a_refresh_before_end_of_rib_waits_for_it() -> None:
    """RFC 7313 §4."""
    asking = member()
    asking.ask_refresh(TABLE)
    assert (asking.refresh, asking.again) == (RefreshStage.WAITS, [])
