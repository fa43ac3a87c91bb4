"""The process's end of what joins it with a speaker: lines both ways, and nobody waits.

Whoever owns a line asks it for what came when its selector says so. What the speaker does not read
is kept here until it does, or is gone.
"""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from typing import Any

from speaker.bfd.words import MAX_LINE, decode_line

_CHUNK = 65536


class Line:
    """One connection to a speaker.

    Args:
        sock: our end of it.
        selector: that is to watch it, with the line as the key's data.
    """

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._selector = selector
        self._heard = b""
        self._unsent = bytearray()
        selector.register(sock, selectors.EVENT_READ, self)

    @property
    def is_behind(self) -> bool:
        """Whether the speaker has not read all that was said to it."""
        return bool(self._unsent)

    def hear(self) -> list[dict[str, Any]] | None:
        """Take the whole lines that have come; None if the speaker is gone, or talks nonsense."""
        try:
            chunk = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        if not chunk or len(self._heard) > MAX_LINE:
            return None
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        try:
            said = [decode_line(line) for line in lines]
        except ValueError:
            return None
        is_ours = all(isinstance(words, dict) and "word" in words for words in said)
        return said if is_ours else None

    def say(self, line: bytes) -> None:
        """Say a line, now or when the speaker reads."""
        self._unsent += line
        self.flush()

    def flush(self) -> None:
        """Say what waits, as far as the speaker reads."""
        with suppress(BlockingIOError, InterruptedError, ConnectionError):
            del self._unsent[: self._sock.send(self._unsent)]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._sock, events, self)

    def close(self) -> None:
        """Hang up."""
        self._selector.unregister(self._sock)
        self._sock.close()
