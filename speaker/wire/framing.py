"""From a TCP stream to messages (RFC 4271 §4.1, §6.1).

A `Framer` is fed chunks and gives back runs of messages of one type; what is incomplete waits for
the next chunk. Only UPDATEs come many in a run, and few enough that they can be learned before
anybody looks at the clock. A broken header ends the stream: the messages before it are still given,
the error stands in `Framer.error`, and nothing that comes later is looked at. Bodies are sliced
once, as ``bytes``, and never copied again.

Standards: RFC 4271 §4.1, §6.1; RFC 2918 (ROUTE-REFRESH); RFC 8654 (extended messages).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from fsm.errors import MessageHeaderError
from fsm.notifications import HeaderSubcode

MARKER: Final = b"\xff" * 16
HEADER_LENGTH: Final = 19
MAX_LENGTH: Final = 4096
MAX_EXTENDED_LENGTH: Final = 65535

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE: Final = 4
ROUTE_REFRESH: Final = 5

Run: TypeAlias = tuple[int, list[bytes]]
"""A message type, and the bodies of such messages that follow each other, headers cut off."""

PIECE: Final = 16384
"""Octets of UPDATEs in a run, about."""

EACH: Final = 128
"""What an UPDATE counts besides its octets: it takes some time whatever is in it."""

# Least length of each type, header included; a KEEPALIVE has exactly its own.
_MIN_LENGTH = {OPEN: 29, UPDATE: 23, NOTIFICATION: 21, KEEPALIVE: 19, ROUTE_REFRESH: 23}


def message(kind: int, body: bytes = b"") -> bytes:
    """Put a header in front of a body."""
    return MARKER + (HEADER_LENGTH + len(body)).to_bytes(2, "big") + bytes((kind,)) + body


KEEPALIVE_MESSAGE: Final = message(KEEPALIVE)


class Framer:
    """Cut one direction of one connection into messages.

    Attributes:
        error: why the stream broke; once set, `feed` gives nothing more.
        max_length: 4096, or 65535 once extended messages are negotiated (RFC 8654).
    """

    __slots__ = ("_rest", "error", "max_length")

    def __init__(self) -> None:
        self.error: MessageHeaderError | None = None
        self.max_length = MAX_LENGTH
        self._rest = b""

    @property
    def unread(self) -> bytes:
        """What no message was made of: an incomplete one, or from where the stream broke."""
        return self._rest

    # hot: per message
    def feed(self, chunk: bytes) -> list[Run]:
        """Take a chunk, give the messages that it completes."""
        if self.error is not None:
            return []
        data = self._rest + chunk if self._rest else chunk
        runs: list[Run] = []
        updates: list[bytes] = []
        at, end, marker, most = 0, len(data), MARKER, self.max_length
        # Up to where the run of UPDATEs may go on; none has begun.
        until = -1
        while end - at >= HEADER_LENGTH:
            length = data[at + 16] << 8 | data[at + 17]
            after = at + length
            if (
                data[at + 18] == UPDATE
                and 23 <= length <= most
                and data.startswith(marker, at)
                and after <= end
            ):
                if at >= until:
                    updates = []
                    runs.append((UPDATE, updates))
                    until = at + PIECE
                updates.append(data[at + HEADER_LENGTH : after])
                until -= EACH
            else:
                kind = data[at + 18]
                self.error = self._check(data, at, length, kind)
                if self.error is not None:
                    self._rest = data[at:]
                    return runs
                if after > end:
                    break
                runs.append((kind, [data[at + HEADER_LENGTH : after]]))
                until = -1
            at = after
        self._rest = data[at:] if at else data
        return runs

    def _check(self, data: bytes, at: int, length: int, kind: int) -> MessageHeaderError | None:
        """RFC 4271 §6.1, in its order: marker, length, type."""
        if not data.startswith(MARKER, at):
            return MessageHeaderError(
                HeaderSubcode.CONNECTION_NOT_SYNCHRONIZED, b"", "the marker is not all ones"
            )
        least = _MIN_LENGTH.get(kind, HEADER_LENGTH)
        # RFC 8654 §4: an OPEN and a KEEPALIVE stay within 4096 octets.
        most = MAX_LENGTH if kind in (OPEN, KEEPALIVE) else self.max_length
        if length < least or length > most or (kind == KEEPALIVE and length != least):
            return MessageHeaderError(
                HeaderSubcode.BAD_MESSAGE_LENGTH,
                data[at + 16 : at + 18],
                f"a message of type {kind} cannot be {length} octets long",
            )
        if kind not in _MIN_LENGTH:
            return MessageHeaderError(
                HeaderSubcode.BAD_MESSAGE_TYPE, bytes((kind,)), f"there is no message type {kind}"
            )
        return None
