"""Connections from a range that have not said yet who they are: whoever it is has no peer here.

A `Newcomer` costs a socket, and a few octets until an OPEN is complete. Only then there is an AS
that can be looked at, and perhaps a `speaker.peer.Peer`, which gets the connection and all that
came on it. Until then nothing is sent: a speaker that has connected says its OPEN first, and is
heard before it is answered (as with the DelayOpenTimer of RFC 4271 §8.1.1).

Since anybody in a range can connect without a word, a `Vestibule` has room for few; who has been
silent for longest makes room, and one address has one place.

Standards: RFC 4271 §6.1, §6.2, §6.6, §8.1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fsm.config import ACCEPTED_HOLD_TIME
from fsm.errors import BgpError, FsmError
from fsm.messages import Open
from fsm.notifications import FsmSubcode
from speaker.clock import Alarm, Clock
from speaker.net.transport import Transport
from speaker.wire import codec, framing
from speaker.wire.framing import Framer

ROOM = 32
"""Connections that may be without an OPEN at once; a speaker says it as soon as it is connected."""

Heard = Callable[["Newcomer", Open], None]
"""Gets a newcomer with its OPEN, and has to take the connection or end it."""

Ended = Callable[["Newcomer", "BgpError | str"], None]
"""Gets a newcomer that will never be a peer, and why: what it said wrong, or in words."""


class Newcomer:
    """One connection without an OPEN; the handlers of its transport.

    Args:
        transport: the connection.
        address: from where it comes, as text.
        since: when it came, monotonic seconds.
        vestibule: in which it waits.
    """

    def __init__(
        self, transport: Transport, address: str, since: float, vestibule: Vestibule
    ) -> None:
        self.transport = transport
        self.address = address
        self.since = since
        self.octets = b""
        """All that came."""
        self._vestibule = vestibule
        self._framer = Framer()

    def on_chunk(self, transport: Transport, chunk: bytes) -> None:
        """Octets came."""
        self.octets += chunk
        runs = self._framer.feed(chunk)
        if runs:
            self._first(*runs[0])
        elif self._framer.error is not None:
            self._vestibule.end(self, self._framer.error)

    def _first(self, kind: int, bodies: list[bytes]) -> None:
        """Take the first message."""
        if kind == framing.NOTIFICATION:
            said = codec.decode_notification(bodies[0])
            self._vestibule.end(self, f"it says {said}, and no OPEN")
        elif kind != framing.OPEN:
            subcode = FsmSubcode.UNEXPECTED_MESSAGE_IN_OPEN_SENT
            text = f"its first message has type {kind} and is no OPEN"
            self._vestibule.end(self, FsmError(subcode, text=text))
        else:
            self._open(bodies[0])

    def _open(self, body: bytes) -> None:
        try:
            message = codec.decode_open(body)
        except BgpError as error:
            self._vestibule.end(self, error)
        else:
            self._vestibule.heard(self, message)

    def on_lost(self, transport: Transport, error: str) -> None:
        """The connection is gone."""
        self._vestibule.end(self, f"it left without an OPEN: {error}")

    def on_blocked(self, transport: Transport) -> None:
        """Nothing was written that could wait."""

    def on_room(self, transport: Transport) -> None:
        """Nothing was written that could wait."""


class Vestibule:
    """Where connections from one range wait for their OPEN.

    Args:
        clock: the reader of time.
        heard: gets those that have said theirs.
        ended: gets those that never will be a peer.
    """

    def __init__(self, clock: Clock, heard: Heard, ended: Ended) -> None:
        self._clock = clock
        self._heard = heard
        self._ended = ended
        self._waiting: dict[str, Newcomer] = {}
        self._alarm = Alarm(clock, self._ring)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, transport: Transport, address: str) -> None:
        """Let a connection wait for its OPEN."""
        former = self._waiting.get(address)
        if former is not None:
            self.end(former, "it has connected again, and had said nothing before")
        elif len(self._waiting) >= ROOM:
            self.end(self._oldest, f"it had said nothing when there were {ROOM} like it")
        newcomer = Newcomer(transport, address, self._clock.now(), self)
        self._waiting[address] = newcomer
        self._set_alarm()
        transport.attach(newcomer)

    @property
    def _oldest(self) -> Newcomer:
        return next(iter(self._waiting.values()))

    def heard(self, newcomer: Newcomer, message: Open) -> None:
        """A newcomer has said its OPEN."""
        if self._forget(newcomer):
            self._heard(newcomer, message)

    def end(self, newcomer: Newcomer, why: BgpError | str) -> None:
        """End a connection; who has said something wrong is told so."""
        if not self._forget(newcomer):
            return
        if isinstance(why, BgpError):
            newcomer.transport.write([codec.encode(why.notification)])
            newcomer.transport.close()
        else:
            newcomer.transport.reset()
        self._ended(newcomer, why)

    @property
    def addresses(self) -> tuple[str, ...]:
        """From where those are that wait, the oldest first."""
        return tuple(self._waiting)

    def drop(self, addresses: Iterable[str]) -> None:
        """End the connections of addresses that are not waited for any more."""
        for newcomer in [self._waiting[address] for address in addresses]:
            self._forget(newcomer)
            newcomer.transport.reset()

    def _forget(self, newcomer: Newcomer) -> bool:
        if self._waiting.get(newcomer.address) is not newcomer:
            return False
        del self._waiting[newcomer.address]
        self._set_alarm()
        return True

    def _set_alarm(self) -> None:
        if self._waiting:
            self._alarm.set(self._oldest.since + ACCEPTED_HOLD_TIME)
        else:
            self._alarm.cancel()

    def _ring(self) -> None:
        now = self._clock.now()
        for newcomer in list(self._waiting.values()):
            if newcomer.since + ACCEPTED_HOLD_TIME > now:
                break
            self.end(newcomer, f"it has said nothing for {ACCEPTED_HOLD_TIME:g} s")
        self._set_alarm()
