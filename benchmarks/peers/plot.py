"""A picture of a comparison: a line for each row, a dot for each daemon, how many times BIRD.

The scale is logarithmic, since daemons differ by two orders of magnitude. Plain SVG, by hand: the
picture needs no library to be made and none to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.peers.results import REFERENCE, TITLES, Row

COLOURS = {
    "wren": "#d1495b",
    "bird": "#30638e",
    "frr": "#edae49",
    "openbgpd": "#66a182",
    "gobgp": "#7d7d7d",
}
_TEXT, _WIDTH, _RIGHT = 490, 1000, 30
_TOP, _STEP = 56, 26


def _steps(found: Sequence[Row]) -> tuple[int, int]:
    """Give the powers of two between which all ratios lie."""
    logs = [
        math.log2(cell.ratio) for row in found for cell in row.cells.values() if cell.ratio
    ] or [0.0]
    return min(-1, math.floor(min(logs))), max(1, math.ceil(max(logs)))


def draw(found: Sequence[Row], names: Sequence[str]) -> str:
    """Draw rows as SVG."""
    found = [row for row in found if REFERENCE in row.cells]
    low, high = _steps(found)
    height = _TOP + _STEP * len(found) + 34

    def across(ratio: float) -> float:
        share = (math.log2(ratio) - low) / (high - low)
        return _TEXT + share * (_WIDTH - _TEXT - _RIGHT)

    box = f'viewBox="0 0 {_WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        *_legend(names),
    ]
    bottom = _TOP + _STEP * len(found)
    for power in range(low, high + 1):
        at, colour = across(2.0**power), "#30638e" if power == 0 else "#dddddd"
        lines.append(f'<path d="M{at:.1f} {_TOP - 8}V{bottom}" stroke="{colour}"/>')
        words = f"{2**power} ×" if power >= 0 else f"1/{2**-power} ×"
        lines.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#333333">'
            f"{words}</text>"
        )
    for place, row in enumerate(found):
        middle = _TOP + _STEP * place + 8
        lines.append(
            f'<text x="{_TEXT - 14}" y="{middle + 4}" text-anchor="end" fill="#111111">'
            f"{escape(row.words)}</text>"
        )
        for name in reversed(names):
            cell = row.cells.get(name)
            if cell is not None and cell.ratio:
                lines.append(
                    f'<circle cx="{across(cell.ratio):.1f}" cy="{middle}" r="6"'
                    f' fill="{COLOURS[name]}"><title>{TITLES[name]}: {cell.ratio:.2f} ×</title>'
                    "</circle>"
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    lines = []
    for place, name in enumerate(names):
        at = _TEXT + 95 * place
        lines.append(f'<circle cx="{at}" cy="20" r="6" fill="{COLOURS[name]}"/>')
        lines.append(f'<text x="{at + 11}" y="24" fill="#111111">{TITLES[name]}</text>')
    return lines
