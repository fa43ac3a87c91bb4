"""One session of the BFD process, what is counted of it, and how it is told.

Told it is in three ways: to those who act on it (`state_as_json`), to people (`session_as_json`),
and to a process that is to go on with it (`former_as_json`).

Standards: RFC 5880 §6.8.1; RFC 5882 §4.3.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any

from fsm.bfd import BfdSession, BfdState, ControlPacket, Diagnostic, Discard
from fsm.bfd.packet import decode, encode
from fsm.bfd.session import MICROSECONDS
from speaker.bfd.datagrams import Sender
from speaker.bfd.words import Watch

GAPS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Upper ends of the histogram of silences, in agreed intervals."""


BURST = 4
"""Echo packets, or so, that may come at once."""


class Watched:
    """One session and its surroundings.

    Attributes:
        since: when its state was another one last, seconds since the epoch.
        downs: how often it has left Up.
        received, sent: packets.
        gaps: silences of the peer while Up, by `GAPS`, the last for all longer ones.
        silence: seconds for which the peer was not heard when it was given up last.
        ends_at: when it is forgotten; None unless it is taken away.
        keep: seconds for which it goes on without a speaker.
        echo_trouble: why the peer was not told that it may send echo packets; empty if it was, or
            was not to be.
        echoed: echo packets of the peer that were sent back here; the kernel's are not known.
        independent: the peer's C bit, in the last packet that was its.
        orphaned_until: when it is taken away for want of a speaker; None while one asks for it.
        is_proven: the peer was heard since the process runs.
        scheduled: the deadline under which it stands in the heap.
        way: by which its last packet came.
        key: the packet under which it is known to `Watching.take_again`.
    """

    __slots__ = (
        *("watch", "session", "sender", "since", "downs", "received", "sent", "gaps", "ends_at"),
        *("is_proven", "scheduled", "last_received", "interval", "way", "key"),
        *("silence", "keep", "orphaned_until", "independent", "echo_trouble", "echoed", "echo_due"),
    )

    def __init__(self, watch: Watch, discriminator: int, since: float, sequence: int) -> None:
        self.watch = watch
        self.session = BfdSession(watch.settings, discriminator, sequence)
        self.sender = Sender(watch)
        self.since = since
        self.downs = self.received = self.sent = 0
        self.gaps = [0] * (len(GAPS) + 1)
        self.silence: float | None = None
        self.ends_at: float | None = None
        self.keep = 0.0
        self.orphaned_until: float | None = None
        self.independent = False
        self.echo_trouble = ""
        self.echoed = 0
        self.echo_due = 0.0
        self.is_proven = True
        self.scheduled: float | None = None
        self.last_received: float | None = None
        self.interval = 1.0
        self.way: tuple[object, ...] = ()
        self.key = b""

    @property
    def deadline(self) -> float | None:
        """When time is to pass for it next."""
        due, end = self.session.deadline, self.ends_at or self.orphaned_until
        return due if end is None or (due is not None and due < end) else end

    def heard(self, now: float) -> None:
        """Count a packet that the session took, and the silence before it."""
        self.received += 1
        last, self.last_received = self.last_received, now
        interval = self.interval = self.session.rx_interval_us / MICROSECONDS
        if last is not None and interval and self.session.state is BfdState.UP:
            self.gaps[bisect_left(GAPS, (now - last) / interval)] += 1

    def heard_again(self, now: float) -> None:
        """Count one that was as the last, of a session that is Up."""
        self.received += 1
        last, self.last_received = self.last_received, now
        if last is not None:
            silence = (now - last) / self.interval
            self.gaps[0 if silence <= 1.0 else bisect_left(GAPS, silence)] += 1

    def may_echo(self, now: float, interval: float) -> bool:
        """Tell whether an echo packet goes back: not if they come faster than the peer was told.

        Args:
            now: monotonic seconds.
            interval: that it was told, of which three quarters are allowed (RFC 5880 §6.8.9).
        """
        # Some may come together that the network has held up.
        due = max(self.echo_due, now - BURST * interval)
        if now < due:
            self.session.discards[Discard.ECHO] += 1
            return False
        self.echo_due = due + 0.75 * interval
        self.echoed += 1
        return True

    @property
    def late(self) -> int:
        """Packets that came more than half an interval later than was agreed."""
        return sum(self.gaps[2:])


def state_as_json(watched: Watched, wall: float, now: float) -> dict[str, Any]:
    """Tell what a session is now, for those who act on it.

    Args:
        watched: the session.
        wall: seconds since the epoch.
        now: monotonic seconds.
    """
    session, remote = watched.session, watched.session.remote
    return {
        "name": watched.watch.name,
        "state": str(session.state),
        "lasted": max(0.0, wall - watched.since),
        "number": number_as_json(watched, now),
        "diagnostic": session.diagnostic,
        "remoteState": None if remote is None else str(remote.state),
        "downs": watched.downs,
        "independent": watched.independent and watched.watch.settings.independent,
        "former": former_as_json(watched),
    }


def session_as_json(watched: Watched) -> dict[str, Any]:
    """Tell all about a session, for people."""
    watch, session, remote = watched.watch, watched.session, watched.session.remote
    return {
        "name": watch.name,
        "state": str(session.state),
        "remoteState": None if remote is None else str(remote.state),
        "independent": watched.independent,
        "downs": watched.downs,
        "peer": watch.peer,
        "local": watch.local,
        "interface": watch.interface,
        "multihop": watch.multihop,
        "since": watched.since,
        "diagnostic": _diagnostic(session.diagnostic),
        "remoteDiagnostic": None if remote is None else _diagnostic(remote.diagnostic),
        "discriminator": session.discriminator,
        "remoteDiscriminator": None if remote is None else remote.my_discriminator,
        "txIntervalUs": session.tx_interval_us,
        "rxIntervalUs": session.rx_interval_us,
        "detectionTimeUs": session.detection_time_us,
        "multiplier": watch.settings.detect_mult,
        "remoteMultiplier": None if remote is None else remote.detect_mult,
        "polling": session.is_polling,
        "authentication": watch.settings.authentication is not None,
        "received": watched.received,
        "sent": watched.sent,
        "late": watched.late,
        "gaps": list(watched.gaps),
        "silence": watched.silence,
        "discarded": {reason.value: number for reason, number in session.discards.items()},
        "echoIntervalUs": watch.settings.required_min_echo_rx_us,
        "echoed": watched.echoed,
        "echoTrouble": watched.echo_trouble,
        "trouble": watched.sender.trouble,
    }


@dataclass(frozen=True, slots=True)
class Former:
    """What it takes to go on with a session of another process.

    Attributes:
        discriminator: ours.
        remote: a packet of the peer's.
        since: when its state was another one last, seconds since the epoch.
        sequence: bfd.XmitAuthSeq of our next packet, where that is known.
    """

    discriminator: int
    remote: ControlPacket
    since: float
    sequence: int | None = None


def former_as_json(watched: Watched, *, final: bool = False) -> list[Any] | None:
    """Tell what another process needs to go on with a session that is Up; None for others.

    Args:
        watched: the session.
        final: it sends nothing more here.
    """
    session, remote = watched.session, watched.session.remote
    if remote is None or session.state is not BfdState.UP:
        return None
    sequence = session.sequence if final else None
    # What authenticated it is over, and a packet that promises more is none.
    octets = encode(replace(remote, authenticated=False))
    return [session.discriminator, octets.hex(), watched.since, sequence]


def number_as_json(watched: Watched, now: float) -> list[float] | None:
    """Tell bfd.XmitAuthSeq at a time, and the interval in which it grows; None if there is none."""
    session = watched.session
    if session.state is not BfdState.UP or session.sequence is None:
        return None
    return [session.sequence, session.tx_interval_us, now]


def former_of(said: list[Any] | None) -> Former | None:
    """Read what `former_as_json` wrote."""
    if said is None:
        return None
    remote = decode(bytes.fromhex(said[1]))
    return None if isinstance(remote, Discard) else Former(said[0], remote, said[2], said[3])


def _diagnostic(number: int) -> str:
    return str(Diagnostic(number)) if number < len(Diagnostic) else f"diagnostic {number}"
