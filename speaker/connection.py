"""One of a peer's two connections, as the shell sees it: octets in, messages out of them.

What came waits as messages until the peer has time for it (`speaker.reading`). While any wait the
connection is not read from, and its end is not told: the last words of a connection that broke are
heard first.
"""

from __future__ import annotations

from collections import deque

from fsm.errors import MessageHeaderError
from fsm.events import SendBlocked, SendProgress, Side
from speaker.net.transport import Transport
from speaker.wire import framing
from speaker.wire.framing import Framer, Run


class Connection:
    """One connection.

    Args:
        side: who dialled it.
        transport: the TCP connection.

    Attributes:
        is_waiting: messages are left for a later round of the loop.
        end: the system's words about the end, while messages are left.
    """

    __slots__ = (
        "_inbox",
        "_is_blocked",
        "_is_held",
        "_taken",
        "_told_error",
        "end",
        "framer",
        "is_waiting",
        "side",
        "transport",
    )

    def __init__(self, side: Side, transport: Transport) -> None:
        self.side = side
        self.transport = transport
        self.framer = Framer()
        self.is_waiting = False
        self.end: str | None = None
        self._inbox: deque[Run] = deque()
        self._taken = 0
        self._is_blocked = False
        self._is_held = False
        self._told_error = False

    def feed(self, chunk: bytes) -> None:
        """Keep the messages that a chunk completes."""
        self._inbox.extend(self.framer.feed(chunk))

    @property
    def has_messages(self) -> bool:
        """Whether messages came that were not taken."""
        return bool(self._inbox)

    def take(self) -> Run:
        """Take the next messages that are of one type.

        A few UPDATEs; of the others one, but all KEEPALIVEs that follow each other, since many say
        no more than one.
        """
        inbox = self._inbox
        run = inbox.popleft()
        if run[0] == framing.KEEPALIVE:
            while inbox and inbox[0][0] == framing.KEEPALIVE:
                inbox.popleft()
        return run

    def take_error(self) -> MessageHeaderError | None:
        """Give what broke the stream, once."""
        if self._told_error or self.framer.error is None:
            return None
        self._told_error = True
        return self.framer.error

    def hold(self) -> None:
        """Read no more, because the router is behind."""
        self._is_held = True
        self.transport.pause()

    def release(self) -> None:
        """Read on, unless messages are left."""
        self._is_held = False
        self.read_on()

    def read_on(self) -> None:
        """Read on, unless messages are left or the router is behind."""
        if not self._is_held and not self.is_waiting:
            self.transport.resume()

    @property
    def has_unread(self) -> bool:
        """Whether anything came that was not taken yet."""
        return bool(self._inbox) or self.transport.has_unread

    def sending(self) -> SendBlocked | SendProgress | None:
        """Say how the sending went since this was asked last; None if nothing waits or waited."""
        unsent, taken = self.transport.unsent, self.transport.taken
        was_blocked, self._is_blocked = self._is_blocked, unsent > 0
        has_moved, self._taken = taken > self._taken, taken
        if was_blocked and has_moved:
            return SendProgress(self.side, is_drained=not unsent)
        return SendBlocked(self.side) if unsent else None
