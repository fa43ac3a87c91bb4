"""The table of errors, row by row, as a peer and its neighbours see it from outside.

Each row has a malformed message (`tests.support.malformed`). A peer on a raw TCP connection sends
it to a router on loopback; another peer, which the router tells its routes, hears what becomes of
the prefix in the message, of the sender's other prefixes, and of a third peer's.
"""

from __future__ import annotations

import asyncio

import pytest

from speaker.inquiry.inquiry import why
from speaker.inquiry.reasons import Arrival
from speaker.wire.verdicts import ROWS, TABLE, Row, Verdict
from tests.support.bench import Answer, Bench
from tests.support.malformed import CASES, FIRST, MARK


def expected(row: Row, data: bytes) -> Answer:
    """Say what must be seen."""
    match row.verdict:
        case Verdict.IGNORE | Verdict.DISCARD:
            return Answer(last=MARK, unrelated=True, notification=None)
        case Verdict.EXCLUDE | Verdict.WITHDRAW:
            return Answer(last=0, unrelated=True, notification=None)
        case Verdict.RESET:
            assert row.notification is not None
            return Answer(last=0, unrelated=False, notification=(*row.notification, data))


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.subject}: {row.error}" for row in ROWS])
def test_a_row_of_the_table_is_what_happens(bench: tuple[asyncio.Runner, Bench], row: Row) -> None:
    runner, around = bench
    case = CASES[row.part, row.error]
    wanted, resets = expected(row, case.data), row.verdict is Verdict.RESET
    seen = runner.run(
        around.say(
            case.sender,
            case.message,
            lambda answer: answer.last != FIRST and bool(answer.notification) == resets,
            six=case.six,
            setting=case.setting,
            extended=case.extended,
        )
    )
    assert seen == wanted
    assert around.is_calm
    if row.verdict in (Verdict.EXCLUDE, Verdict.WITHDRAW):
        said = why(around.router, case.sender.affected6 if case.six else case.sender.affected)
        assert said.summary.startswith(f"{said.prefix} is not there: ")
        assert "tells it, but it is refused: " in said.summary
        assert Arrival.REFUSED in said.reasons()


def test_the_table_has_a_row_for_whatever_can_be_wrong() -> None:
    assert len(TABLE) == len(ROWS) >= 120
    assert [
        row for row in ROWS if (row.verdict is Verdict.RESET) != (row.notification is not None)
    ] == []
    assert [row for row in ROWS if not row.standard.startswith("RFC ")] == []
