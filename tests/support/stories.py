"""What `speaker.why` says about routers of a town, with peers called by short names.

A `Line` is a reason, the route and perhaps the peer that it is asked about, and words that must
stand in the answer. The peer at `tests.support.routers.home` 11 is called ``p11``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from speaker.inquiry.answer import Why
from speaker.inquiry.inquiry import why
from speaker.speaker import Speaker
from tests.support.routers import peer_at


class Line(NamedTuple):
    """Something that an answer says.

    Attributes:
        reason: that plays a part in it.
        prefix: that is asked about.
        words: that stand in the answer.
        peer: to which it is narrowed, by the number of its home.
    """

    reason: StrEnum
    prefix: str
    words: str
    peer: int | None = None


def ask(router: Speaker, prefix: str, peer: int | None = None) -> Why:
    """Ask why, perhaps about one peer alone."""
    return why(router, prefix, None if peer is None else peer_at(router, peer).name)


def tell(found: Why) -> str:
    """Give an answer in words, with short names for peers."""
    return re.sub(r"Node_127_0_0_(\d+)_port_\d+", r"p\1", str(found))


def check(router: Speaker, lines: Iterable[Line]) -> None:
    """See that each line is true."""
    for line in lines:
        found = ask(router, line.prefix, line.peer)
        text = tell(found)
        assert line.words in text, f"{line}\n{text}"
        assert any(each is line.reason for each in found.reasons()), f"{line}\n{text}"
