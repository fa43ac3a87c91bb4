"""Why a session is not up, in words."""

from __future__ import annotations

from math import inf

import pytest

from fsm.errors import MessageHeaderError
from fsm.events import (
    AutomaticStop,
    BgpHeaderErr,
    BgpOpen,
    Event,
    KeepAliveMsg,
    ManualStart,
    ManualStop,
    NotifMsg,
    Side,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpCrAcked,
    Tick,
)
from fsm.explanation import Screening, explain_down
from fsm.messages import Open
from fsm.notifications import Notification, shutdown_communication
from fsm.session import Session
from tests.support.duet import config, mirrored

OUT, IN = Side.OUTGOING, Side.INCOMING
PEER = mirrored(config()).open_message()
DIALLED: tuple[Event, ...] = (ManualStart(), TcpCrAcked(OUT))
AGREED: tuple[Event, ...] = (*DIALLED, BgpOpen(OUT, PEER))
UP: tuple[Event, ...] = (*AGREED, KeepAliveMsg(OUT))
BACK_OFF = "; back-off, the next try is in 4 s"


def explained(
    *events: Event, now: float = 1.0, screening: Screening | None = None, **changes: object
) -> tuple[str, float | None]:
    one = Session(config(**changes))
    for event in events:
        one.handle(event, now if isinstance(event, Tick) else 0.0)
    explanation = explain_down(one, now, screening or Screening())
    assert explanation is not None
    return str(explanation), explanation.next_try


def received(code: int, subcode: int = 0, data: bytes = b"") -> tuple[Event, ...]:
    return (*UP, NotifMsg(OUT, Notification(code, subcode, data)))


def test_a_session_that_is_up_needs_no_explanation() -> None:
    one = Session(config())
    for event in UP:
        one.handle(event, 0.0)
    assert explain_down(one, 1.0) is None


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ((), "not started yet"),
        ((*UP, ManualStop()), "administratively down"),
        ((*UP, ManualStop(message="rack 7")), 'administratively down "rack 7"'),
        (
            (*UP, AutomaticStop(1, restart_after=inf)),
            "the peer sent too many prefixes; it stays down until it is started",
        ),
        (DIALLED, "connected, the peer's OPEN is awaited"),
        (AGREED, "connected, the peer's first KEEPALIVE is awaited"),
    ],
)
def test_who_only_waits_has_no_next_try(events: tuple[Event, ...], sentence: str) -> None:
    assert explained(*events) == (sentence, None)


def test_a_passive_end_waits_for_the_peer() -> None:
    assert explained(ManualStart(), passive=True) == ("waiting for the peer to connect", None)


def test_an_open_that_is_held_back_is_told() -> None:
    assert explained(*DIALLED, delay_open_time=5) == ("connected, our OPEN is held back", None)


def test_a_dial_says_when_the_next_would_come() -> None:
    assert explained(ManualStart()) == ("dialling", 119.0)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "Connection refused",
            (
                "the peer refuses connections: nothing listens there, or a filter rejects them"
                " (Connection refused)"
            ),
        ),
        ("No route to host", "there is no way to the peer (No route to host)"),
        ("Network is unreachable", "there is no way to the peer (Network is unreachable)"),
        (
            "no answer within 30 s",
            (
                "no answer from the peer: it is not there, a filter drops us,"
                " or it has a password (no answer within 30 s)"
            ),
        ),
        ("Too many open files", "the connection failed (Too many open files)"),
        ("", "the connection failed"),
    ],
)
def test_a_dial_that_failed_is_explained_with_the_next_one(text: str, cause: str) -> None:
    sentence = f"{cause}; the next try is in 119 s"
    assert explained(ManualStart(), TcpConnectionFails(OUT, text)) == (sentence, 119.0)


@pytest.mark.parametrize(
    ("screening", "suspicion"),
    [
        (
            Screening(has_password=True),
            "it is not there, a filter drops us, or the passwords of the two ends differ",
        ),
        (
            Screening(unsigned=3),
            (
                "MD5 mismatch suspected, the passwords of the two ends differ: 3 TCP segments"
                " with a wrong signature were dropped here; have the same one at both ends"
            ),
        ),
        (
            Screening(has_password=True, unsigned=3),
            (
                "MD5 mismatch suspected, the passwords of the two ends differ or nothing listens"
                " there: 3 TCP segments with a wrong signature were dropped here; have the same"
                " one at both ends"
            ),
        ),
        (
            Screening(has_keys=True, unsigned=3),
            (
                "TCP-AO mismatch suspected, the keys of the two ends or their ids differ or nothing"
                " listens there: 3 TCP segments with a wrong signature were dropped here; have the"
                " same key at both ends, each one's send id the other's receive id"
            ),
        ),
        (
            Screening(has_keys=True),
            "it is not there, a filter drops us, or it lacks the key that we sign by",
        ),
        (
            Screening(hops=2, too_far=4),
            (
                "the peer is suspected to be farther away than 2 hops (ttlSecurity), to send with"
                " a TTL below 255, or not to listen: 4 TCP segments from too far were dropped here"
            ),
        ),
        (Screening(too_far=4), "it is not there, a filter drops us, or it has a password"),
    ],
)
def test_silence_may_be_a_password_or_a_distance(screening: Screening, suspicion: str) -> None:
    """RFC 2385 §2: a segment with a bad digest is dropped without a word."""
    sentence, next_try = explained(ManualStart(), Tick(), now=120.0, screening=screening)
    cause = f"no answer from the peer: {suspicion} (no answer within 120 s)"
    assert (sentence, next_try) == (f"{cause}; dialling", 120.0)


def test_who_waits_for_a_peer_whose_segments_are_dropped_suspects_the_password() -> None:
    sentence, _ = explained(ManualStart(), screening=Screening(unsigned=2), passive=True)
    assert sentence.startswith("MD5 mismatch suspected")
    assert sentence.endswith("; waiting for the peer to connect")


def test_who_waits_for_a_peer_from_too_far_suspects_the_distance() -> None:
    """RFC 5082 §3."""
    sentence, _ = explained(ManualStart(), screening=Screening(hops=1, too_far=2), passive=True)
    assert sentence.startswith("the peer is suspected to be farther away than 1 hop (ttlSecurity)")


def test_what_is_known_for_sure_comes_before_a_suspicion() -> None:
    events = (ManualStart(), TcpConnectionFails(OUT, "Connection refused"))
    sentence, _ = explained(*events, screening=Screening(unsigned=2))
    assert "MD5" not in sentence


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        (
            (*DIALLED, BgpOpen(OUT, Open(65000, 90, 1))),
            "wrong AS: the peer says it is AS 65000, expected AS 64513",
        ),
        (
            (*DIALLED, NotifMsg(OUT, Notification(2, 2))),
            "wrong AS: the peer expects another one from us than AS 64512",
        ),
        (
            (*DIALLED, BgpOpen(OUT, Open(64513, 2, 1))),
            "we refused the peer's OPEN: the peer offers a hold time of 2 s",
        ),
        ((*UP, AutomaticStop(1)), "the peer sent too many prefixes"),
        ((*UP, AutomaticStop(10)), "BFD says that the peer is gone"),
        (
            (*UP, BgpHeaderErr(OUT, MessageHeaderError(3, b"\x09"))),
            "we ended it: Message Header Error/Bad Message Type [09]",
        ),
        (received(6, 1), "the peer takes no more prefixes: its limit for us is reached"),
        (received(6, 2), "the peer is administratively down"),
        (
            received(6, 2, shutdown_communication("back at 5")),
            'the peer is administratively down: "back at 5"',
        ),
        (received(6, 9, b"\x06\x03"), "the peer has no configuration for us any more"),
        (received(4), "hold timer of the peer: it heard nothing from us"),
        (received(3, 1), "the peer ended it: UPDATE Message Error/Malformed Attribute List"),
        (
            (*UP, TcpConnectionFails(OUT, "the peer closed the connection")),
            "the peer closed the connection without a word (the peer closed the connection)",
        ),
    ],
)
def test_what_ended_it_is_told_with_the_back_off(events: tuple[Event, ...], cause: str) -> None:
    assert explained(*events) == (cause + BACK_OFF, 4.0)


def test_the_hold_timer_is_told_with_its_time() -> None:
    sentence, next_try = explained(*UP, Tick(), now=90.0)
    assert sentence == "hold timer: no message came for 90 s; back-off, the next try is in 5 s"
    assert next_try == 5.0


def test_a_stop_from_here_is_no_reason_any_more_once_it_is_started_again() -> None:
    assert explained(*UP, ManualStop(), ManualStart()) == ("dialling", 119.0)


def test_a_collision_is_told_while_it_is_the_last_thing_that_happened() -> None:
    """RFC 4271 §6.8."""
    preferred = mirrored(config(), router_id=0x0A000009).open_message()
    events = (ManualStart(), TcpConnectionConfirmed(IN), TcpCrAcked(OUT))
    crossed = (*events, BgpOpen(OUT, preferred), BgpOpen(IN, preferred))
    sentence, _ = explained(*crossed, router_id=1)
    assert sentence == (
        "collision: another connection was kept; connected, the peer's first KEEPALIVE is awaited"
    )
