"""How many prefixes a peer may tell us, per family, and what happens beyond.

The text of the key ``wren.bgp/maxPrefixes`` becomes `PrefixLimit` values. Each entry names a family
(none: all of them), the number, a share of it from which a warning is given, and what happens
beyond it:

    ipv4 10000 80% restart 300, ipv6 500 drop

`speaker.limits` holds a session to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fsm.family import NAMES, Family, parse_family
from speaker.config.scalars import ScalarError

_ENTRY = re.compile(
    r"(?:(?P<family>[a-z][a-z0-9/_-]*)\s+)?(?P<maximum>[0-9]+)(?:\s+(?P<share>[0-9]+)%)?"
    r"(?:\s+(?P<action>drop|down|restart)(?:\s+(?P<seconds>[0-9]+))?)?\Z"
)
_LARGEST, _LONGEST = 0xFFFF_FFFF, 65535


class LimitAction(StrEnum):
    """What happens beyond a limit."""

    DROP = "drop"
    """What comes beyond is not kept."""
    RESTART = "restart"
    """The session is closed, and opened again after a while."""
    DOWN = "down"
    """The session is closed, and stays so until somebody starts it or changes the limit."""


@dataclass(frozen=True, slots=True)
class PrefixLimit:
    """The limit of one family.

    Attributes:
        maximum: prefixes that may be received.
        share: percentage of it from which a warning is given; 0 for none.
        restart: seconds that the session stays closed, for RESTART.
    """

    maximum: int
    share: int = 0
    action: LimitAction = LimitAction.DOWN
    restart: int = 0

    def is_near(self, count: int) -> bool:
        """Tell whether so many prefixes are worth a warning."""
        return bool(self.share) and count * 100 >= self.maximum * self.share


Limits: TypeAlias = tuple[tuple[Family, PrefixLimit], ...]


def parse_limits(text: str) -> Limits:
    """Read the value of the key.

    Raises:
        ScalarError: it makes no sense.
    """
    found: dict[Family, PrefixLimit] = {}
    for part in text.lower().split(","):
        entry = _ENTRY.match(part.strip())
        if entry is None:
            form = "[FAMILY] NUMBER [SHARE%] [drop|restart SECONDS|down]"
            raise ScalarError("value", f"{part.strip()!r} is not {form}")
        for family in _families(entry["family"]):
            if family in found:
                raise ScalarError("value", f"{text!r}: there are two limits for {family}")
            found[family] = _limit(entry)
    return tuple(sorted(found.items()))


def _families(word: str | None) -> Iterable[Family]:
    try:
        return NAMES.values() if word is None else (parse_family(word),)
    except ValueError as error:
        raise ScalarError("value", str(error)) from None


def _limit(entry: re.Match[str]) -> PrefixLimit:
    maximum, share = int(entry["maximum"]), int(entry["share"] or 0)
    action = LimitAction(entry["action"] or LimitAction.DOWN)
    restart = int(entry["seconds"] or 0)
    if not 0 < maximum <= _LARGEST:
        raise ScalarError("value", f"{maximum} is no number of prefixes (1–{_LARGEST})")
    if entry["share"] and not 0 < share <= 100:
        raise ScalarError("value", f"{share}% is no share (1–100%)")
    if (action is LimitAction.RESTART) != (0 < restart <= _LONGEST):
        raise ScalarError("value", "restart, and nothing else, takes 1–65535 seconds")
    return PrefixLimit(maximum, share, action, restart)
