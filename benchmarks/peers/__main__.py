"""Measure one daemon in one mode, and print the result as a line of JSON.

::

    python -m benchmarks.peers --daemon bird --mode relay --prefixes 1000000 --check
    python -m benchmarks.peers --daemon 'python3 speaker.py {config}' --mode flap
    python -m benchmarks.peers --mode relay --prefixes 500000 --filters prefixes

With ``--filters`` every session has filters on the way in and on the way out, which look at every
route and let all of them pass: ``attributes`` is a chain of three whose rules ask for communities
and AS paths, ``prefixes`` one of 200 rules that ask for the prefix.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from benchmarks.dut import FILTERS
from benchmarks.peers.measuring import ImpossibleError, measure, possible, wait_for_quiet
from benchmarks.peers.modes import MODES
from benchmarks.peers.run import Order


def read_order(arguments: list[str]) -> tuple[Order, float, int]:
    """Read the command line: what to measure, how long to wait for quiet, and how often."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--daemon", default="wren", help="a known name, or a command line")
    parser.add_argument("--mode", required=True, choices=list(MODES))
    parser.add_argument("--prefixes", type=int, default=100_000)
    parser.add_argument("--senders", type=int)
    parser.add_argument("--receivers", type=int)
    parser.add_argument("--family", type=int, default=4, choices=(4, 6))
    parser.add_argument("--hold", type=int, default=90, help="hold time that the ends offer")
    parser.add_argument("--check", action="store_true", help="compare received with sent")
    parser.add_argument("--abruptly", action="store_true", help="flap: die with RST")
    parser.add_argument("--asks", action="store_true", help="ask for its state all the time")
    parser.add_argument("--rate", type=int, default=10_000, help="churn: updates a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="churn: how long it lasts")
    parser.add_argument("--filters", default="none", choices=list(FILTERS), help="of all sessions")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a phase may take")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for quiet")
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args(arguments)
    mode = MODES[given.mode]
    order = Order(
        daemon=given.daemon,
        mode=given.mode,
        prefixes=given.prefixes,
        senders=mode.senders if given.senders is None else given.senders,
        receivers=mode.receivers if given.receivers is None else given.receivers,
        family=given.family,
        hold=given.hold,
        checks=given.check,
        limit=given.limit,
        abruptly=given.abruptly,
        asks=given.asks,
        rate=given.rate,
        seconds=given.seconds,
        filters=given.filters,
    )
    return order, given.wait, given.runs


def main() -> int:
    """Measure, and print."""
    order, wait, runs = read_order(sys.argv[1:])
    # What is being undone at the end must be undone then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        possible(order)
    except ImpossibleError as error:
        print(error, file=sys.stderr)
        return 2
    good = True
    for _ in range(runs):
        quiet = wait_for_quiet(wait) if wait else None
        result = measure(order) | {"quiet_machine": quiet}
        print(json.dumps(result), flush=True)
        good = good and result["ok"] is True
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
