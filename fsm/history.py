"""What happened to a session lately, enough to replay it.

`History` keeps the last entries, each an event with its time and what it led to. What goes on while
a session is up (KEEPALIVEs either way, UPDATEs, refreshes) is most of what happens, and says
nothing of how it came up or went down: behind the last entry of another kind, only the last of each
is kept.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from fsm.effects import Effect, Send, StateChanged
from fsm.events import (
    Event,
    KeepAliveMsg,
    RouteRefreshMsg,
    SendEvent,
    Side,
    Tick,
    UpdateMsg,
)
from fsm.messages import Keepalive

HISTORY_LENGTH = 64


class HistoryEntry(NamedTuple):
    """What happened once, and what it led to; ``str`` of it says that to people."""

    now: float
    event: Event
    effects: tuple[Effect, ...]

    @property
    def is_routine(self) -> bool:
        """Whether it is what goes on while a session is up."""
        match self.event:
            case UpdateMsg() | KeepAliveMsg() | RouteRefreshMsg():
                return not self.effects
            case Tick():
                return all(isinstance(e, Send) and e.message == Keepalive() for e in self.effects)
            case _:
                return False

    def __str__(self) -> str:
        effects = "; ".join(map(_effect_words, self.effects)) or "nothing to do"
        return f"{_event_words(self.event)}: {effects}"


def _event_words(event: Event) -> str:
    side = getattr(event, "side", None)
    words = type(event).__name__
    for name in ("text", "message", "error"):
        value = getattr(event, name, None)
        if value:
            words += f" ({value})"
    return f"{words} on the {side.value} connection" if isinstance(side, Side) else words


def _effect_words(effect: Effect) -> str:
    for name in ("message", "reason"):
        value = getattr(effect, name, None)
        if value is not None:
            return f"{type(effect).__name__} {value}"
    if isinstance(effect, StateChanged):
        return f"{effect.old} → {effect.new}"
    return type(effect).__name__


class History(deque[HistoryEntry]):
    """The last entries, the oldest first."""

    def __init__(self) -> None:
        super().__init__(maxlen=HISTORY_LENGTH)

    def note(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Keep an event; what is routine takes the place of its like."""
        if isinstance(event, Tick | SendEvent) and not effects:
            return
        entry = HistoryEntry(now, event, tuple(effects))
        if entry.is_routine:
            self._forget_the_like(entry)
        self.append(entry)

    def _forget_the_like(self, entry: HistoryEntry) -> None:
        for at in range(len(self) - 1, -1, -1):
            if not self[at].is_routine:
                return
            if self[at][1:] == entry[1:]:
                del self[at]
                return
