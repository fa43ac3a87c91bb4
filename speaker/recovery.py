"""When a start is over: adopted kernel routes that nobody wants may go.

After a restart the kernel still holds the routes of the run before. They are adopted, and stay
until every peer has told all it has (End-of-RIB of each family, RFC 4724 §2), or until a time is
over that a peer which never comes cannot prolong. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection

WAIT = 120.0
"""Seconds at the most; the usual restart time of peers."""


class Recovery:
    """Knows whether a start is over.

    Args:
        started: monotonic seconds at the start.
        peers: names of the peers that are waited for.
        wait: seconds at the most.
    """

    def __init__(self, started: float, peers: Collection[str], wait: float = WAIT) -> None:
        self.deadline = started + wait
        self.waiting = set(peers)
        self.over = ""

    def told_all(self, peer: str) -> None:
        """A peer has told all it has."""
        self.waiting.discard(peer)

    def forget(self, peer: str) -> None:
        """A peer is no longer configured."""
        self.waiting.discard(peer)

    def rename(self, old: str, new: str) -> None:
        """A peer has another name now."""
        if old in self.waiting:
            self.waiting.remove(old)
            self.waiting.add(new)

    def check(self, now: float) -> bool:
        """Tell, once, that the start is over; `over` then says why."""
        if self.over:
            return False
        if not self.waiting:
            self.over = "every peer has told all it has"
        elif now >= self.deadline:
            missing = ", ".join(sorted(self.waiting)[:5])
            self.over = f"waited long enough for {len(self.waiting)} peers: {missing}"
        return bool(self.over)
