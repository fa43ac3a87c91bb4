"""The commands' end of the control socket: ask, wait, get the answer.

Blocking on purpose: a command asks one thing and exits. What can go wrong between a command and a
daemon becomes a `ControlError` that says which socket was tried and what to do; a daemon that is
not there is the subclass `NotRunning`.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from struct import Struct
from typing import Any, Final

from speaker.control.protocol import (
    MAX_SOCKETS,
    ControlError,
    decode_line,
    encode_line,
    socket_path,
)

TIMEOUT = 15.0
"""Seconds to wait until we are let in, and for the next line of an answer."""

_TIMEVAL: Final = Struct("@ll")


class NotRunning(ControlError):  # noqa: N818 - a state of the daemon, named as such
    """No daemon answers at the socket."""


def is_running(run_dir: Path) -> bool:
    """Tell whether a daemon listens there.

    Raises:
        ControlError: that cannot be found out.
    """
    try:
        _connect(socket_path(run_dir)).close()
    except NotRunning:
        return False
    return True


def ask(run_dir: Path, command: str, /, **args: Any) -> Any:
    """Ask the daemon for one thing.

    Args:
        run_dir: the run directory of the daemon.
        command: what to ask for.
        **args: the arguments of the command.

    Returns:
        The result; for a stream the list of its items.

    Raises:
        NotRunning: nobody listens there.
        ControlError: the daemon refused, or cannot be talked with.
    """
    items = []
    for answer in _answers(run_dir, {"command": command, **args}):
        if "result" in answer:
            return answer["result"]
        items.append(answer["item"])
    return items


def stream(run_dir: Path, command: str, /, **args: Any) -> Generator[Any, None, None]:
    """Ask for many things and get them one by one; a plain result is the only item.

    Raises:
        NotRunning: nobody listens there.
        ControlError: as in `ask`, also after some items.
    """
    for answer in _answers(run_dir, {"command": command, **args}):
        yield answer["result"] if "result" in answer else answer["item"]


def ask_for_sockets(run_dir: Path, command: str, /, **args: Any) -> tuple[Any, list[socket.socket]]:
    """Ask for one thing that comes with open sockets.

    Returns:
        The result, and the sockets, which are the caller's to close.

    Raises:
        NotRunning: nobody listens there.
        ControlError: as in `ask`.
    """
    path = socket_path(run_dir)
    received: list[socket.socket] = []
    request = {"command": command, **args}
    with (
        _connect(path) as connection,
        closing(_lines(connection, request, path, received)) as lines,
    ):
        answer = next(lines, None)
    if answer is not None and "result" in answer:
        return answer["result"], received
    for each in received:
        each.close()
    raise _refused(answer) if answer is not None else _silent(path)


def _answers(run_dir: Path, request: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
    """Give the good answers to a request, up to the result or the end of the stream."""
    path = socket_path(run_dir)
    with _connect(path) as connection:
        for answer in _lines(connection, request, path):
            if not answer.get("ok"):
                raise _refused(answer)
            if "end" in answer:
                return
            yield answer
            if "result" in answer:
                return
    raise _silent(path)


def _refused(answer: dict[str, Any]) -> ControlError:
    error = str(answer.get("error", "the daemon refused"))
    return ControlError(error, str(answer.get("hint", "")))


def _silent(path: Path) -> ControlError:
    return ControlError(
        f"the daemon at {path} closed the connection without an answer", "its log says why"
    )


def _late(path: Path) -> ControlError:
    return ControlError(
        f"the daemon at {path} did not answer in time", "it may be very busy; try again"
    )


def _lines(
    connection: socket.socket,
    request: dict[str, Any],
    path: Path,
    received: list[socket.socket] | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Ask, and give what comes, line by line; sockets that come before the first are received."""
    try:
        connection.sendall(encode_line(request))
        begun = b"" if received is None else _receive(connection, received)
        with connection.makefile("rb") as lines:
            for line in lines:
                yield decode_line(begun + line)
                begun = b""
    except TimeoutError:
        raise _late(path) from None
    except ConnectionError:
        return


def _receive(connection: socket.socket, received: list[socket.socket]) -> bytes:
    """Take the sockets that come with the first octet of an answer, and give that octet."""
    begun, descriptors, *_ = socket.recv_fds(connection, 1, MAX_SOCKETS, socket.MSG_CMSG_CLOEXEC)
    received.extend(socket.socket(fileno=each) for each in descriptors)
    return begun


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Whoever does not block is refused where others wait to be let in.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(*_parts(TIMEOUT)))
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise _explained(error, path) from None
    connection.settimeout(TIMEOUT)
    return connection


def _parts(seconds: float) -> tuple[int, int]:
    """Give seconds, and microseconds."""
    return divmod(int(seconds * 1_000_000), 1_000_000)


def _explained(error: OSError, path: Path) -> ControlError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return NotRunning(
            f"no Wren daemon answers at {path}",
            "start one with 'wren run', or say with --run-dir where it was told to run",
        )
    if isinstance(error, PermissionError):
        return ControlError(
            f"not allowed to talk to the Wren daemon at {path}",
            "be root, the user that it runs as, or in the group of its --control-group",
        )
    if isinstance(error, BlockingIOError):
        return _late(path)
    return ControlError(f"cannot talk to {path}: {error.strerror or error}", "check --run-dir")
