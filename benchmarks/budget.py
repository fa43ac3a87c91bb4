"""Run the benchmarks of single stops, and print what was measured beside the budget.

``python -m benchmarks.budget`` runs ``benchmarks/stops`` and reads ``budget.toml``; words after it
choose stops by name. ``--set`` writes what was measured as the new budget. A stop over its budget
is said so plainly and ends nothing: how fast a machine is says nothing about whether the code is
right. The exit status is that of the run alone. Time is the process's own, so that others on the
machine disturb little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUDGET = HERE / "budget.toml"
OVER = 1.25
"""Times the budget from which a stop is said to be over it: less is weather."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one stop takes.

    Attributes:
        name: of the stop.
        unit: of which the time is.
        nanoseconds: for one unit, in the fastest round.
    """

    name: str
    unit: str
    nanoseconds: float


def figures(report: Mapping[str, Any]) -> list[Figure]:
    """Read the report that pytest-benchmark writes."""
    return [
        Figure(
            each["name"].removeprefix("bench_"),
            each["extra_info"]["unit"],
            each["stats"]["min"] * 1e9 / each["extra_info"]["count"],
        )
        for each in report["benchmarks"]
    ]


def table(measured: Iterable[Figure], budget: Mapping[str, Any]) -> list[str]:
    """Write what was measured beside the budget, a line for each stop."""
    lines = [f"{'stop':22}{'measured':>12}{'budget':>12}{'ratio':>8}"]
    for figure in measured:
        allowed = budget.get(figure.name, {}).get("ns")
        line = f"{figure.name:22}{figure.nanoseconds:>9.0f} ns"
        if allowed is None:
            lines.append(f"{line}{'none':>12}{'':8}  per {figure.unit}")
            continue
        ratio = figure.nanoseconds / allowed
        verdict = "  OVER BUDGET" if ratio > OVER else ""
        lines.append(f"{line}{allowed:>9} ns{ratio:>8.2f}  per {figure.unit}{verdict}")
    return lines


def machine() -> dict[str, str]:
    """Say where and when this is."""
    name = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{name}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def as_toml(measured: Iterable[Figure], reference: Mapping[str, str]) -> str:
    """Write a budget file."""
    lines = [
        "# What a stop of the hot path may take: nanoseconds per unit, the fastest of five rounds,",
        "# on the machine named here. `make bench` prints what it takes now beside it.",
        "",
        "[reference]",
        *(f'{key} = "{value}"' for key, value in reference.items()),
    ]
    for figure in measured:
        lines += ["", f"[stop.{figure.name}]"]
        lines += [f"ns = {figure.nanoseconds:.0f}", f'unit = "{figure.unit}"']
    return "\n".join(lines) + "\n"


def renewed(measured: Iterable[Figure], budget: Mapping[str, Any]) -> list[Figure]:
    """Put what was measured in the place of what was, and leave the other stops."""
    figures = {name: Figure(name, each["unit"], each["ns"]) for name, each in budget.items()}
    return list((figures | {figure.name: figure for figure in measured}).values())


def run(names: Iterable[str]) -> tuple[int, list[Figure]]:
    """Run the stops, all or those of which the names speak."""
    with tempfile.TemporaryDirectory(prefix="wren-bench-") as directory:
        written = Path(directory) / "report.json"
        command = [
            sys.executable,
            *("-m", "pytest", "--quiet", "--no-header", "--timeout=600", "--color=no"),
            *("-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"),
            *("--benchmark-disable-gc", "--benchmark-timer=time.process_time"),
            f"--benchmark-json={written}",
            *("-k", " or ".join(names)),
            str(HERE / "stops"),
        ]
        done = subprocess.run(command, cwd=HERE.parent, check=False, capture_output=True, text=True)
        if done.returncode or not written.exists():
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
            return done.returncode or 1, []
        return 0, figures(json.loads(written.read_text()))


def main() -> int:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names of stops; none: all")
    parser.add_argument("--set", action="store_true", help="write the budget anew")
    options = parser.parse_args()
    held = tomllib.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    stops = held.get("stop", {})
    for name in options.names:
        # A stop without a budget can only be new, and is measured to get one.
        if stops and not options.set and not any(name in stop for stop in stops):
            parser.error(f"{name!r} is part of no stop's name; there are {', '.join(stops)}")
    status, measured = run(options.names)
    if not measured:
        return status
    if options.set:
        BUDGET.write_text(as_toml(renewed(measured, held.get("stop", {})), machine()))
        held = tomllib.loads(BUDGET.read_text())
    print("\n".join(table(measured, held.get("stop", {}))))
    reference = held.get("reference", {})
    print(f"\nnow:    {', '.join(machine().values())}")
    print(f"budget: {', '.join(reference.values()) or 'none is written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
