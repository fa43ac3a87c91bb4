"""The manual's tables, made from the code that they describe.

`python docs/tables.py` writes them; a test sees to it that they are current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speaker.config.annotations import KEYS
from speaker.config.changes import ON_CHANGE
from speaker.config.peerplan import OnChange

HERE = Path(__file__).parent

_COST = {
    OnChange.RESET: "the session is reset (Cease/Other Configuration Change)",
    OnChange.REGROUP: "the peer hears what differs; no reset",
    OnChange.REFILTER_IN: "what the peer told us is judged anew; no reset",
    OnChange.REFILTER_OUT: "what the peer is told is judged anew; no reset",
    OnChange.NEXT_SESSION: "nothing now; the next session has it",
}


def keys() -> Iterator[str]:
    """Make the table of Wren's own keys."""
    yield "# Wren's own keys"
    yield ""
    yield "What Calico's fields cannot say stands in `spec.extensions` of a BGPPeer, or in the"
    yield "`metadata.annotations` of the resource. Values are text. An unknown `wren.bgp/…` key is"
    yield "refused; other keys are left alone. This file is made by `python docs/tables.py`."
    yield ""
    yield "| key | on | values | what it does |"
    yield "|---|---|---|---|"
    for key in KEYS:
        values = key.values.replace("|", "\\|")
        yield f"| `{key.full_name}` | {key.kind.value} | {values} | {key.sentence} |"


def changes() -> Iterator[str]:
    """Make the table of what each change of a peer costs."""
    yield "# What a change costs"
    yield ""
    yield "Every setting of a peer declares what a change of it does to the running session;"
    yield "`wren plan` tells it for an edit before it is made. This file is made by"
    yield "`python docs/tables.py`."
    yield ""
    yield "| setting | what happens |"
    yield "|---|---|"
    for name, cost in ON_CHANGE.items():
        words = [text for flag, text in _COST.items() if cost & flag]
        yield f"| {name.replace('_', ' ')} | {'; '.join(words) or 'nothing'} |"


PAGES = {"keys.md": keys, "changes.md": changes}


def render(name: str) -> str:
    """Make one page."""
    return "\n".join(PAGES[name]()) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        (HERE / page).write_text(render(page), encoding="utf-8")
