from __future__ import annotations

import pytest

from fsm.effects import DownKind, DownReason
from fsm.notifications import Notification


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            DownReason(DownKind.SENT, Notification(4), "the peer was silent"),
            "we sent NOTIFICATION Hold Timer Expired: the peer was silent",
        ),
        (
            DownReason(DownKind.RECEIVED, Notification(6, 2, b"\x02hi")),
            'the peer sent NOTIFICATION Cease/Administrative Shutdown "hi"',
        ),
        (
            DownReason(DownKind.TCP, text="Connection refused"),
            "the connection failed: Connection refused",
        ),
        (DownReason(DownKind.TCP), "the connection failed"),
    ],
)
def test_a_reason_is_a_sentence_for_people(reason: DownReason, text: str) -> None:
    assert str(reason) == text


def test_the_operators_words_are_found_in_the_reason() -> None:
    """RFC 8538 §3, RFC 9003 §2."""
    plain = DownReason(DownKind.RECEIVED, Notification(6, 2, b"\x02hi"))
    hard = DownReason(DownKind.RECEIVED, Notification(6, 9, b"\x06\x02\x02hi"))
    assert (plain.communication, plain.is_hard_reset) == ("hi", False)
    assert (hard.communication, hard.is_hard_reset) == ("hi", True)
    assert DownReason(DownKind.TCP).communication is None
