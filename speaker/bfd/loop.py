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

from speaker.bfd.datagrams import Receiver
from speaker.bfd.watching import (
    GAPS,
    Watched,
    Watching,
    former_of,
    session_as_json,
    state_as_json,
)
from speaker.bfd.words import MAX_LINE, decode_line, encode_line, watch_of

LATENESS = (0.001, 0.005, 0.02, 0.1, 0.5)
"""Upper ends of the histogram of how late the process woke up, in seconds."""

BUDGET = 4096
"""Packets that are read of one socket at once: more than its buffer holds."""

KINDS = [
    (family, multihop) for family in (socket.AF_INET, socket.AF_INET6) for multihop in (False, True)
]


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
        self._receivers: dict[tuple[socket.AddressFamily, bool], Receiver] = {}
        self._line = b""
        self._unsent = bytearray()
        self._changed: dict[str, Watched] = {}
        self._lateness = [0] * (len(LATENESS) + 1)
        self._trouble = ""
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
        for receiver in self._receivers.values():
            receiver.close()
        self._selector.close()

    def _turn(self) -> None:
        planned = self._watching.next_deadline()
        timeout = None if planned is None else max(0.0, planned - time.monotonic())
        ready = self._selector.select(timeout)
        woke = time.monotonic()
        if planned is not None and woke >= planned:
            self._lateness[bisect_left(LATENESS, woke - planned)] += 1
        for key, _ in ready:
            if isinstance(key.data, Receiver):
                self._read(key.data)
        for key, _ in ready:
            if key.fileobj is self._pair and not self._is_leaving:
                self._hear()
        self._watching.tick(woke, self._read_all)
        self._tell()

    def _read_all(self) -> None:
        for receiver in self._receivers.values():
            self._read(receiver)

    def _read(self, receiver: Receiver) -> None:
        for _ in range(BUDGET):
            try:
                raw = receiver.receive()
            except OSError as error:
                self._trouble = str(error)
                return
            if raw is None:
                return
            if not self._watching.take_again(raw):
                self._watching.take(receiver.understand(raw))

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
                self._listen()
                self._watching.watch(watch_of(said["session"]), former_of(said["former"]))
            case "unwatch":
                self._watching.unwatch(said["name"])
            case "show":
                self._say(encode_line("sessions", **self._shown()))

    def _listen(self) -> None:
        """Open the sockets to hear by; those that cannot be had are tried again next time."""
        for family, multihop in KINDS:
            if (family, multihop) in self._receivers:
                continue
            try:
                receiver = Receiver(family, multihop=multihop)
            except OSError as error:
                if family == socket.AF_INET:
                    self._trouble = f"cannot hear BFD packets: {(error.strerror or '').lower()}"
                continue
            self._receivers[family, multihop] = receiver
            self._selector.register(receiver, selectors.EVENT_READ, receiver)

    def _shown(self) -> dict[str, Any]:
        watching = self._watching
        return {
            "sessions": [session_as_json(w) for w in watching if w.ends_at is None],
            "process": {
                "pid": os.getpid(),
                "spared": watching.spared,
                "lateness": self._lateness,
                "latenessBounds": LATENESS,
                "gapBounds": GAPS,
                "discarded": {why.value: number for why, number in watching.discards.items()},
                "trouble": self._trouble,
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
