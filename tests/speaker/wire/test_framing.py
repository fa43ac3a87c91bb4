"""Framing: however a stream is cut, the same messages come out; broken headers end it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.errors import MessageHeaderError
from fsm.notifications import HeaderSubcode
from speaker.wire.framing import (
    HEADER_LENGTH,
    KEEPALIVE,
    KEEPALIVE_MESSAGE,
    MARKER,
    MAX_EXTENDED_LENGTH,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    Framer,
    message,
)
from tests.support.pipeline import RawMessage

LEAST_BODY = {OPEN: 10, UPDATE: 4, NOTIFICATION: 2, KEEPALIVE: 0, ROUTE_REFRESH: 4}


@st.composite
def messages(draw: st.DrawFn) -> RawMessage:
    """Draw a message with a legal length."""
    kind = draw(st.sampled_from(list(LEAST_BODY)))
    most = 0 if kind == KEEPALIVE else 60
    return kind, draw(st.binary(min_size=LEAST_BODY[kind], max_size=max(most, LEAST_BODY[kind])))


def fed(chunks: list[bytes]) -> tuple[list[RawMessage], MessageHeaderError | None]:
    """Feed chunks to a new framer; give all messages, and the error."""
    framer = Framer()
    runs = [run for chunk in chunks for run in framer.feed(chunk)]
    return [(kind, body) for kind, bodies in runs for body in bodies], framer.error


def header(length: int, kind: int, marker: bytes = MARKER) -> bytes:
    """Write a header as RFC 4271 §4.1 has it."""
    return marker + length.to_bytes(2, "big") + bytes((kind,))


def test_a_keepalive_is_a_header_alone() -> None:
    assert KEEPALIVE_MESSAGE == b"\xff" * 16 + b"\x00\x13" + b"\x04"


@given(st.lists(messages(), max_size=6), st.lists(st.integers(0, 500), max_size=8))
def test_any_cuts_give_the_messages_that_were_sent(sent: list[RawMessage], cuts: list[int]) -> None:
    stream = b"".join(message(kind, body) for kind, body in sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert fed(chunks) == (sent, None)


@given(st.lists(messages(), max_size=4))
def test_byte_by_byte_gives_the_messages_that_were_sent(sent: list[RawMessage]) -> None:
    stream = b"".join(message(kind, body) for kind, body in sent)
    assert fed([bytes((octet,)) for octet in stream]) == (sent, None)


@given(st.lists(messages(), max_size=3), st.binary(max_size=40))
def test_rubbish_behind_good_messages_gives_the_same_at_every_split_point(
    sent: list[RawMessage], rubbish: bytes
) -> None:
    stream = b"".join(message(kind, body) for kind, body in sent) + rubbish
    whole, error = fed([stream])
    assert whole[: len(sent)] == sent
    for cut in range(len(stream) + 1):
        parts, same = fed([stream[:cut], stream[cut:]])
        assert (parts, str(same)) == (whole, str(error))


@pytest.mark.parametrize("at", range(16))
def test_a_marker_that_is_not_all_ones_is_connection_not_synchronized(at: int) -> None:
    marker = MARKER[:at] + b"\xfe" + MARKER[at + 1 :]
    _, error = fed([header(19, KEEPALIVE, marker)])
    assert error is not None
    assert (error.code, error.subcode, error.data) == (
        1,
        HeaderSubcode.CONNECTION_NOT_SYNCHRONIZED,
        b"",
    )


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        (18, KEEPALIVE),
        (20, KEEPALIVE),
        (28, OPEN),
        (4097, OPEN),
        (22, UPDATE),
        (4097, UPDATE),
        (20, NOTIFICATION),
        (22, ROUTE_REFRESH),
        (0, UPDATE),
        (65535, UPDATE),
        (18, 99),
    ],
)
def test_a_length_that_its_type_cannot_have_is_bad_message_length(length: int, kind: int) -> None:
    _, error = fed([header(length, kind)])
    assert error is not None
    # RFC 4271 §6.1: the data is the erroneous Length field.
    assert (error.code, error.subcode, error.data) == (
        1,
        HeaderSubcode.BAD_MESSAGE_LENGTH,
        length.to_bytes(2, "big"),
    )


@pytest.mark.parametrize("kind", [0, 6, 255])
def test_an_unknown_type_is_bad_message_type(kind: int) -> None:
    _, error = fed([header(19, kind)])
    assert error is not None
    # RFC 4271 §6.1: the data is the erroneous Type field.
    assert (error.code, error.subcode, error.data) == (
        1,
        HeaderSubcode.BAD_MESSAGE_TYPE,
        bytes((kind,)),
    )


def test_messages_before_an_error_are_given_and_nothing_after_it() -> None:
    framer = Framer()
    stream = KEEPALIVE_MESSAGE + message(UPDATE, b"\0\0\0\0") + header(19, 9) + KEEPALIVE_MESSAGE
    assert framer.feed(stream) == [(KEEPALIVE, [b""]), (UPDATE, [b"\0\0\0\0"])]
    assert framer.error is not None
    assert framer.unread == header(19, 9) + KEEPALIVE_MESSAGE
    assert framer.feed(KEEPALIVE_MESSAGE) == []


def test_an_incomplete_header_is_no_error_yet() -> None:
    assert fed([b"\0" * (HEADER_LENGTH - 1)]) == ([], None)


def test_long_messages_pass_once_extended_messages_are_negotiated() -> None:
    """RFC 8654 §4: all but OPEN and KEEPALIVE."""
    framer = Framer()
    framer.max_length = MAX_EXTENDED_LENGTH
    longest = b"\0" * (MAX_EXTENDED_LENGTH - HEADER_LENGTH)
    assert framer.feed(message(UPDATE, longest)) == [(UPDATE, [longest])]
    assert framer.feed(message(NOTIFICATION, longest)) == [(NOTIFICATION, [longest])]
    assert framer.feed(header(4097, OPEN)) == []
    assert framer.error is not None
    assert framer.error.subcode == HeaderSubcode.BAD_MESSAGE_LENGTH
