"""What a comparison measures: a short one that takes minutes, and a full one that takes hours.

A `Job` is one kind of run, and says which of its facts go into the table, in which words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.peers.modes import MODES
from benchmarks.peers.run import Order

RELAY = {"relay_s": "passed on to one receiver", "withdraw_s": "withdrawn again"}
INGEST = {"ingest_s": "taken in, nobody to tell"}
FIB = {"fib_s": "into the kernel", "fib_withdraw_s": "out of the kernel again"}
MANY = {"last_update_s": "settled"}
FANOUT = {"relay_s": "passed on to all"}
FLAP = {"flap_s": "the preferred one dies: moved to the other"}


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of run.

    Attributes:
        name: of the job.
        mode: of the run.
        prefixes: in each table.
        facts: what is shown, by the name of the fact.
        senders: how many; 0 for as many as the mode has.
        receivers: likewise.
        family: 4 or 6.
    """

    name: str
    mode: str
    prefixes: int
    facts: Mapping[str, str]
    senders: int = 0
    receivers: int = 0
    family: int = 4

    def order(self, daemon: str, limit: float) -> Order:
        """Say what is to be measured."""
        mode = MODES[self.mode]
        return Order(
            daemon,
            self.mode,
            self.prefixes,
            self.senders or mode.senders,
            self.receivers or mode.receivers,
            self.family,
            limit=limit,
        )

    def words(self, fact: str) -> str:
        """Say what a fact is about."""
        order = self.order("", 0.0)
        what = f"{self.prefixes:,} {'IPv6 ' if self.family == 6 else ''}prefixes"
        if self.mode == "manypeers":
            what += f" from each of {order.senders} peers"
        elif self.mode == "fanout":
            what = f"{what}, {order.receivers} receivers"
        elif self.mode == "flap":
            what += " from two peers"
        return f"{what}, {self.facts[fact]}"


SHORT = (
    Job("relay", "withdraw", 100_000, RELAY),
    Job("fib", "fib", 100_000, FIB),
    Job("manypeers", "manypeers", 5_000, MANY),
    Job("fanout", "fanout", 5_000, FANOUT),
    Job("flap", "flap", 20_000, FLAP),
)
"""Under ten minutes with all daemons on a quiet machine."""

FULL = (
    Job("relay100k", "withdraw", 100_000, RELAY),
    Job("relay1m", "withdraw", 1_000_000, RELAY),
    Job("ingest1m", "ingest", 1_000_000, INGEST),
    Job("relay200k-ipv6", "withdraw", 200_000, RELAY, family=6),
    Job("fib100k", "fib", 100_000, FIB),
    Job("fib1m", "fib", 1_000_000, FIB),
    Job("manypeers20x50k", "manypeers", 50_000, MANY, senders=20),
    Job("manypeers100x5k", "manypeers", 5_000, MANY, senders=100),
    Job("fanout50x50k", "fanout", 50_000, FANOUT, receivers=50),
    Job("flap100k", "flap", 100_000, FLAP),
)
"""Everything that is promised."""

ALL = {job.name: job for job in (*SHORT, *FULL)}
