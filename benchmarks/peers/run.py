"""One measured run: a daemon between senders and receivers, as a `Run` sees it.

A run lays a bed, starts the daemon, brings all sessions up and lets the daemon rest. Then it pushes
tables, and samples several times a second what the daemon has used and what lies unread in its
sockets. The modes (`benchmarks.peers.modes`) say what is pushed and what is waited for.

The clock is CLOCK_MONOTONIC in all processes; a time begins right before the first octet of an
UPDATE is written.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.peers import processes
from benchmarks.peers.bed import RECEIVERS, SENDERS, Bed, DaemonError, address, daemon_address
from benchmarks.peers.children import Child
from benchmarks.peers.counting import Tally
from benchmarks.peers.daemons import Neighbor, Topology
from benchmarks.peers.session import Line
from benchmarks.table import blob
from benchmarks.table.blob import Blob

DAEMON_AS = 65000
SENDER_AS, RECEIVER_AS = 4200000001, 4210000001
IDLE_TIME = 0.4
"""Seconds of rest after which the daemon is idle."""
IDLE_SHARE = 0.06
"""Of a processor, that it may use and be idle all the same."""
ESTABLISH = 90.0
PATIENCE = 10.0
"""Seconds of silence that end a run in which a few prefixes are missing."""
NEARLY_ALL = 0.99
SLOW = 50_000
"""Octets a second that a slow receiver reads."""
SMALL = 200_000
"""Prefixes up to which samples are taken twice as often."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured.

    Attributes:
        daemon: a name of `benchmarks.peers.daemons.DAEMONS`, or a command line.
        mode: a name of `benchmarks.peers.modes.MODES`.
        prefixes: in each sender's table.
        senders: how many.
        receivers: how many.
        family: 4 or 6.
        hold: seconds of hold time that the ends offer.
        checks: whether what receivers hold is compared with what was sent.
        limit: seconds that a measured phase may take.
        quiet: seconds of silence that end a phase.
        abruptly: a sender dies with RST and not with FIN.
        asks: the daemon is asked for its state all the time.
        rate: updates a second of a churn.
        seconds: that it lasts.
        filters: which filters all sessions have, that let everything pass: a name of
            `benchmarks.dut.FILTERS`.
    """

    daemon: str
    mode: str
    prefixes: int = 100_000
    senders: int = 1
    receivers: int = 1
    family: int = 4
    hold: int = 90
    checks: bool = False
    limit: float = 300.0
    quiet: float = 2.0
    abruptly: bool = False
    asks: bool = False
    rate: int = 10_000
    seconds: float = 60.0
    filters: str = "none"


class Sample(NamedTuple):
    """The daemon at one moment: seconds used so far, octets unread."""

    time: float
    used: float
    unread: int


def idle_since(samples: list[Sample], since: float) -> float | None:
    """Tell when the daemon became idle and has been since.

    Args:
        samples: in the order of time.
        since: samples from before do not count.

    Returns:
        The beginning of the rest, if nothing lies unread and it lasts long enough; else None.
    """
    if not samples or samples[-1].unread:
        return None
    last = samples[-1]
    begun: float | None = None
    for sample in reversed(samples[:-1]):
        if sample.unread or sample.time < since:
            break
        if last.used - sample.used > max(0.02, IDLE_SHARE * (last.time - sample.time)):
            break
        begun = sample.time
    return begun if begun is not None and last.time - begun >= IDLE_TIME else None


class Window:
    """What a phase costs: the daemon's time, ours, and what others used of the machine.

    Args:
        bed: that is looked at.
    """

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._before = self._look()

    def _look(self) -> tuple[float, float, float, float]:
        bed = self._bed
        used, own = bed.processor_time(), bed.own_time()
        return used, own, processes.machine_time(), time.monotonic()

    def facts(self) -> dict[str, float]:
        """Say it."""
        self._bed.scan()
        now = self._look()
        used, own, machine, wall = (b - a for a, b in zip(self._before, now, strict=True))
        return {
            "cpu_s": round(used, 2),
            "harness_cpu_s": round(own, 2),
            "foreign_cores": round(max(0.0, machine - used - own) / wall, 2),
            "rss_mb": self._bed.peak_memory(),
        }


class Run:
    """See the head of the module.

    Args:
        order: what is to be measured.
        bed: to do it on.
        fib: whether the daemon puts routes into the kernel.

    Attributes:
        facts: what has been found out; goes into the result.
        samples: of the present phase.
        begun: when the present phase began.
    """

    def __init__(self, order: Order, bed: Bed, *, fib: bool = False) -> None:
        self.order = order
        self.bed = bed
        self.fib = fib
        self.facts: dict[str, object] = {}
        self.samples: list[Sample] = []
        self.begun = 0.0
        self._window: Window | None = None
        self._selector = selectors.DefaultSelector()
        self.receivers: Child | None = None
        self.blob = blob.ensure(order.prefixes, order.family)

    def set_up(self) -> None:
        """Start everything, and wait until all sessions are up and the daemon rests.

        Raises:
            DaemonError: that does not come about.
        """
        order = self.order
        self.bed.lay(order.senders, order.receivers)
        sending = [self._line(SENDERS, index) for index in range(order.senders)]
        receiving = [self._line(RECEIVERS, index) for index in range(order.receivers)]
        neighbors = [_neighbor(line, "send") for line in sending]
        neighbors += [_neighbor(line, "recv") for line in receiving]
        listen = tuple(daemon_address(side, order.family) for side in (SENDERS, RECEIVERS))
        topology = Topology(
            DAEMON_AS,
            daemon_address(RECEIVERS),
            order.family,
            self.fib,
            listen,
            tuple(neighbors),
            filters=self.order.filters,
        )
        self.daemon = self.bed.start(order.daemon, topology)
        if receiving:
            self.receivers = self._child(
                RECEIVERS, receiving, expected=order.prefixes, checks=order.checks
            )
        self.senders = self._child(SENDERS, sending)
        self._establish()
        self.rest(time.monotonic(), 5.0)
        self.bed.scan()
        self.facts["rss_start_mb"] = self.bed.peak_memory()

    def _establish(self) -> None:
        end = time.monotonic() + ESTABLISH
        while not all(child.is_up for child in self.bed.children):
            self.tick()
            if time.monotonic() > end:
                counts = [f"{len(child.up)}/{len(child.lines)}" for child in self.bed.children]
                raise DaemonError(f"sessions up: {counts}: {self.bed.log_tail()}")

    def _line(self, side: int, index: int) -> Line:
        order = self.order
        is_sender = side == SENDERS
        other = index if is_sender and order.mode == "manypeers" and index else None
        table = blob.ensure(order.prefixes, order.family, attribute_seed=other)
        is_slow = order.mode == "slow" and not is_sender and index > 0
        return Line(
            name=f"{'s' if is_sender else 'r'}{index + 1}",
            local=address(side, index, order.family),
            remote=daemon_address(side, order.family),
            asn=(SENDER_AS if is_sender else RECEIVER_AS) + index,
            router_id=address(side, index),
            family=order.family,
            hold=order.hold,
            blob=str(table.path) if is_sender else "",
            next_hop=address(side, index, order.family),
            octets_s=SLOW if is_slow else 0,
        )

    def _child(self, side: int, lines: list[Line], **facts: object) -> Child:
        child = self.bed.child(side, lines, seconds=self.order.limit + 200, **facts)
        self._selector.register(child.output, selectors.EVENT_READ, child)
        return child

    # Watching.

    def tick(self, wait: float = 0.025) -> None:
        """Take in what is told, and look at the daemon.

        Raises:
            DaemonError: it has ended.
            TimeoutError: the phase takes too long.
        """
        for key, _ in self._selector.select(wait):
            key.data.listen()
        now = time.monotonic()
        if now - self.bed.scanned > 2:
            self.bed.scan()
        self.bed.must_live()
        step = 0.045 if self.order.prefixes <= SMALL else 0.095
        if not self.samples or now - self.samples[-1].time >= step:
            self.samples.append(Sample(now, self.bed.processor_time(), self.bed.sockets()[0]))
        if self.begun and now - self.begun > self.order.limit:
            raise TimeoutError(f"it takes more than {self.order.limit:.0f} s")

    def until(self, condition: Callable[[], bool], wait: float = 0.025) -> None:
        """Watch until something is so."""
        while not condition():
            self.tick(wait)

    def rest(self, since: float, seconds: float) -> None:
        """Let the daemon become idle, for so long at the most."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and idle_since(self.samples, since) is None:
            self.tick()

    @property
    def is_idle(self) -> bool:
        """Whether the daemon rests since some time in this phase."""
        return idle_since(self.samples, self.begun) is not None

    def is_quiet(self, seconds: float | None = None) -> bool:
        """Tell whether no UPDATE has come for so long, and the daemon rests."""
        last = max([tally.last or 0.0 for tally in self.tallies] + [self.begun])
        silence = self.order.quiet if seconds is None else seconds
        return time.monotonic() - last > silence and self.is_idle

    @property
    def tallies(self) -> list[Tally]:
        """What the receivers have counted."""
        return [] if self.receivers is None else list(self.receivers.tallies.values())

    def all_tallies(self, condition: Callable[[Tally], bool]) -> bool:
        """Tell whether something is so at every receiver, and there is any."""
        return bool(self.tallies) and all(map(condition, self.tallies))

    # Phases.

    def begin(self) -> None:
        """Begin a phase."""
        self.samples.clear()
        self._window = Window(self.bed)

    def end(self, prefix: str = "") -> None:
        """Note what the phase has cost."""
        assert self._window is not None
        self.facts |= {prefix + name: value for name, value in self._window.facts().items()}

    def note(self, name: str, until: float) -> None:
        """Note how long something took from the beginning of the phase."""
        self.facts[name] = round(until - self.begun, 3)

    def send(
        self, names: list[str] | None = None, what: str = "announce", table: Blob | None = None
    ) -> None:
        """Begin a phase with the tables of senders, or another one."""
        self.begin()
        sender = self.senders
        sender.begun = None
        path = "" if table is None else str(table.path)
        sender.tell("send", names=names or sender.names, what=what, blob=path)
        self.until(lambda: sender.begun is not None, 0.005)
        self.begun = sender.begun or 0.0

    def mark(self, expected: int | None = None) -> None:
        """Let receivers count anew, and wait for so many prefixes where that is another number."""
        receivers = self.receivers
        assert receivers is not None
        before = receivers.reports
        receivers.tell("mark", expected=expected)
        self.until(lambda: receivers.reports > before)

    def everything_sent(self) -> bool:
        """Tell whether all that was pushed has been acknowledged."""
        return len(self.senders.drained) == len(self.senders.lines)

    def has_converged(self) -> bool:
        """Tell whether the receivers have everything, or as much as they will ever have."""
        if not self.everything_sent():
            return False
        if self.all_tallies(lambda tally: tally.reached is not None):
            return self.is_quiet()
        # A daemon may refuse a few routes: then a long silence is the end.
        enough = NEARLY_ALL * self.order.prefixes
        return self.all_tallies(lambda tally: tally.alive >= enough) and self.is_quiet(PATIENCE)

    def close(self) -> None:
        """Look at nothing any more."""
        self._selector.close()


def _neighbor(line: Line, role: str) -> Neighbor:
    return Neighbor(line.name, line.local, line.asn, line.remote, role)
