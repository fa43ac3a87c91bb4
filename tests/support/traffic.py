"""Packets through the routes under test, numbered, so that the loss is known to the last one.

Run as a program it either sends UDP packets for several flows, each so many a second, or counts
those that arrive. `flowing` runs it on the nodes of a lab for
the time of a ``with`` block, and tells afterwards what each flow has lost, and when.

A sender that was kept from running does not send what it missed: a burst would fill the queues of
the system, and packets that were never sent are not lost. One that could not be sent is.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import RunningNode
from lab.probes import ping, wait_until

ROOT = Path(__file__).parents[2]
PORT = 7007
RATE = 1000
"""Packets a second of each flow."""

_NUMBERED = struct.Struct("!HId")
_RCVBUFFORCE, _BUFFER = 33, 1 << 26  # asm/socket.h
_LATE = 0.02
"""Seconds after which what was not sent is left out."""

_QUIET = 0.3
"""Seconds without a packet after which none is on its way any more."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets from one node to another.

    Args:
        sender: sends, from ``source``.
        receiver: has ``target``.
    """

    sender: RunningNode
    source: str
    receiver: RunningNode
    target: str

    def __str__(self) -> str:
        return f"{self.sender.name} {self.source} -> {self.receiver.name} {self.target}"

    @property
    def back(self) -> Flow:
        """The other way."""
        return Flow(self.receiver, self.target, self.sender, self.source)


@dataclass(slots=True)
class Count:
    """What became of a flow's packets, when all is over.

    Attributes:
        sent: how many, the lost ones too.
        ends_lost: whether the last one is lost.
        gaps: runs of lost ones: how many, and the second at which the first was sent.
    """

    sent: int = 0
    ends_lost: bool = False
    gaps: list[tuple[int, float]] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """How many did not arrive."""
        return sum(number for number, _ in self.gaps)

    def __str__(self) -> str:
        gaps = ", ".join(f"{number} from {at:.3f} s on" for number, at in self.gaps[:5])
        gaps += " to the end" * self.ends_lost
        return f"{self.lost} of {self.sent} lost ({gaps})"


Counts = dict[Flow, Count]


def lost(counts: Counts) -> dict[str, str]:
    """Give the flows that have lost packets, in words; there must have been packets at all."""
    assert counts
    assert all(count.sent > 0 for count in counts.values())
    return {str(flow): str(count) for flow, count in counts.items() if count.lost}


@contextmanager
def flowing(flows: Sequence[Flow]) -> Iterator[Counts]:
    """Let packets flow for the time of a ``with`` block; the counts are there afterwards.

    They get through before it begins.
    """
    for flow in flows:
        wait_until(
            lambda: ping(flow.sender, flow.target, source=flow.source),  # noqa: B023 - awaited here
            f"a ping is answered: {flow}",
            nodes=[flow.sender, flow.receiver],
        )
    counts = {flow: Count() for flow in flows}
    began = time.monotonic()
    with ExitStack() as stack:
        receivers = {
            node.name: stack.enter_context(_running(node, "receive"))
            for node in {flow.receiver.name: flow.receiver for flow in flows}.values()
        }
        by_sender = defaultdict(list)
        for number, flow in enumerate(flows):
            by_sender[flow.sender.name].append((number, flow.source, flow.target))
        nodes = {flow.sender.name: flow.sender for flow in flows}
        senders = [
            stack.enter_context(_running(nodes[name], "send", json.dumps(ways)))
            for name, ways in by_sender.items()
        ]
        yield counts
        sent = {number: told for each in senders for number, told in _end(each).items()}
        arrived: dict[str, Any] = {}
        for each in receivers.values():
            arrived |= _end(each)
    for number, count in enumerate(counts.values()):
        count.sent = sent[str(number)]
        came = arrived.get(str(number), [])
        count.ends_lost = not came or came[-1][1] < count.sent - 1
        count.gaps = [(size, at - began) for size, at in _gaps(count.sent, came)]


def _gaps(sent: int, arrived: list[tuple[int, int, float]]) -> Iterator[tuple[int, float]]:
    """Give what is missing between runs of what arrived: how many, and since when."""
    expected, since = 0, 0.0
    for first, last, at in [*arrived, (sent, sent, 0.0)]:
        if first > expected:
            yield first - expected, since
        expected, since = last + 1, at


@contextmanager
def _running(node: RunningNode, *words: str) -> Iterator[subprocess.Popen[str]]:
    argv = node.inside([sys.executable, "-m", __name__, *words])
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"no traffic in {node.name}"
            yield process
        finally:
            process.terminate()


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Ask a program to end, and give what it has to tell."""
    said, _ = process.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def send(ways: list[tuple[int, str, str]]) -> None:
    """Send packets of each flow until the standard input ends; then say how many."""
    sockets = []
    for number, source, target in ways:
        made = _socket(source)
        made.bind((source, 0))
        sockets.append((number, made, (target, PORT)))
    _ready()
    sequence, due = 0, time.monotonic()
    pause = 1 / RATE
    while True:
        now = time.monotonic()
        if due > now:
            if select.select([sys.stdin], [], [], due - now)[0]:
                break
            continue
        due = max(due + pause, now - _LATE)
        for number, made, end in sockets:
            try:
                made.sendto(_NUMBERED.pack(number, sequence, now), end)
            except OSError:
                # No way there: it is as lost as one that is dropped on its way.
                continue
        sequence += 1
    sys.stdout.write(json.dumps({number: sequence for number, _, _ in ways}))


def receive() -> None:
    """Count packets until the standard input ends and none comes any more; then tell of each flow.

    Told are runs of numbers that came: the first, the last, and when the last was sent.
    """
    sockets = []
    for address in ("0.0.0.0", "::"):
        made = _socket(address)
        if address == "::":
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
        made.bind((address, PORT))
        sockets.append(made)
    _ready()
    came: dict[int, dict[int, float]] = defaultdict(dict)
    is_ending = False
    while True:
        watched = sockets if is_ending else [*sockets, sys.stdin]
        ready, _, _ = select.select(watched, [], [], _QUIET if is_ending else None)
        if is_ending and not ready:
            break
        is_ending = is_ending or sys.stdin in ready
        for made in sockets:
            if made in ready:
                number, sequence, at = _NUMBERED.unpack(made.recv(64))
                came[number][sequence] = at
    sys.stdout.write(json.dumps({number: runs(found) for number, found in came.items()}))


def runs(found: dict[int, float]) -> list[tuple[int, int, float]]:
    """Put numbers together to runs without a gap."""
    made: list[tuple[int, int, float]] = []
    for sequence in sorted(found):
        if made and made[-1][1] == sequence - 1:
            made[-1] = (made[-1][0], sequence, found[sequence])
        else:
            made.append((sequence, sequence, found[sequence]))
    return made


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(json.loads(sys.argv[2]))
    else:
        receive()
