"""What can be measured, and when each is over.

- ``ingest``: one sender, nobody to tell. ``ingest_s``: until nothing lies unread and the daemon
  rests.
- ``relay``: one sender, one receiver. ``relay_s``: until the receiver holds every prefix.
- ``withdraw``: relay, then the sender takes everything back. ``withdraw_s``: until the receiver has
  nothing left.
- ``fib``: one sender, routes go into the kernel. ``fib_s``: until the kernel has all of them;
  ``fib_withdraw_s``: until it has none.
- ``manypeers``: several senders of the same prefixes, each with attributes of its own.
  ``last_update_s``: until nothing changes any more.
- ``fanout``: one sender, many receivers. ``relay_s``: until the last receiver holds every prefix.
- ``flap``: two equal senders, and the one that is preferred dies. ``flap_s``: until the receiver
  has heard anew of every prefix.
- ``reload``: a sender tells its table and goes, three times over. ``peak_1_mb`` to ``peak_3_mb``:
  the most memory while the table is there; ``left_1_mb`` …: what is left once it has gone.
- ``edit``: a table stands, then a filter of the sender, and one of the receiver, is edited so that
  a hundredth of the prefixes are refused, and edited back. ``import_s``, ``import_back_s``,
  ``export_s``, ``export_back_s``: until the receiver holds exactly what it should; ``…_told``: of
  how many prefixes it heard meanwhile; ``changed``: of how many it should have.
- ``slow``: one sender, one receiver, and others beside it that read 50 kB a second. ``relay_s``:
  until the first has every prefix; ``change_s``: until it has heard of every prefix anew, when the
  sender tells other attributes; ``memory_mb``: of the daemon then. With ``--receivers 1`` there is
  nobody slow, to compare with.
- ``churn``: a table stands, and its sender changes it without end: other attributes, withdrawals.
  ``updates_s``: a second that were taken; ``memory_10_mb``, ``memory_half_mb``, ``memory_end_mb``:
  after ten seconds, or a sixth of the time if that is less, half way, and at the end; ``share``: of
  a core; ``settled_s``: from the end until the receiver holds what the sender has told.

Each function takes a `Run` that is set up, and leaves what it has found in its facts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers import kernel_table
from benchmarks.peers.bed import DaemonError
from benchmarks.peers.counting import Counter
from benchmarks.peers.refusals import choose
from benchmarks.peers.run import Run, idle_since
from benchmarks.table import blob

EDITED = 0.01
"""Of the prefixes, that an edit is about."""
LOADS = 3
"""How often a table comes and goes."""
STUCK = 25.0
"""Seconds without a change of the kernel's table after which it will not change any more."""


def measure_ingest(run: Run) -> None:
    """Until everything is read and worked through."""
    run.send()
    run.until(lambda: run.everything_sent() and run.is_idle)
    run.note("ingest_s", idle_since(run.samples, run.begun) or 0.0)
    run.end()


def measure_relay(run: Run) -> None:
    """Until the receivers hold everything."""
    run.send()
    run.until(run.has_converged)
    tallies = run.tallies
    run.note("relay_s", max(each.reached or each.last or 0.0 for each in tallies))
    run.note("first_out_s", min(each.first or 0.0 for each in tallies))
    run.note("last_update_s", max(each.last or 0.0 for each in tallies))
    run.facts["missing"] = run.order.prefixes - min(each.alive for each in tallies)
    run.facts["updates"] = sum(each.updates for each in tallies)
    run.facts["announced"] = sum(each.announced for each in tallies)
    run.end()


def measure_withdraw(run: Run) -> None:
    """There, and back again."""
    measure_relay(run)
    run.rest(time.monotonic(), 5.0)
    run.mark()
    run.send(what="withdraw")
    run.until(lambda: run.all_tallies(lambda t: t.emptied is not None) and run.is_quiet())
    run.note("withdraw_s", max(each.emptied or 0.0 for each in run.tallies))
    run.end("withdraw_")


def measure_reload(run: Run) -> None:
    """A table comes and goes with its sender, again and again."""
    [name] = run.senders.names
    for number in range(1, LOADS + 1):
        run.until(lambda: run.senders.is_up)
        run.mark()
        run.bed.forget_peak()
        run.send()
        run.until(lambda: run.all_tallies(lambda t: t.reached is not None) and run.is_quiet())
        run.end()
        run.facts[f"peak_{number}_mb"] = run.bed.peak_memory()
        run.mark()
        run.begin()
        run.senders.closed = None
        run.senders.up.discard(name)
        run.senders.tell("close", names=[name], abruptly=run.order.abruptly)
        run.until(lambda: run.senders.closed is not None, 0.005)
        run.begun = run.senders.closed or 0.0
        run.until(lambda: run.all_tallies(lambda t: t.emptied is not None) and run.is_quiet())
        run.facts[f"left_{number}_mb"] = run.bed.memory()
        run.senders.tell("reopen", names=[name])


def measure_edit(run: Run) -> None:
    """Filters of a standing table are edited."""
    run.send()
    run.until(run.has_converged)
    sent = Counter()
    sent.feed(0.0, run.blob.path.read_bytes())
    refusals = choose(sent.alive, EDITED, run.order.family)
    run.facts["changed"] = refusals.prefixes
    for role, name in (("send", "import"), ("recv", "export")):
        _edit(run, name, {role: refusals.blocks}, run.order.prefixes - refusals.prefixes)
        _edit(run, f"{name}_back", {role: ()}, run.order.prefixes)
    run.end()


def _edit(run: Run, name: str, refused: dict[str, tuple[str, ...]], left: int) -> None:
    run.mark(left)
    run.begin()
    run.begun = time.monotonic()
    run.daemon.refuse(refused)
    run.until(lambda: run.all_tallies(lambda t: t.exact is not None) and run.is_quiet())
    run.note(f"{name}_s", max(each.exact or 0.0 for each in run.tallies))
    run.facts[f"{name}_told"] = sum(each.announced + each.withdrawn for each in run.tallies)


def measure_churn(run: Run) -> None:
    """The sender changes its mind all the time."""
    order = run.order
    run.send()
    run.until(run.has_converged)
    run.mark()
    run.begin()
    sender = run.senders
    sender.begun = None
    sender.tell("churn", names=sender.names, rate=order.rate, seconds=order.seconds)
    run.until(lambda: sender.begun is not None, 0.005)
    run.begun = sender.begun or 0.0
    for name, after in (("10", min(10.0, order.seconds / 6)), ("half", order.seconds / 2)):
        run.until(lambda after=after: time.monotonic() - run.begun >= after)  # type: ignore[misc]
        run.facts[f"memory_{name}_mb"] = run.bed.memory()
    run.until(lambda: sender.churned is not None)
    run.facts["memory_end_mb"] = run.bed.memory()
    run.end()
    churned = sender.churned or {}
    ended = time.monotonic()
    run.facts["updates_s"] = round(churned["updates"] / churned["seconds"])
    run.facts["share"] = round(float(str(run.facts["cpu_s"])) / (ended - run.begun), 2)
    run.until(lambda: run.all_tallies(lambda t: t.alive == churned["alive"]) and run.is_quiet())
    settled = max(each.last or 0.0 for each in run.tallies)
    run.facts["settled_s"] = round(max(0.0, settled - ended), 3)
    run.facts["updates_heard"] = sum(each.updates for each in run.tallies)


def measure_slow(run: Run) -> None:
    """Somebody reads slowly; how do the others fare, and who remembers what he has not read?"""
    order = run.order
    other = blob.ensure(order.prefixes, order.family, attribute_seed=2)
    run.send()
    run.until(lambda: run.tallies[0].reached is not None if run.tallies else False)
    run.note("relay_s", run.tallies[0].reached or 0.0)
    run.mark()
    run.send(table=other)
    run.until(lambda: run.tallies[0].renewed is not None)
    run.note("change_s", run.tallies[0].renewed or 0.0)
    run.facts["memory_mb"] = run.bed.memory()
    run.end()


def measure_flap(run: Run) -> None:
    """The peer whose routes are best goes away."""
    run.send(["s1"])
    run.until(lambda: run.all_tallies(lambda t: t.reached is not None) and run.is_quiet(1.0))
    run.send(["s2"])
    run.until(lambda: "s2" in run.senders.drained and run.is_quiet(1.0))
    run.note("second_table_s", idle_since(run.samples, run.begun) or 0.0)
    # Some daemons prefer the newer or the higher: then that one has to go.
    told_again = run.tallies[0].announced - run.order.prefixes
    best = "s2" if told_again >= run.order.prefixes else "s1"
    run.mark()
    run.begin()
    run.senders.tell("close", names=[best], abruptly=run.order.abruptly)
    run.until(lambda: run.senders.closed is not None, 0.005)
    run.begun = run.senders.closed or 0.0
    run.until(lambda: run.all_tallies(lambda t: t.renewed is not None) and run.is_quiet())
    run.note("flap_s", max(each.renewed or 0.0 for each in run.tallies))
    run.facts["killed"] = best
    run.facts["withdrawn"] = sum(each.withdrawn for each in run.tallies)
    run.end()


def measure_fib(run: Run) -> None:
    """Until the kernel has everything, and until it has nothing."""
    pid, family = run.bed.main_pid, run.order.family
    base = kernel_table.count(pid, family)
    probe = kernel_table.Probe(pid, run.blob) if family == 4 else None
    for what, wanted, name, prefix in (
        ("announce", run.order.prefixes, "fib_s", ""),
        ("withdraw", 0, "fib_withdraw_s", "withdraw_"),
    ):
        run.send(what=what)
        watch = _Watch(run, probe, base, wanted)
        run.until(watch.is_over)
        run.note(name, watch.hit)
        run.rest(run.begun, 20.0)
        run.end(prefix)
        run.rest(time.monotonic(), 5.0)
    if probe is not None:
        probe.close()


class _Watch:
    """Looks at the kernel's table: at sentinels first, then at whole counts as often as is cheap.

    Attributes:
        hit: when the count that was right began.
    """

    def __init__(self, run: Run, probe: kernel_table.Probe | None, base: int, wanted: int) -> None:
        self._run = run
        self._probe = probe
        self._base = base
        self._wanted = wanted
        self._cost = 0.02
        self._looked = 0.0
        self._seen, self._changed = -1, time.monotonic()
        self.hit = 0.0
        if probe is not None:
            probe.reset()

    def is_over(self) -> bool:
        if self._waits_for_sentinels():
            return False
        if time.monotonic() - self._looked < max(0.05, 2 * self._cost):
            return False
        before = time.monotonic()
        count = kernel_table.count(self._run.bed.main_pid, self._run.order.family) - self._base
        self._looked = time.monotonic()
        self._cost = self._looked - before
        if count >= self._wanted > 0 or count <= self._wanted == 0:
            self.hit = before
            return True
        self._must_move(count)
        return False

    def _waits_for_sentinels(self) -> bool:
        probe = self._probe
        if probe is None or not probe.left:
            return False
        before = len(probe.left)
        done = probe.look(present=self._wanted > 0)
        if len(probe.left) != before:
            self._changed = time.monotonic()
        return not done and time.monotonic() - self._changed < STUCK

    def _must_move(self, count: int) -> None:
        if count != self._seen:
            self._seen, self._changed = count, time.monotonic()
        elif time.monotonic() - self._changed > STUCK and self._run.is_idle:
            words = f"the kernel's table stays at {count} of {self._wanted} routes"
            raise DaemonError(f"{words}: {self._run.bed.log_tail()}")


@dataclass(frozen=True, slots=True)
class Mode:
    """What can be measured.

    Attributes:
        measure: does it.
        senders: how many there are if nothing is said.
        receivers: likewise.
        needs_kernel: only daemons that write kernel routes can do it.
        edits: only daemons whose filters are edited here can do it.
        can_check: what receivers hold in the end is what the first sender has sent.
    """

    measure: Callable[[Run], None]
    senders: int
    receivers: int
    needs_kernel: bool = False
    can_check: bool = False
    edits: bool = False


MODES = {
    "ingest": Mode(measure_ingest, 1, 0),
    "relay": Mode(measure_relay, 1, 1, can_check=True),
    "withdraw": Mode(measure_withdraw, 1, 1),
    "fib": Mode(measure_fib, 1, 0, needs_kernel=True),
    "manypeers": Mode(measure_relay, 20, 1),
    "fanout": Mode(measure_relay, 1, 50, can_check=True),
    "flap": Mode(measure_flap, 2, 1),
    "reload": Mode(measure_reload, 1, 1),
    "slow": Mode(measure_slow, 1, 2),
    "churn": Mode(measure_churn, 1, 1),
    "edit": Mode(measure_edit, 1, 1, edits=True),
}
