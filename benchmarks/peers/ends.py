"""The ends of the sessions, in a process of their own: senders or receivers of one run.

``python -m benchmarks.peers.ends ORDER.json`` opens the sessions of the order. Commands come as
lines of JSON on standard input, events go as lines of JSON to standard output; `Commands` and
`Events` in `benchmarks.peers.children` are the other side. Times are CLOCK_MONOTONIC, so that they
compare between processes.

A receiver only stores (time, octets) while data flows, and counts when the line has been silent for
`SILENCE`, so that it does not compete with the daemon. A sender obeys TCP alone: a daemon that
reads slowly is measured, not flooded.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from benchmarks.peers.checking import differences
from benchmarks.peers.churn import Churn
from benchmarks.peers.counting import Counter
from benchmarks.peers.session import CHUNK, Line, Session, State
from benchmarks.table.blob import Blob, retarget
from benchmarks.table.messages import END_OF_RIB

SILENCE = 0.3
AT_ONCE = 4
"""Handshakes under way: some daemons' accept queue holds five."""

_GONE = select.EPOLLHUP | select.EPOLLERR


def tell(event: str, **facts: object) -> None:
    """Tell the other side something."""
    sys.stdout.write(json.dumps({"event": event, "time": time.monotonic(), **facts}) + "\n")
    sys.stdout.flush()


class Ends:
    """All sessions of one process.

    Args:
        lines: the sessions.
        expected: prefixes that a receiver waits for; None for senders.
        checks: receivers remember the attributes.
        seconds: after which everything ends.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        *,
        expected: int | None = None,
        checks: bool = False,
        seconds: float = 900.0,
    ) -> None:
        self._sessions = [Session(line) for line in lines]
        self._by_descriptor: dict[int, Session] = {}
        self._poll = select.epoll()
        self._counters: dict[str, Counter] = {}
        self._stored: dict[str, list[tuple[float, bytes]]] = {}
        if expected is not None:
            for session in self._sessions:
                name = session.line.name
                self._counters[name] = Counter(expected, keeps_attributes=checks)
                self._stored[name] = []
        self._stored_at: float | None = None
        self._draining: list[Session] = []
        self._churns: list[tuple[Session, Churn]] = []
        self._end = time.monotonic() + seconds
        self._input = b""
        self._is_over = False
        os.set_blocking(0, False)
        self._poll.register(0, select.EPOLLIN)

    def run(self) -> None:
        """Work until told to stop, or nobody is there any more to tell."""
        for session in self._sessions:
            if session.line.listens:
                session.accept()
                self._register(session)
        while not self._is_over and time.monotonic() < self._end:
            is_busy = self._draining or self._churns
            for descriptor, events in self._poll.poll(0.02 if is_busy else 0.1, 64):
                if descriptor == 0:
                    self._read_commands()
                elif descriptor in self._by_descriptor:
                    self._happened(self._by_descriptor[descriptor], events)
            self._look_after()

    # Sessions.

    def _register(self, session: Session) -> None:
        assert session.socket is not None
        self._by_descriptor[session.socket.fileno()] = session
        self._poll.register(session.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _forget(self, session: Session) -> None:
        if session.socket is not None:
            self._by_descriptor.pop(session.socket.fileno(), None)
            self._poll.unregister(session.socket.fileno())

    def _lost(self, session: Session, why: str) -> None:
        self._forget(session)
        if session.lose(why):
            tell("down", name=session.line.name, why=session.why)

    def _happened(self, session: Session, events: int) -> None:
        if session.state is State.CONNECTING and events & (select.EPOLLOUT | _GONE):
            why = session.connected()
            if why:
                self._lost(session, why)
                return
        if events & select.EPOLLIN:
            self._read(session)
        elif events & _GONE:
            self._lost(session, "hung up")
        self._write(session)

    def _read(self, session: Session) -> None:
        assert session.socket is not None
        try:
            data = session.socket.recv(session.room)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(session, errno.errorcode.get(error.errno or 0, str(error)))
            return
        if not data:
            self._lost(session, "closed by the peer")
            return
        now, was = time.monotonic(), session.state
        octets = session.take(now, data)
        if session.state is State.UP and was is not State.UP:
            tell("up", name=session.line.name)
        if octets and session.line.name in self._stored:
            self._stored[session.line.name].append((now, octets))
            # Who reads slowly is never silent.
            if not session.line.octets_s:
                self._stored_at = now

    def _write(self, session: Session) -> None:
        if session.socket is None:
            return
        if session.state is not State.CONNECTING:
            try:
                session.write()
            except OSError as error:
                self._lost(session, errno.errorcode.get(error.errno or 0, str(error)))
                return
        wanted = select.EPOLLIN if session.room > 0 else 0
        wanted |= select.EPOLLOUT if session.wants_to_write else 0
        self._poll.modify(session.socket.fileno(), wanted)

    def _look_after(self) -> None:
        """Do what time brings."""
        now = time.monotonic()
        opening = sum(session.is_opening for session in self._sessions)
        for session in self._sessions:
            if session.is_due and opening < AT_ONCE:
                opening += 1
                if session.connect() is not None:
                    self._register(session)
            elif session.is_stuck:
                self._lost(session, "the handshake takes too long")
            elif session.refill(now) | session.keep_alive(now):
                self._write(session)
        self._see_drained()
        self._churn(now)
        if self._stored_at is not None and now - self._stored_at > SILENCE:
            self._count()
            self._report()

    def _see_drained(self) -> None:
        drained = [session for session in self._draining if session.is_drained]
        for session in drained:
            self._draining.remove(session)
            tell("drained", name=session.line.name)

    def _churn(self, now: float) -> None:
        """Say what is due; a daemon that does not read slows the churn down."""
        for session, churn in self._churns:
            if churn.is_over(now):
                tell(
                    "churned",
                    name=session.line.name,
                    updates=churn.updates,
                    seconds=churn.seconds,
                    alive=churn.alive,
                )
            elif session.unsent < CHUNK:
                session.push(churn.due(now))
                self._write(session)
        self._churns = [(s, c) for s, c in self._churns if not c.is_over(now)]

    # Commands.

    def _read_commands(self) -> None:
        octets = os.read(0, 1 << 16)
        if not octets:
            self._is_over = True
            return
        *lines, self._input = (self._input + octets).split(b"\n")
        for line in lines:
            command = json.loads(line)
            getattr(self, f"do_{command.pop('do')}")(**command)

    def do_send(self, names: list[str], what: str, blob: str = "") -> None:
        """Push the tables of sessions, or what withdraws them; or another table."""
        chosen = [s for s in self._sessions if s.line.name in names and s.state is State.UP]
        payloads = [(session, payload(session.line, what, blob)) for session in chosen]
        tell("begun")
        for session, octets in payloads:
            session.push(octets)
            self._write(session)
        self._draining = chosen

    def do_churn(self, names: list[str], rate: int, seconds: float) -> None:
        """Have sessions announce anew, and withdraw, what they have announced."""
        for session in self._sessions:
            if session.line.name in names:
                octets = payload(session.line, "announce")
                churn = Churn(octets, session.line.family, rate, seconds)
                self._churns.append((session, churn))
        tell("begun")
        for _, churn in self._churns:
            churn.begin(time.monotonic())

    def do_close(self, names: list[str], abruptly: bool) -> None:
        """End sessions, as if the peer had left or died."""
        for session in self._sessions:
            if session.line.name in names:
                self._forget(session)
                session.close(abruptly=abruptly)
        tell("closed")

    def do_reopen(self, names: list[str]) -> None:
        """Bring sessions up again that were closed."""
        for session in self._sessions:
            if session.line.name in names:
                session.reopen()

    def do_mark(self, expected: int | None = None) -> None:
        """Count anew from here, and wait for so many prefixes."""
        self._count()
        for counter in self._counters.values():
            counter.mark(expected)
        self._report()

    def do_report(self) -> None:
        """Say what there is."""
        self._count()
        self._report()

    def do_check(self, blob: str, asn: int) -> None:
        """Compare what receivers hold with what was sent."""
        sent = Counter(keeps_attributes=True)
        sent.feed(0.0, Path(blob).read_bytes())
        wrong: dict[str, int] = {}
        for session in self._sessions:
            line = session.line
            hop = ip_address(line.remote).packed if line.family == 4 else b""
            held = self._counters[line.name].alive
            for name, count in differences(sent.alive, held, asn, hop).items():
                wrong[name] = wrong.get(name, 0) + count
        tell("checked", wrong=wrong)

    def _count(self) -> None:
        for name, stored in self._stored.items():
            for when, octets in stored:
                self._counters[name].feed(when, octets)
            stored.clear()
        self._stored_at = None

    def _report(self) -> None:
        tallies = {name: asdict(counter.tally) for name, counter in self._counters.items()}
        sessions = {
            s.line.name: {"hold": s.hold, "silence": s.silence}
            for s in self._sessions
            # Who reads slowly hears slowly; that is no silence of the other end.
            if not s.line.octets_s
        }
        tell("counted", tallies=tallies, sessions=sessions)


def payload(line: Line, what: str, other: str = "") -> bytes:
    """Read what a session is to send: ``announce`` or ``withdraw``, of its table or another one."""
    blob = Blob.read(Path(other or line.blob))
    if what == "withdraw":
        return blob.withdrawals.read_bytes()
    octets = blob.path.read_bytes()
    return retarget(octets, blob.family, line.asn, line.next_hop) + END_OF_RIB[blob.family]


def main() -> None:
    """Do as the order says."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    order: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    lines = [Line(**each) for each in order.pop("lines")]
    Ends(lines, **order).run()


if __name__ == "__main__":
    main()
