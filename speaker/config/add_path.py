"""Several paths to a prefix: which way they may travel, and how many we send (RFC 7911).

The text of the key ``wren.bgp/addPath`` becomes an `AddPath`: a direction, and where we send a
number of best paths if it is not all of them, as in ``both 4``. The direction is offered in the
OPEN, and what holds is what both ends can; the number concerns nobody but us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from speaker.config.scalars import ScalarError


class AddPathMode(StrEnum):
    """Which way several paths per prefix may travel (RFC 7911 §4)."""

    OFF = "off"
    SEND = "send"
    RECEIVE = "receive"
    BOTH = "both"

    @property
    def receives(self) -> bool:
        """Whether the peer may tell several paths."""
        return self in (AddPathMode.RECEIVE, AddPathMode.BOTH)

    @property
    def sends(self) -> bool:
        """Whether we may."""
        return self in (AddPathMode.SEND, AddPathMode.BOTH)


@dataclass(frozen=True, slots=True)
class AddPath:
    """What the key says.

    Attributes:
        mode: which way they may travel.
        best: so many paths are sent for a prefix, best first; None sends all.
    """

    mode: AddPathMode = AddPathMode.OFF
    best: int | None = None

    def __str__(self) -> str:
        return self.mode.value if self.best is None else f"{self.mode.value} {self.best}"


_TEXT = re.compile(r"(?P<mode>[a-z]+)(?:\s+(?P<best>[0-9]+))?\Z")
_SWITCHES = {"on": AddPathMode.BOTH, "true": AddPathMode.BOTH, "false": AddPathMode.OFF}
_MOST = 65535


def parse_add_path(text: str) -> AddPath:
    """Read the text of the key.

    Raises:
        ScalarError: it says nothing that could be done.
    """
    found = _TEXT.match(text.strip().lower())
    modes = {mode.value: mode for mode in AddPathMode} | _SWITCHES
    mode = None if found is None else modes.get(found["mode"])
    if found is None or mode is None:
        known = ", ".join(AddPathMode)
        raise ScalarError("value", f"{text!r} is none of {known}")
    if found["best"] is None:
        return AddPath(mode)
    best = int(found["best"])
    if not 1 <= best <= _MOST or not mode.sends:
        words = f"{text!r}: a number, 1–{_MOST}, says how many paths are sent (send 2, both 4)"
        raise ScalarError("value", words)
    return AddPath(mode, best)
