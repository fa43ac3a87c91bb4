"""An OPEN that is not answered yet, because a connection of ours is on its way to the same peer.

Who restarts gracefully dials, and so does its peer. If the peer's own connection is answered while
ours lies in its queue, the peer is Established, then meets ours, and takes it for yet another
restart (RFC 4724 §4.2): it gives the session up, and with it all routes that it had kept. So the
OPEN on the peer's connection waits until the peer has said its OPEN on ours, too, or ours has
failed; then RFC 4271 §6.8 chooses. The KEEPALIVE with which the peer has answered ours waits, too.
Neither waits for longer than `PATIENCE`: a peer behind a filter may never answer ours.

Standards: RFC 4271 §6.8; RFC 4724 §4.2.
"""

from __future__ import annotations

from fsm.capabilities import GracefulRestart
from fsm.events import BgpOpen, BgpOpenWithDelayOpenTimerRunning

PATIENCE = 1.0
"""Seconds for which an OPEN waits at the most."""

OpenEvent = BgpOpen | BgpOpenWithDelayOpenTimerRunning


class Crossing:
    """Keeps the OPEN of the connection that the peer dialled.

    Attributes:
        waiting: the OPEN; None if none waits.
        until: when it has waited for long enough; None if none waits.
        is_confirmed: the peer has sent its KEEPALIVE behind it.
    """

    def __init__(self) -> None:
        self.waiting: OpenEvent | None = None
        self.until: float | None = None
        self.is_confirmed = False

    def keep(self, event: OpenEvent, now: float) -> None:
        """Let an OPEN wait."""
        self.waiting, self.until = event, now + PATIENCE

    def take(self) -> OpenEvent | None:
        """Give the OPEN that waits, which it does no more."""
        event, self.waiting, self.until = self.waiting, None, None
        self.is_confirmed = False
        return event


def matters(event: OpenEvent) -> bool:
    """Tell whether a peer is of those that take a second connection for a restart."""
    return any(isinstance(each, GracefulRestart) for each in event.message.capabilities)
