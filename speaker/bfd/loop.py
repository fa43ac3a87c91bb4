"""The BFD process: wait, read everything, let time pass.

One thread, no event loop of a library. Whenever the process wakes up it first takes the time, then
reads what waits, and only then asks whose detection time is over, by that time. Before it takes
anybody for gone it looks at every socket once more, since it may have been halted meanwhile.
So a process that was kept from running takes no peer for dead whose packets lie in the buffer; how
often that saved a session is counted (`spared`), and so is how late the process ran (`lateness`).

When the speaker is gone, each session goes on for as long as the speaker had said, and the next
speaker finds the process by its `Door`. Then, or at once where nothing was said, or when somebody
ends the process by SIGTERM, sessions say AdminDown for a while, and the process ends.
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

from speaker import __version__
from speaker.bfd.datagrams import Raw, understand
from speaker.bfd.door import Door
from speaker.bfd.ears import Ears
from speaker.bfd.echo import Echoes
from speaker.bfd.line import Line
from speaker.bfd.watched import (
    GAPS,
    Watched,
    former_as_json,
    former_of,
    number_as_json,
    session_as_json,
    state_as_json,
)
from speaker.bfd.watching import Watching
from speaker.bfd.words import PROTOCOL, encode_line, watch_of

LATENESS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of the histogram of how late the process woke up, in seconds."""

PACE = 0.001
"""Seconds from one waking up to the next at least."""


NUMBERS_PAUSE = 1.0
"""Seconds between what the speaker is told of the numbers of packets, for the case that we die."""


class Loop:
    """The process.

    Args:
        pair: our end of the two sockets that join us with the speaker.
        door: where the next speaker finds us; without it there is none after this one.
        version: of what runs here.
    """

    def __init__(
        self, pair: socket.socket, door: Door | None = None, version: str = __version__
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._speaker: Line | None = Line(pair, self._selector)
        self._door = door
        if door is not None:
            door.watch(self._selector)
        self._version = version
        self._callers: list[Line] = []
        self._watching = Watching(
            time.monotonic,
            time.time,
            self._moved,
            independent=door is not None,
            refuses_echo=lambda watch: self._echoes.refusal(watch),
        )
        self._echoes = Echoes(self._selector, self._watching.may_echo)
        self._ears = Ears(self._selector, self._take)
        self._changed: dict[str, Watched] = {}
        self._lateness = [0] * (len(LATENESS) + 1)
        self._latest = 0.0
        self._numbers_at = 0.0
        self._scheduling = ""
        self._is_ended = False
        self._is_process = False
        self._has_rights = False

    def run(self) -> None:
        """Be the whole of a process: ask for priority, and serve."""
        self._is_process = self._has_rights = True
        self._scheduling = _hurry()
        ending = _told_of(signal.SIGTERM)
        self._selector.register(ending, selectors.EVENT_READ, ending)
        self._say(self._ready())
        gc.collect()
        gc.freeze()
        gc.disable()
        self.serve()

    def serve(self) -> None:
        """Serve until no speaker is there, and no session is to go on without one."""
        while not self._is_ended and (self._speaker is not None or len(self._watching)):
            self._turn()
        self._close()

    def _leave_ports(self) -> None:
        self._ears.close()
        self._echoes.close()
        self._watching.close()

    def _close(self) -> None:
        # Ports first: whoever finds nobody at the door wants them.
        self._leave_ports()
        for line in self._callers if self._speaker is None else [*self._callers, self._speaker]:
            line.close()
        if self._door is not None:
            self._door.close(self._selector)
        self._selector.close()

    def _turn(self) -> None:
        planned = self._watching.next_deadline()
        moment = _first(_first(planned, self._ears.deadline), self._echoes.deadline)
        timeout = None if moment is None else max(0.0, moment - time.monotonic())
        ready = self._selector.select(timeout)
        woke = time.monotonic()
        if planned is not None and woke >= planned:
            late = woke - planned
            self._lateness[bisect_left(LATENESS, late)] += 1
            self._latest = max(self._latest, late)
        self._ears.hear(ready, woke)
        self._echoes.hear(ready, woke)
        for key, events in ready:
            self._attend(key.data, events)
        self._watching.tick(woke, self._ears.hear_all)
        self._tell(woke)
        if self._has_rights and self._ears.is_open:
            self._has_rights = False
            _give_up_rights()
        # What comes or is due meanwhile is done at once: to wake up costs more than a packet.
        time.sleep(max(0.0, woke + PACE - time.monotonic()))

    def _take(self, raw: Raw) -> None:
        if not self._watching.take_again(raw):
            self._watching.take(understand(raw))

    def _attend(self, ready: object, events: int) -> None:
        """Take what others want; packets have been read."""
        if isinstance(ready, Line):
            if ready is not self._speaker and ready not in self._callers:
                # It was closed since we woke up.
                return
            if events & selectors.EVENT_WRITE:
                ready.flush()
            if ready is self._speaker:
                self._hear(ready)
            else:
                self._hear_caller(ready)
        elif isinstance(ready, Door):
            self._admit(ready)
        elif isinstance(ready, socket.socket):
            self._end_by_hand(ready)

    def _hear(self, speaker: Line) -> None:
        """Take what the speaker says."""
        said = speaker.hear()
        if said is None:
            self._lose_speaker()
            return
        for words in said:
            self._obey(words)

    def _lose_speaker(self) -> None:
        if self._speaker is not None:
            self._speaker.close()
            self._speaker = None
        self._changed.clear()
        self._watching.orphan()
        if self._is_process:
            _let_go_of_output()

    def _end_by_hand(self, ending: socket.socket) -> None:
        """Somebody ends us: the peers are told, and no other speaker goes on with us."""
        ending.recv(64)
        if self._door is not None:
            self._door.close(self._selector)
            self._door = None
        if self._speaker is not None:
            self._say(encode_line("leaving"))
        self._watching.unwatch_all()
        self._lose_speaker()

    def _admit(self, door: Door) -> None:
        """Let somebody in who calls, and tell who we are."""
        if self._speaker is not None:
            # It may be gone: then whoever calls is its heir.
            self._hear(self._speaker)
        sock = door.admit()
        if sock is not None:
            caller = Line(sock, self._selector)
            self._callers.append(caller)
            caller.say(self._ready())

    def _hear_caller(self, caller: Line) -> None:
        """Find out what somebody wants who is not our speaker."""
        said = caller.hear()
        if said == []:
            return
        self._callers.remove(caller)
        word = said[0]["word"] if said else None
        if word == "adopt" and self._speaker is None:
            self._speaker = caller
            for words in (said or [])[1:]:
                self._obey(words)
            return
        if word == "give" and self._speaker is None:
            self._give(caller)
        caller.close()

    def _give(self, caller: Line) -> None:
        """Let another process go on with our sessions, and end."""
        formers = {w.watch.name: former_as_json(w, final=True) for w in self._watching}
        # Before it is told: the other one wants the ports at once.
        self._leave_ports()
        caller.say(encode_line("given", formers=formers))
        self._is_ended = True

    def _ready(self) -> bytes:
        """Tell who we are, to whoever calls or has started us."""
        space = os.stat("/proc/thread-self/ns/net")
        return encode_line(
            "ready",
            protocol=PROTOCOL,
            version=self._version,
            scheduling=self._scheduling,
            namespace=[space.st_dev, space.st_ino],
            pid=os.getpid(),
            taken=self._speaker is not None,
        )

    def _obey(self, said: dict[str, Any]) -> None:
        match said["word"]:
            case "watch":
                self._watching.watch(watch_of(said["session"]), former_of(said["former"]))
                self._ears.open(self._watching.tags, time.monotonic())
            case "unwatch":
                self._watching.unwatch(said["name"])
            case "show":
                self._say(encode_line("sessions", **self._shown()))
            case "alive":
                self._say(encode_line("alive"))

    def _shown(self) -> dict[str, Any]:
        watching = self._watching
        return {
            "sessions": [session_as_json(w) for w in watching if w.ends_at is None],
            "process": {
                "pid": os.getpid(),
                "outlives": self._door is not None,
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

    def _tell(self, now: float) -> None:
        """Tell the speaker of changes; while it does not read, only how things stand is kept."""
        if self._speaker is None or self._speaker.is_behind:
            return
        changed, self._changed = self._changed, {}
        for watched in changed.values():
            self._say(encode_line("state", **state_as_json(watched, time.time(), now)))
        if self._numbers_at <= now:
            self._numbers_at = now + NUMBERS_PAUSE
            told = {each.watch.name: number_as_json(each, now) for each in self._watching}
            if numbers := {name: number for name, number in told.items() if number}:
                self._say(encode_line("sequences", numbers=numbers))

    def _say(self, line: bytes) -> None:
        if self._speaker is not None:
            self._speaker.say(line)


def _told_of(number: signal.Signals) -> socket.socket:
    """Give a socket that can be read when a signal has come."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.signal(number, lambda *_: theirs.send(b"!"))
    return ours


def _let_go_of_output() -> None:
    """Hold nothing open that was the speaker's: somebody may wait for its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)


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


def _give_up_rights() -> None:
    """Give up what only large buffers needed; no packet has been read yet, and none is with it."""
    # Imported here: who has none of it need not load what changes rights.
    from speaker.privileges.capabilities import Capability, held, keep_only

    with suppress(OSError):
        keep_only(held() - {Capability.CAP_NET_ADMIN})


def main(descriptor: int, path: str = "") -> None:
    """Be the BFD process.

    Args:
        descriptor: of our end of the pair.
        path: of the socket at which the next speaker finds us; empty for none.
    """
    # Ctrl-C goes to all processes of a terminal; it is the speaker who ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    door = None
    if path:
        with suppress(OSError):
            door = Door(path)
    # Nothing of the speaker's directories is held.
    os.chdir("/")
    Loop(socket.socket(fileno=descriptor), door).run()
