"""Why a session is not up, in a sentence for its operator.

`explain_down` reads a `Session` and says what went wrong last, what happens now, and in how many
seconds the next try comes. It changes nothing and needs nothing but the session and the time; how
to reach the peer is known to the shell alone, so it says whether a password or a distance is
configured, and how many segments the system has dropped for their signature or their TTL.

The words are for people who know their network but not the state machine: both AS numbers where
they do not fit, whose timer it was, what the other operator wrote.

Standards: RFC 4271 §6; RFC 4486 §4; RFC 8538 §3; RFC 9003 §2; RFC 9687 §4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fsm.config import SessionConfig
from fsm.effects import DownKind, DownReason
from fsm.events import Side
from fsm.notifications import Cease, Code, Notification, OpenSubcode
from fsm.session import Session
from fsm.state import State
from fsm.timers import Timer

_SILENCE: Final = ("no answer", "timed out")

_FROM_THE_SYSTEM: Final = (
    ("refused", "the peer refuses connections: nothing listens there, or a filter rejects them"),
    ("no route", "there is no way to the peer"),
    ("unreachable", "there is no way to the peer"),
    ("cannot assign", "our own address is not there"),
    ("reset", "the peer broke the connection"),
    ("closed", "the peer closed the connection without a word"),
)
"""What stands in the system's words, and what it means."""

_OUR_OWN: Final = {
    (Code.CEASE, Cease.ADMINISTRATIVE_SHUTDOWN),
    (Code.CEASE, Cease.ADMINISTRATIVE_RESET),
    (Code.CEASE, Cease.PEER_DECONFIGURED),
    (Code.CEASE, Cease.OTHER_CONFIGURATION_CHANGE),
}
"""What we sent because somebody here wanted it so: no reason to be down once it is started."""

_SENT: Final[dict[tuple[int, int], str]] = {
    (Code.OPEN_MESSAGE_ERROR, OpenSubcode.BAD_PEER_AS): "wrong AS",
    (
        Code.CEASE,
        Cease.MAXIMUM_NUMBER_OF_PREFIXES_REACHED,
    ): "the peer sent too many prefixes",
    (Code.CEASE, Cease.OUT_OF_RESOURCES): "we ran out of resources",
    (Code.CEASE, Cease.BFD_DOWN): "BFD says that the peer is gone",
    (Code.CEASE, Cease.CONNECTION_COLLISION_RESOLUTION): "collision: another connection was kept",
    (Code.HOLD_TIMER_EXPIRED, 0): "hold timer",
    (Code.SEND_HOLD_TIMER_EXPIRED, 0): "send hold timer",
}

_RECEIVED: Final[dict[tuple[int, int], str]] = {
    (Code.CEASE, Cease.MAXIMUM_NUMBER_OF_PREFIXES_REACHED): (
        "the peer takes no more prefixes: its limit for us is reached"
    ),
    (Code.CEASE, Cease.ADMINISTRATIVE_SHUTDOWN): "the peer is administratively down",
    (Code.CEASE, Cease.PEER_DECONFIGURED): "the peer has no configuration for us any more",
    (Code.CEASE, Cease.ADMINISTRATIVE_RESET): "the peer's operator reset the session",
    (Code.CEASE, Cease.CONNECTION_REJECTED): "the peer takes no connection for now",
    (Code.CEASE, Cease.OTHER_CONFIGURATION_CHANGE): "the peer's configuration changed",
    (Code.CEASE, Cease.CONNECTION_COLLISION_RESOLUTION): "collision: the peer kept another one",
    (Code.CEASE, Cease.OUT_OF_RESOURCES): "the peer ran out of resources",
    (Code.HOLD_TIMER_EXPIRED, 0): "hold timer of the peer: it heard nothing from us",
    (Code.SEND_HOLD_TIMER_EXPIRED, 0): "send hold timer of the peer: we did not read",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a session is not up; `str` is the whole sentence.

    Args:
        cause: what went wrong last, "" if nothing did.
        present: what happens now.
        next_try: seconds until the session does something by itself, None if it only waits.
    """

    cause: str
    present: str
    next_try: float | None = None

    def __str__(self) -> str:
        return f"{self.cause}; {self.present}" if self.cause else self.present


@dataclass(frozen=True, slots=True)
class Screening:
    """What the system is told to drop before we hear of it: to us it looks like silence.

    Args:
        has_password: we sign (RFC 2385).
        unsigned: segments that the node has dropped for their signature, or for the lack of one,
            while the session was down.
        hops: how far away the peer may be (RFC 5082); 0 for any distance.
        too_far: what the node has dropped meanwhile because it came from farther.
        has_keys: we sign by TCP-AO (RFC 5925).
    """

    has_password: bool = False
    unsigned: int = 0
    hops: int = 0
    too_far: int = 0
    has_keys: bool = False


_NONE: Final = Screening()


def explain_down(
    session: Session, now: float, screening: Screening = _NONE, *, bfd: str = ""
) -> Explanation | None:
    """Say why a session is not up.

    Args:
        session: any.
        now: monotonic seconds, as for `Session.handle`.
        screening: what the system drops.
        bfd: why BFD does not watch the peer, if it does not.

    Returns:
        The explanation; None for a session that is up.
    """
    if session.state is State.ESTABLISHED:
        return None
    cause = _cause(session, screening)
    if session.is_started:
        if not cause and session.state <= State.ACTIVE:
            cause = _suspicion(screening)
        present, next_try = _present(session, now, bfd)
        return Explanation(cause, present, next_try)
    if session.stop is not None:
        words = f' "{session.stop.message}"' if session.stop.message else ""
        return Explanation("", f"administratively down{words}")
    return Explanation(cause, "it stays down until it is started" if cause else "not started yet")


def _present(session: Session, now: float, bfd: str) -> tuple[str, float | None]:
    """Return what a started session is doing, and the seconds to its next try."""
    timers = session.timers
    if session.waits_for_bfd:
        return _awaited(timers.get((None, Timer.BFD_HOLD_DOWN)), now, bfd)
    deadline = timers.get((None, Timer.IDLE_HOLD), timers.get((Side.OUTGOING, Timer.CONNECT_RETRY)))
    wait = None if deadline is None else max(0.0, deadline - now)
    if session.is_holding:
        return f"back-off, the next try is in {wait:.0f} s", wait
    match session.state:
        case State.OPEN_CONFIRM:
            return "connected, the peer's first KEEPALIVE is awaited", None
        case State.OPEN_SENT:
            return "connected, the peer's OPEN is awaited", None
        case _:
            pass
    if any(timer is Timer.DELAY_OPEN for _, timer in timers):
        return "connected, our OPEN is held back", None
    if session.is_dialing:
        return "dialling", wait
    if wait is None:
        return "waiting for the peer to connect", None
    return f"the next try is in {wait:.0f} s", wait


def _awaited(deadline: float | None, now: float, bfd: str) -> tuple[str, float | None]:
    """Say what a strict session waits for, and what is to be done."""
    if deadline is not None:
        wait = max(0.0, deadline - now)
        return f"BFD is up, and has to stay so for {wait:.0f} s more", wait
    if bfd:
        return f"waits for BFD to be up, which does not watch the peer: {bfd}", None
    return "waits for BFD to be up: is it on at the peer? `wren bfd` shows what is heard", None


def _cause(session: Session, screening: Screening) -> str:
    reason = session.last_attempt
    if reason is None:
        return ""
    match reason.kind:
        case DownKind.SENT:
            return _sent(reason)
        case DownKind.RECEIVED:
            return _received(reason, session.config)
        case DownKind.TCP:
            return _failed(reason.text, screening)
        case DownKind.DROPPED:
            return f"we dropped the connection: {reason.text}"


def _sent(reason: DownReason) -> str:
    said = _true(reason.notification)
    key = (said.code, said.subcode)
    if key in _OUR_OWN:
        return reason.text
    words = _SENT.get(key)
    if words is None and said.code == Code.OPEN_MESSAGE_ERROR:
        words = "we refused the peer's OPEN" if reason.text else f"we refused its OPEN: {said}"
    words = words or f"we ended it: {said}"
    return f"{words}: {reason.text}" if reason.text else words


def _received(reason: DownReason, config: SessionConfig) -> str:
    said = _true(reason.notification)
    key = (said.code, said.subcode)
    if key == (Code.OPEN_MESSAGE_ERROR, OpenSubcode.BAD_PEER_AS):
        return f"wrong AS: the peer expects another one from us than AS {config.local_asn}"
    words = _RECEIVED.get(key)
    if words is None:
        return f"the peer ended it: {said}"
    return f'{words}: "{said.communication}"' if said.communication else words


def _true(said: Notification | None) -> Notification:
    """Look into a Hard Reset; an end without a NOTIFICATION never comes here."""
    assert said is not None
    return said.inner or said


def _failed(text: str, screening: Screening) -> str:
    """Put the system's words about a connection into ours, and keep them."""
    lower = text.lower()
    if any(words in lower for words in _SILENCE):
        return f"no answer from the peer: {_silence(screening)} ({text})"
    for found, meaning in _FROM_THE_SYSTEM:
        if found in lower:
            return f"{meaning} ({text})"
    return f"the connection failed ({text})" if text else "the connection failed"


def _silence(screening: Screening) -> str:
    """Say what may be behind silence."""
    suspicion = _suspicion(screening)
    if suspicion:
        return suspicion
    if screening.has_keys:
        signed = "it lacks the key that we sign by"
    elif screening.has_password:
        signed = "the passwords of the two ends differ"
    else:
        signed = "it has a password"
    return f"it is not there, a filter drops us, or {signed}"


def _suspicion(screening: Screening) -> str:
    """Say what the system's counts make likely; empty where they say nothing."""
    # Where nothing listens, a refusal comes unsigned and with the usual TTL: it is dropped too.
    if screening.unsigned:
        if screening.has_keys:
            differs = "TCP-AO mismatch suspected, the keys of the two ends or their ids differ"
            remedy = "have the same key at both ends, each one's send id the other's receive id"
        else:
            differs = "MD5 mismatch suspected, the passwords of the two ends differ"
            remedy = "have the same one at both ends"
        absent = " or nothing listens there" if screening.has_keys or screening.has_password else ""
        return (
            f"{differs}{absent}: {screening.unsigned} TCP segments with a wrong signature were"
            f" dropped here; {remedy}"
        )
    if screening.hops and screening.too_far:
        hops = "1 hop" if screening.hops == 1 else f"{screening.hops} hops"
        return (
            f"the peer is suspected to be farther away than {hops} (ttlSecurity), to send with"
            f" a TTL below 255, or not to listen: {screening.too_far} TCP segments from too far"
            " were dropped here"
        )
    return ""
