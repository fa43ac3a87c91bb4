"""BFD by hardware of one's own, or by a fake in tests, in place of Wren's process.

`Hardware` is what `speaker.Speaker(plan, bfd=Hardware)` takes: it is told whom to watch, and tells
what it sees. Put the words of your chip, or of another daemon, where the comments are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import speaker


class Hardware:
    """Watches peers.

    Args:
        tell: called on the event loop with each change; a chip's own thread goes through
            ``loop.call_soon_threadsafe``.
    """

    def __init__(self, tell: Callable[[speaker.BfdVerdict], None]) -> None:
        self._tell = tell
        self._watches: dict[str, speaker.BfdWatch] = {}
        self._states: dict[str, str] = {}

    @property
    def names(self) -> set[str]:
        """All that are watched; the router compares them with whom it wants."""
        return set(self._watches)

    def watch(self, watch: speaker.BfdWatch) -> None:
        """Watch a peer, or go on under other settings: program the chip here."""
        self._watches[watch.name] = watch
        self._states.setdefault(watch.name, "Down")

    def unwatch(self, name: str) -> None:
        """Watch a peer no more; a chip would send AdminDown for a while."""
        self._watches.pop(name, None)
        self._states.pop(name, None)

    def lacks(self, name: str) -> str:
        """Say why a peer cannot be watched; `wren peer` shows it for one that waits for BFD."""
        return ""

    async def show(self) -> dict[str, Any]:
        """Say what `wren bfd` shows; more fields stand in `docs/commands.md`."""
        sessions = [{"name": name, "state": state} for name, state in self._states.items()]
        return {"sessions": sessions, "process": None, "witness": "the switch chip"}

    async def leave(self) -> None:
        """A restart of Wren: go on watching until the next run, if the chip can."""
        await self.close()

    async def close(self) -> None:
        """Watch nobody any more."""
        self._watches.clear()

    def sees(self, name: str, *, is_up: bool, on_purpose: bool = False) -> None:
        """The chip says that packets pass, or no longer.

        Args:
            name: of the session, which is the peer's address.
            is_up: both ends are Up.
            on_purpose: the peer has said AdminDown: no session ends for that.
        """
        was_up, self._states[name] = self._states[name] == "Up", "Up" if is_up else "Down"
        if is_up is not was_up:
            failed = was_up and not on_purpose
            self._tell(speaker.BfdVerdict(name, is_up, failed, diagnostic=int(failed)))
