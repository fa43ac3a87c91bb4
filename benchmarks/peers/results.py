"""Results of many runs, and what they come to: medians, and ratios to BIRD in the same round."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.peers.jobs import ALL, Job

Result: TypeAlias = Mapping[str, Any]
REFERENCE = "bird"
TITLES = {
    "wren": "Wren",
    "bird": "BIRD",
    "frr": "FRR",
    "openbgpd": "OpenBGPD",
    "gobgp": "GoBGP",
}
SUSPECT = 0.3
"""Processors that others may have used meanwhile; more, and a run says little."""


def read(path: Path) -> list[Result]:
    """Read results, one a line."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True, slots=True)
class Cell:
    """One daemon in one row.

    Attributes:
        value: median.
        ratio: to BIRD, the median of the rounds; None where BIRD has none.
    """

    value: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of one job.

    Attributes:
        words: what it is.
        unit: of the values.
        cells: by daemon; those that could not do it have none.
    """

    words: str
    unit: str
    cells: Mapping[str, Cell]


def rows(results: Sequence[Result]) -> list[Row]:
    """Sum results up."""
    good = [result for result in results if result["ok"]]
    found: list[Row] = []
    for name in dict.fromkeys(result["job"] for result in results):
        job = ALL[name]
        mine = [result for result in good if result["job"] == name]
        found += [_row(job.words(fact), "s", fact, mine) for fact in job.facts]
        if job.mode == "withdraw":
            found.append(_row(_memory(job), "MB", "rss_mb", mine))
    return [row for row in found if row.cells]


def _memory(job: Job) -> str:
    family = "IPv6 " if job.family == 6 else ""
    return f"{job.prefixes:,} {family}prefixes, memory at the most"


def _row(words: str, unit: str, fact: str, results: Iterable[Result]) -> Row:
    values: dict[str, dict[int, float]] = {}
    for result in results:
        if result.get(fact) is not None:
            values.setdefault(result["daemon"], {})[result["round"]] = result[fact]
    reference = values.get(REFERENCE, {})
    cells = {}
    for daemon, by_round in values.items():
        ratios = [v / reference[n] for n, v in by_round.items() if reference.get(n)]
        cells[daemon] = Cell(
            statistics.median(by_round.values()), statistics.median(ratios) if ratios else None
        )
    return Row(words, unit, cells)


def daemons(results: Iterable[Result]) -> list[str]:
    """Give the daemons that were measured, Wren first and BIRD next to it."""
    measured = {result["daemon"] for result in results}
    return [name for name in TITLES if name in measured]


def doubts(results: Sequence[Result]) -> list[str]:
    """Say what makes results doubtful."""
    said = []
    disturbed = [result for result in results if result.get("foreign_cores", 0) > SUSPECT]
    if disturbed:
        most = max(result["foreign_cores"] for result in disturbed)
        said.append(
            f"In {len(disturbed)} of {len(results)} runs others used the machine meanwhile,"
            f" up to {most:.1f} processors: these figures are too high."
        )
    for result in results:
        who = f"{TITLES.get(result['daemon'], result['daemon'])}, {result['job']}"
        if not result["ok"]:
            reason = str(result.get("error", "it went wrong")).partition("\n")[0][:120]
            said.append(f"{who}: {reason}.")
        elif result["drops"]:
            said.append(f"{who}: {result['drops']} sessions were lost.")
    return list(dict.fromkeys(said))
