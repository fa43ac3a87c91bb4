"""What happened to a session lately, enough to replay it.

`History` keeps the last entries, each an event with its time and what it led to. Keepalives and
updates that led to nothing are most of what happens, and take one place together.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from fsm.effects import Effect, StateChanged
from fsm.events import Event, KeepAliveMsg, SendEvent, Side, Tick, UpdateMsg

HISTORY_LENGTH = 64


class HistoryEntry(NamedTuple):
    """What happened once, and what it led to; ``str`` of it says that to people."""

    now: float
    event: Event
    effects: tuple[Effect, ...]

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
        """Keep an event; a run of alike events that led to nothing takes one place."""
        if isinstance(event, Tick | SendEvent) and not effects:
            return
        entry = HistoryEntry(now, event, tuple(effects))
        if self and not effects and isinstance(event, UpdateMsg | KeepAliveMsg):
            last = self[-1]
            if last.event == event and not last.effects:
                self[-1] = entry
                return
        self.append(entry)
