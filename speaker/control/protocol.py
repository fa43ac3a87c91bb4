"""The lines of the control socket: what a request and an answer look like.

A request is one JSON object on one line, ``{"command": "status", …arguments}``. An answer is one of

- ``{"ok": true, "result": …}``,
- any number of ``{"ok": true, "item": …}`` and then ``{"ok": true, "end": true}``: a stream,
- ``{"ok": false, "error": "…", "hint": "…"}``, which also ends a stream that broke off.

A result may have open sockets beside it (SCM_RIGHTS), in the order in which it names them.

A connection may carry several requests, one after the other. Everything is UTF-8; a line ends with
LF and holds none. The socket is ``wren.sock`` in the daemon's run directory.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speaker.errors import HintedError

SOCKET_NAME = "wren.sock"

MAX_REQUEST = 1024 * 1024
"""Bytes of the longest request; a longer one is refused and its connection closed."""


MAX_SOCKETS = 200
"""Sockets that one answer may carry; the kernel passes 253 at once."""


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer with open sockets, which are closed here once they have been passed.

    Attributes:
        result: what the answer says.
        sockets: go with it.
    """

    result: Any
    sockets: tuple[socket.socket, ...]

    def close(self) -> None:
        """Let go of the sockets."""
        for each in self.sockets:
            each.close()


class ControlError(HintedError):
    """A request that cannot be answered, in words for the person who made it."""


def socket_path(run_dir: Path) -> Path:
    """Give the socket of the daemon with this run directory."""
    return run_dir / SOCKET_NAME


def encode_line(value: dict[str, Any]) -> bytes:
    """Make one line of an object."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """Read the object of one line.

    Raises:
        ControlError: the line is no JSON, or something else than an object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"not JSON: {error}", "send one JSON object a line") from None
    if not isinstance(value, dict):
        raise ControlError("not a JSON object", 'send one object a line, {"command": "status"}')
    return value
