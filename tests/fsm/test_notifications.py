from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.notifications import Cease, Code, Notification, hard_reset, shutdown_communication


@pytest.mark.parametrize(
    ("notification", "text"),
    [
        (Notification(4), "Hold Timer Expired"),
        (Notification(2, 2), "OPEN Message Error/Bad Peer AS"),
        (Notification(3, 11), "UPDATE Message Error/Malformed AS Path"),
        (Notification(2, 7, b"\x01\x04"), "OPEN Message Error/Unsupported Capability [01 04]"),
        (Notification(6, 2, b"\x02hi"), 'Cease/Administrative Shutdown "hi"'),
        (Notification(6, 2, b"\x00"), "Cease/Administrative Shutdown"),
        (
            Notification(6, 9, b"\x06\x04\x02hi"),
            'Cease/Hard Reset (Cease/Administrative Reset "hi")',
        ),
        (Notification(6, 9, b"\x04\x00"), "Cease/Hard Reset (Hold Timer Expired)"),
        (Notification(6, 9), "Cease/Hard Reset"),
        (Notification(6, 77), "Cease/subcode 77"),
        (Notification(99, 1), "Error 99/subcode 1"),
    ],
)
def test_a_notification_is_read_aloud_in_the_words_of_the_registry(
    notification: Notification, text: str
) -> None:
    assert str(notification) == text


@given(st.text(max_size=60))
def test_a_printable_text_survives_the_wire(text: str) -> None:
    """RFC 9003 §2."""
    text = "".join(c for c in text if c.isprintable())
    sent = Notification(Code.CEASE, Cease.ADMINISTRATIVE_RESET, shutdown_communication(text))
    assert (sent.communication or "") == text


@given(st.text(min_size=100, max_size=400))
def test_a_long_text_is_cut_at_the_end_of_a_character(text: str) -> None:
    """RFC 9003 §2: at most 255 octets, in UTF-8."""
    length, *octets = shutdown_communication(text)
    said = bytes(octets).decode("utf-8")
    assert length == len(octets) <= 255
    assert text.startswith(said)
    assert said == text or length > 255 - 4


def test_a_text_that_could_harm_a_terminal_is_escaped() -> None:
    hostile = b"\x1b[2J\xff\n"
    notification = Notification(6, 2, bytes([len(hostile)]) + hostile)
    assert notification.communication == "\\x1b[2J\\xff\\n"


def test_a_text_shorter_than_its_length_is_still_shown() -> None:
    assert Notification(6, 4, b"\xffshort").communication == "short"


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
def test_whatever_a_peer_sends_can_be_read_aloud(code: int, subcode: int, data: bytes) -> None:
    assert str(Notification(code, subcode, data)).isprintable()


def test_a_hard_reset_holds_the_true_reason() -> None:
    """RFC 8538 §3."""
    reason = Notification(6, 2, shutdown_communication("bye"))
    wrapped = hard_reset(reason)
    assert wrapped == Notification(6, 9, b"\x06\x02\x03bye")
    assert (wrapped.is_hard_reset, wrapped.inner, wrapped.communication) == (True, reason, "bye")
    assert (reason.is_hard_reset, reason.inner) == (False, None)


def test_hard_resets_within_each_other_are_octets() -> None:
    nested = Notification(6, 9, b"\x06\x09" * 30000)
    assert (nested.inner, nested.communication) == (None, None)
    assert str(nested).startswith("Cease/Hard Reset [06 09")


def test_of_much_data_only_the_beginning_is_read_aloud() -> None:
    said = str(Notification(6, 8, bytes(65_000)))
    assert said.endswith("00 …]")
    assert len(said) < 300
