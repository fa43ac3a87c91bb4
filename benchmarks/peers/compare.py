"""Compare daemons: rounds over all of them, so that noise hits them alike, and a page in the end.

``python -m benchmarks.peers.compare`` makes the short comparison, with ``--full`` everything.
Results go line by line into ``docs/performance.jsonl``, from which page, plot and the README's
table are written; ``--resume`` goes on with what is there, ``--render`` measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.budget import machine
from benchmarks.peers import page
from benchmarks.peers.daemons import DAEMONS, ROOT, kind_of
from benchmarks.peers.jobs import ALL, FULL, SHORT, Job
from benchmarks.peers.measuring import ImpossibleError, measure, possible, wait_for_quiet
from benchmarks.peers.results import Result, read

RESULTS = ROOT / "docs" / "performance.jsonl"


def plan(
    jobs: Sequence[Job], daemons: Sequence[str], rounds: int, done: Sequence[Result]
) -> Iterator[tuple[Job, int, str]]:
    """Give what is still to be measured, round by round within each job."""
    there = {(result["job"], result["round"], result["daemon"]) for result in done}
    for job in jobs:
        for number in range(rounds):
            for daemon in daemons:
                if (job.name, number, daemon) not in there:
                    yield job, number, daemon


def work(options: argparse.Namespace) -> None:
    """Measure what is asked for."""
    jobs: tuple[Job, ...] = FULL if options.full else SHORT
    if options.jobs:
        jobs = tuple(ALL[name] for name in options.jobs.split(","))
    rounds = options.rounds or (3 if options.full else 1)
    if not options.resume:
        options.results.unlink(missing_ok=True)
    done = read(options.results)
    for job, number, daemon in plan(jobs, options.daemons.split(","), rounds, done):
        order = job.order(daemon, options.limit)
        try:
            possible(order)
        except ImpossibleError as error:
            if number == 0:
                print(f"{job.name}: {error}", file=sys.stderr)
            continue
        quiet = wait_for_quiet(options.wait)
        result = measure(order) | {
            "job": job.name,
            "round": number,
            "version": kind_of(daemon).version(),
            "quiet_machine": quiet,
            **machine(),
        }
        with options.results.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(_line(job, result), flush=True)


def _line(job: Job, result: Result) -> str:
    facts = [f"{fact} {result[fact]:.2f}" for fact in job.facts if result.get(fact) is not None]
    words = ", ".join(facts) if result["ok"] else str(result.get("error"))[:200]
    return f"{job.name:18} {result['daemon']:9} {words} (others {result.get('foreign_cores')})"


def main() -> int:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="everything; takes hours")
    parser.add_argument("--jobs", help=f"of {', '.join(ALL)}")
    parser.add_argument(
        "--daemons", default=",".join(("bird", *(d for d in DAEMONS if d != "bird")))
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--wait", type=float, default=20.0, help="seconds to wait for quiet")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a phase may take")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--resume", action="store_true", help="go on with the results there are")
    parser.add_argument("--render", action="store_true", help="write the page, measure nothing")
    options = parser.parse_args()
    if not options.render:
        try:
            possible(SHORT[0].order("wren", 0.0))
        except ImpossibleError as error:
            print(error, file=sys.stderr)
            return 2
        work(options)
    results = read(options.results)
    if not results:
        print("there are no results", file=sys.stderr)
        return 1
    if options.results == RESULTS:
        page.write(results, ROOT)
    else:
        print(page.long_form(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
