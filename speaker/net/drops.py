"""Segments that the system has dropped: for their signature, or their TTL (RFC 5082).

Nobody is told of them but by counters, which are of the whole node: signed segments where we have
no password, unsigned ones where we have one, signatures that are wrong (RFC 2385), the same of keys
of TCP-AO (RFC 5925), and what came from too far.
They are no proof against a peer, but the best reason there is to suspect a password or a distance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from speaker.clock import Clock

_COUNTERS: Final = Path("/proc/thread-self/net/netstat")
_NAMES: Final = (
    *("TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure"),
    *("TCPAORequired", "TCPAOBad", "TCPAOKeyNotFound"),
)
_TOO_FAR: Final = "TCPMinTTLDrop"
_FRESH: Final = 1.0
"""Seconds for which nobody looks again: a status may ask for hundreds of peers."""


class Drops(NamedTuple):
    """Segments that were dropped since the node came up; none where nobody knows.

    Attributes:
        signature: for it, or for want of it.
        too_far: because more hops lay behind them than may.
    """

    signature: int = 0
    too_far: int = 0

    def since(self, before: Drops) -> Drops:
        """Give what came in addition."""
        return Drops(self.signature - before.signature, self.too_far - before.too_far)


class DropCounts:
    """Counts dropped segments.

    Args:
        clock: says when to look again.

    Attributes:
        turned_away: connections from too far that the system let through and we did not.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked_at: float | None = None
        self._dropped = Drops()
        self.turned_away = 0

    @property
    def dropped(self) -> Drops:
        """How many segments were dropped."""
        now = self._clock.now()
        if self._looked_at is None or now >= self._looked_at + _FRESH:
            self._looked_at = now
            self._dropped = read()
        return self._dropped._replace(too_far=self._dropped.too_far + self.turned_away)


def read(counters: Path = _COUNTERS) -> Drops:
    """Read the counters."""
    try:
        lines = counters.read_text(encoding="ascii").splitlines()
    except OSError:
        return Drops()
    names, values = ([*line.split()[1:]] for line in (*lines, "", "")[:2])
    found = dict(zip(names, map(int, values), strict=False))
    return Drops(sum(found.get(name, 0) for name in _NAMES), found.get(_TOO_FAR, 0))
