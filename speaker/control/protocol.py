"""The lines of the control socket: what a request and an answer look like.

A request is one JSON object on one line, ``{"command": "status", …arguments}``. An answer is one of

- ``{"ok": true, "result": …}``,
- any number of ``{"ok": true, "item": …}`` and then ``{"ok": true, "end": true}``: a stream,
- ``{"ok": false, "error": "…", "hint": "…"}``, which also ends a stream that broke off.

A connection may carry several requests, one after the other. Everything is UTF-8; a line ends with
LF and holds none. The socket is ``wren.sock`` in the daemon's run directory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speaker.errors import HintedError

SOCKET_NAME = "wren.sock"

MAX_REQUEST = 64 * 1024
"""Bytes of the longest request; a longer one is refused and its connection closed."""


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
