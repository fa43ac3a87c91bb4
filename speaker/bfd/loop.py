"""The BFD process: wait, read everything, let time pass.

One thread, no event loop of a library. Whenever the process wakes up it first takes the time, then
reads what waits, and only then asks whose detection time is over, by that time. Before it takes
anybody for gone it looks at every socket once more, since it may have been halted meanwhile.
So a process that was kept from running takes no peer for dead whose packets lie in the buffer; how
often that saved a session is counted (`spared`), and so is how late the process ran (`lateness`).

When the speaker is gone, sessions say AdminDown for a while, and the process ends.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
from bisect import bisect_left
from contextlib import suppress
from typing import Any

from speaker.bfd.datagrams import Raw, understand
from speaker.bfd.ears import Ears
from speaker.bfd.watching import (
    GAPS,
    Watched,
    Watching,
    former_of,
    session_as_json,
    state_as_json,
)
from speaker.bfd.words import MAX_LINE, decode_line, encode_line, watch_of

LATENESS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of the histogram of how late the process woke up, in seconds."""


class Loop:
    """The process.

    Args:
        pair: our end of the two sockets that join us with the speaker.
    """

    def __init__(self, pair: socket.socket) -> None:
        self._pair = pair
        pair.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(pair, selectors.EVENT_READ)
        self._watching = Watching(time.monotonic, time.time, self._moved)
        self._ears = Ears(self._selector, self._take)
        self._line = b""
        self._unsent = bytearray()
        self._changed: dict[str, Watched] = {}
        self._lateness = [0] * (len(LATENESS) + 1)
        self._latest = 0.0
        self._is_leaving = False

    def run(self) -> None:
        """Be the whole of a process: ask for priority, and serve."""
        self._say(encode_line("ready", scheduling=_hurry()))
        gc.collect()
        gc.freeze()
        gc.disable()
        self.serve()

    def serve(self) -> None:
        """Serve until the speaker is gone and the peers know it."""
        while not self._is_leaving or len(self._watching):
            self._turn()
        self._ears.close()
        self._selector.close()

    def _turn(self) -> None:
        planned = self._watching.next_deadline()
        moment = _first(planned, self._ears.deadline)
        timeout = None if moment is None else max(0.0, moment - time.monotonic())
        ready = self._selector.select(timeout)
        woke = time.monotonic()
        if planned is not None and woke >= planned:
            late = woke - planned
            self._lateness[bisect_left(LATENESS, late)] += 1
            self._latest = max(self._latest, late)
        self._ears.hear(ready, woke)
        for key, _ in ready:
            if key.fileobj is self._pair and not self._is_leaving:
                self._hear()
        self._watching.tick(woke, self._ears.hear_all)
        self._tell()

    def _take(self, raw: Raw) -> None:
        if not self._watching.take_again(raw):
            self._watching.take(understand(raw))

    def _hear(self) -> None:
        """Take what the speaker says."""
        try:
            chunk = self._pair.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk or len(self._line) > MAX_LINE:
            self._leave()
            return
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._obey(decode_line(line))

    def _leave(self) -> None:
        self._is_leaving = True
        self._selector.unregister(self._pair)
        self._unsent.clear()
        self._watching.unwatch_all()

    def _obey(self, said: dict[str, Any]) -> None:
        match said["word"]:
            case "watch":
                self._watching.watch(watch_of(said["session"]), former_of(said["former"]))
                self._ears.open(self._watching.tags, time.monotonic())
            case "unwatch":
                self._watching.unwatch(said["name"])
            case "show":
                self._say(encode_line("sessions", **self._shown()))

    def _shown(self) -> dict[str, Any]:
        watching = self._watching
        return {
            "sessions": [session_as_json(w) for w in watching if w.ends_at is None],
            "process": {
                "pid": os.getpid(),
                "spared": watching.spared,
                "lateness": self._lateness,
                "latenessBounds": LATENESS,
                "latest": self._latest,
                "gapBounds": GAPS,
                "discarded": {why.value: number for why, number in watching.discards.items()},
                "unread": self._ears.unread(),
                "trouble": self._ears.trouble,
            },
        }

    def _moved(self, watched: Watched) -> None:
        self._changed[watched.watch.name] = watched

    def _tell(self) -> None:
        """Tell the speaker of changes; while it does not read, only how things stand is kept."""
        if self._changed and not self._unsent and not self._is_leaving:
            changed, self._changed = self._changed, {}
            for watched in changed.values():
                self._say(encode_line("state", **state_as_json(watched)))

    def _say(self, line: bytes) -> None:
        self._unsent += line
        with suppress(BlockingIOError, InterruptedError, ConnectionError):
            del self._unsent[: self._pair.send(self._unsent)]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._pair, events)


def _first(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _hurry() -> str:
    """Ask to be run before others, and tell what was granted."""
    with suppress(OSError):
        priority = os.sched_get_priority_min(os.SCHED_RR) + 1
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
        return "real time"
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        return "high priority"
    return "normal"


def main(descriptor: int) -> None:
    """Be the BFD process.

    Args:
        descriptor: of our end of the pair.
    """
    # Ctrl-C goes to all processes of a terminal; it is the speaker who ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Loop(socket.socket(fileno=descriptor)).run()
