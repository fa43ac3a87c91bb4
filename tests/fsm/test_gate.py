"""A strict session and what BFD says (draft-ietf-idr-bgp-bfd-strict-mode), on virtual time."""

from __future__ import annotations

import pytest

from fsm.capabilities import BfdStrict
from fsm.effects import CancelDial, Close, Dial, Effect, Send, SessionUp
from fsm.events import (
    AutomaticStop,
    BfdDown,
    BfdUp,
    BgpOpen,
    Event,
    KeepAliveMsg,
    ManualStart,
    ManualStartWithPassiveTcpEstablishment,
    ManualStop,
    Side,
    TcpConnectionConfirmed,
    TcpCrAcked,
    Tick,
)
from fsm.explanation import explain_down
from fsm.notifications import Cease, Code, Notification
from fsm.session import Session
from fsm.state import State
from tests.support.duet import config, mirrored

OUT, IN = Side.OUTGOING, Side.INCOMING
PEER = mirrored(config()).open_message()
HANDSHAKE: tuple[Event, ...] = (TcpCrAcked(OUT), BgpOpen(OUT, PEER), KeepAliveMsg(OUT))
WAITS = "waits for BFD to be up: is it on at the peer? `wren bfd` shows what is heard"


def strict(hold_down: float = 0.0, **more: object) -> Session:
    return Session(config(bfd_strict=True, bfd_hold_down=hold_down, idle_hold=(4.0, 60.0), **more))


def after(session: Session, *events: Event, now: float = 0.0) -> list[Effect]:
    return [effect for event in events for effect in session.handle(event, now)]


def why(session: Session, now: float = 0.0, bfd: str = "") -> str:
    return str(explain_down(session, now, bfd=bfd))


def test_nothing_is_tried_before_bfd_is_up() -> None:
    session = strict()
    assert after(session, ManualStart(), Tick(), now=500.0) == []
    assert (session.state, session.is_started, session.deadline) == (State.IDLE, True, None)
    assert not session.would_accept()
    assert session.refusal == Notification(Code.CEASE, Cease.CONNECTION_REJECTED)
    assert why(session) == WAITS
    effects = after(session, BfdUp(), now=501.0)
    assert Dial() in effects
    effects = after(session, *HANDSHAKE, now=501.0)
    assert any(isinstance(effect, SessionUp) for effect in effects)


def test_who_may_not_be_watched_is_told_why() -> None:
    session = strict()
    after(session, ManualStart())
    assert why(session, bfd="it is on no link").endswith(
        "does not watch the peer: it is on no link"
    )


def test_bfd_that_is_up_already_is_waited_for_by_nobody() -> None:
    session = Session(config(bfd_strict=True), bfd_is_up=True)
    assert Dial() in after(session, ManualStart())


def test_who_is_not_strict_does_not_ask() -> None:
    session = Session(config(bfd_hold_down=5.0))
    assert Dial() in after(session, ManualStart())
    assert after(session, *HANDSHAKE[:2], BfdDown(), BfdUp())[-1] != CancelDial()
    assert session.state is State.OPEN_CONFIRM


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_attempt_ends_with_bfd_and_begins_again_with_it(steps: int) -> None:
    session = strict()
    after(session, ManualStart(), BfdUp(), *HANDSHAKE[:steps])
    effects = after(session, BfdDown(), now=1.0)
    told = [effect.message for effect in effects if isinstance(effect, Send)]
    assert told == [Notification(Code.CEASE, Cease.BFD_DOWN)] * bool(steps)
    assert (Close(OUT) if steps else CancelDial()) in effects
    assert session.waits_for_bfd
    # Without a back-off: it is BFD that has to be up, and the peer has done nothing.
    assert Dial() in after(session, BfdUp(), now=1.5)


def test_a_passive_end_takes_nobody_meanwhile() -> None:
    session = strict(passive=True)
    after(session, ManualStartWithPassiveTcpEstablishment(), BfdUp())
    assert session.would_accept()
    after(session, TcpConnectionConfirmed(IN))
    after(session, BfdDown())
    assert not session.would_accept()
    after(session, BfdUp())
    assert session.would_accept()


def test_a_session_that_stands_is_ended_by_others_and_waits_then() -> None:
    """RFC 5882 §3.2: that BFD is no longer up need not be a failure."""
    session = strict()
    after(session, ManualStart(), BfdUp(), *HANDSHAKE)
    assert after(session, BfdDown(), now=1.0) == []
    assert session.state is State.ESTABLISHED
    after(session, AutomaticStop(Cease.BFD_DOWN), now=2.0)
    assert session.is_holding
    after(session, Tick(), now=7.0)
    assert why(session, 7.0) == f"BFD says that the peer is gone; {WAITS}"
    assert Dial() in after(session, BfdUp(), now=8.0)


def test_bfd_that_comes_back_early_does_not_cut_the_back_off_short() -> None:
    session = strict()
    after(session, ManualStart(), BfdUp(), *HANDSHAKE)
    after(session, AutomaticStop(Cease.BFD_DOWN), BfdDown(), now=2.0)
    assert after(session, BfdUp(), now=3.0) == []
    assert Dial() in after(session, Tick(), now=6.0)


def test_bfd_has_to_stay_up_for_as_long_as_is_asked_for() -> None:
    session = strict(hold_down=10.0)
    after(session, ManualStart())
    assert session.deadline is None
    after(session, BfdUp(), now=1.0)
    assert session.deadline == 11.0
    assert why(session, 4.0) == "BFD is up, and has to stay so for 7 s more"
    after(session, BfdDown(), now=5.0)
    assert why(session, 5.0) == WAITS
    after(session, BfdUp(), BfdUp(), now=20.0)
    assert after(session, Tick(), now=29.0) == []
    assert Dial() in after(session, Tick(), now=30.0)


def test_the_time_that_bfd_was_up_before_a_restart_counts() -> None:
    session = strict(hold_down=10.0)
    after(session, ManualStart())
    assert Dial() not in after(session, BfdUp(4.0), now=2.0)
    assert session.deadline == 8.0
    assert Dial() in after(session, Tick(), now=8.0)
    session = strict(hold_down=10.0)
    after(session, ManualStart())
    assert Dial() in after(session, BfdUp(12.0), now=2.0)


def test_who_is_started_after_that_time_does_not_wait() -> None:
    session = strict(hold_down=10.0)
    after(session, BfdUp(), now=1.0)
    assert session.deadline is None
    assert Dial() in after(session, ManualStart(), now=12.0)


def test_who_waits_can_be_stopped() -> None:
    session = strict(hold_down=10.0)
    after(session, ManualStart(), BfdUp(), ManualStop(message="rack 7"))
    assert why(session) == 'administratively down "rack 7"'
    assert session.deadline is None
    assert after(session, Tick(), BfdDown(), BfdUp(), now=99.0) == []


def test_who_is_to_stay_down_does_not_wait_for_bfd() -> None:
    session = strict()
    after(session, ManualStart(), AutomaticStop(restart_after=30.0), now=1.0)
    assert session.is_holding
    after(session, Tick(), now=40.0)
    assert session.waits_for_bfd


def test_the_peer_is_told_in_the_open() -> None:
    assert BfdStrict() in config(bfd_strict=True).capabilities()
    assert BfdStrict() not in config().capabilities()
