"""Making one run from beginning to end, whatever comes: `measure` gives what was found.

`possible` tells beforehand why a run cannot be made here, in one line.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.peers import processes
from benchmarks.peers.answers import Asker
from benchmarks.peers.bed import Bed, DaemonError
from benchmarks.peers.daemons import MissingError, kind_of
from benchmarks.peers.modes import MODES
from benchmarks.peers.run import DAEMON_AS, Order, Run

ANSWER = 60.0
"""Seconds that session ends may take to count and to compare."""
BUSY = 0.15
"""Processors that others may use on a machine that is quiet."""


class ImpossibleError(Exception):
    """A run cannot be made here; the text is for the operator."""


def possible(order: Order) -> None:
    """Make sure that a run can be made.

    Raises:
        ImpossibleError: it cannot.
    """
    if os.geteuid():
        raise ImpossibleError("network namespaces need root: run it as root")
    kind = kind_of(order.daemon)
    if order.checks and not MODES[order.mode].can_check:
        raise ImpossibleError(f"there is nothing to compare at the end of {order.mode}")
    if MODES[order.mode].needs_kernel and not kind.has_kernel:
        raise ImpossibleError(f"{order.daemon} puts no routes into the kernel")
    if order.mode == "churn" and order.family != 4:
        raise ImpossibleError("churn is of IPv4 prefixes only")
    if MODES[order.mode].edits and not kind.has_filters:
        raise ImpossibleError(f"filters of {order.daemon} are not edited here")
    if order.filters != "none" and not kind.has_filters:
        raise ImpossibleError(f"{order.daemon} is given no filters here")
    if order.asks and kind.question is None:
        raise ImpossibleError(f"{order.daemon} is not asked for its state here")
    try:
        kind.version()
    except MissingError as error:
        raise ImpossibleError(str(error)) from None


def measure(order: Order) -> dict[str, object]:
    """Make one run.

    Returns:
        The order and what was found; ``ok`` tells whether it went to its end.
    """
    mode = MODES[order.mode]
    with contextlib.ExitStack() as stack:
        bed = Bed()
        stack.callback(bed.close)
        run = Run(order, bed, fib=mode.needs_kernel)
        stack.callback(run.close)
        facts = run.facts
        facts["ok"] = False
        try:
            run.set_up()
            with _asking(run):
                mode.measure(run)
            facts["ok"] = True
            if order.checks:
                _check(run)
        except (DaemonError, TimeoutError, OSError) as error:
            facts["error"] = f"{type(error).__name__}: {error}"
        _sessions(run)
    return _described(order) | facts


@contextlib.contextmanager
def _asking(run: Run) -> Iterator[None]:
    """Ask the daemon for its state all the time, where that is wanted."""
    question = kind_of(run.order.daemon).question
    if not run.order.asks or question is None:
        yield
        return
    with Asker(partial(question, run.bed.directory)) as asker:
        yield
    run.facts |= asker.facts()


def _described(order: Order) -> dict[str, object]:
    return {name: getattr(order, name) for name in order.__slots__}


def _check(run: Run) -> None:
    """Compare what receivers hold with what was sent; what is wrong stands in the facts."""
    receivers = run.receivers
    assert receivers is not None
    receivers.tell("check", blob=str(run.blob.path), asn=DAEMON_AS)
    end = time.monotonic() + ANSWER
    while receivers.wrong is None and time.monotonic() < end:
        time.sleep(0.05)
        receivers.listen()
    run.facts["wrong"] = receivers.wrong
    run.facts["ok"] = receivers.wrong == {}


def _sessions(run: Run) -> None:
    """Note which sessions were lost, and how long the daemon was silent on any."""
    end = time.monotonic() + ANSWER
    for child in run.bed.children:
        before = child.reports
        try:
            child.tell("report")
        except OSError:
            continue
        while child.reports == before and child.process.poll() is None:
            time.sleep(0.02)
            child.listen()
            if time.monotonic() > end:
                break
    downs = [down for child in run.bed.children for down in child.downs]
    sessions = [each for child in run.bed.children for each in child.sessions.values()]
    run.facts["drops"] = len(downs)
    if downs:
        run.facts["lost"] = [f"{down['name']}: {down['why']}" for down in downs[:5]]
    run.facts["silence_s"] = round(max((each["silence"] for each in sessions), default=0.0), 3)


def wait_for_quiet(seconds: float) -> bool:
    """Wait until others leave the machine alone; tell whether they did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before, begun = processes.machine_time(), time.monotonic()
        time.sleep(1.5)
        if (processes.machine_time() - before) / (time.monotonic() - begun) < BUSY:
            return True
    return False
