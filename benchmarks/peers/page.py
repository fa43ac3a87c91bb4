"""The page that shows a comparison, and the short table of the README.

Both files are written by people; the figures stand between two marks, and are replaced by what was
measured. Nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.plot import draw
from benchmarks.peers.results import TITLES, Cell, Result, Row, daemons, doubts, rows

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
SHORT_ROWS = ("one receiver", "into the kernel", "settled", "passed on to all", "moved")


def show(cell: Cell | None, unit: str) -> str:
    """Write one cell: the value, and how it compares with BIRD."""
    if cell is None:
        return "–"
    value = f"{cell.value:.0f}" if cell.value >= 100 or unit == "MB" else f"{cell.value:.2f}"
    ratio = "" if cell.ratio is None else f" ({cell.ratio:.2f} ×)"
    return f"{value} {unit}{ratio}"


def table(found: Sequence[Row], names: Sequence[str], titles: Sequence[str]) -> list[str]:
    """Write a table, a row for each fact and a column for each daemon."""
    lines = ["| | " + " | ".join(titles) + " |", "|:--|" + "--:|" * len(names)]
    for row in found:
        cells = [show(row.cells.get(name), row.unit) for name in names]
        lines.append(f"| {row.words} | " + " | ".join(cells) + " |")
    return lines


def _titles(results: Sequence[Result], names: Sequence[str]) -> list[str]:
    versions = {result["daemon"]: result["version"] for result in results}
    return [f"{TITLES[name]} {versions[name]}".strip() for name in names]


def _where(results: Sequence[Result]) -> str:
    last = results[-1]
    rounds = 1 + max(result["round"] for result in results)
    often = "one run each" if rounds == 1 else f"medians of up to {rounds} runs"
    return (
        f"Measured on {last['date']}: {last['machine']}, {last['system']}, {last['python']};"
        f" {often}; in brackets, times BIRD in the same round."
    )


def long_form(results: Sequence[Result]) -> str:
    """Write what stands in the page."""
    names = daemons(results)
    lines = [_where(results), "", "![times BIRD](performance.svg)", ""]
    lines += table(rows(results), names, _titles(results, names))
    said = doubts(results)
    if said:
        lines += ["", *(f"- {each}" for each in said)]
    return "\n".join(lines)


def short_form(results: Sequence[Result]) -> str:
    """Write what stands in the README."""
    names = daemons(results)
    chosen = [row for row in rows(results) if any(part in row.words for part in SHORT_ROWS)]
    return "\n".join([*table(chosen, names, _titles(results, names)), "", _where(results)])


def replaced(text: str, figures: str) -> str:
    """Put figures between the marks of a text.

    Raises:
        ValueError: a mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} or {END} is missing")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def write(results: Sequence[Result], root: Path) -> None:
    """Write page, plot and README."""
    (root / "docs" / "performance.svg").write_text(draw(rows(results), daemons(results)))
    for path, figures in (
        (root / "docs" / "performance.md", long_form(results)),
        (root / "README.md", short_form(results)),
    ):
        path.write_text(replaced(path.read_text(), figures))
