"""The daemon's end of the control socket.

`ControlServer` listens, reads requests line by line, calls the handler of each command on the event
loop and writes what the handler gives: a value, an awaitable of one, or an iterator, plain or
asynchronous, whose items become a stream. A `ControlError` that a handler raises is the answer too.

Nobody at the other end may hurt the loop. Requests are bounded in size, connections in number and
idleness, and a client that does not read is dropped after a while; between two items of a stream
everybody else has a turn. A handler itself runs on the loop, so a long answer is better a stream of
chunks. Who may ask for what is for `speaker.control.access` to say; those who may only look have a
part of the connections, so that they keep nobody else out. For whom there is no room is told so;
where many are being told, the next ones are just closed, so that a crowd takes no descriptors. An
exception that is no `ControlError` is a bug: the loop's exception handler hears of it and that one
connection is closed.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import socket
import stat
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
)
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Self, TypeAlias

from speaker import log
from speaker.control.access import RESTRICTED, Access, Caller
from speaker.control.protocol import MAX_REQUEST, ControlError, Passed, decode_line, encode_line

Handler: TypeAlias = Callable[[dict[str, Any]], Any | Awaitable[Any]]
"""Takes the arguments of a request, without its command, and gives the result."""

MAX_CLIENTS = 32
MAX_GUESTS = 16
"""Connections of those who may only look, at most."""
MAX_TURNED_AWAY = 16
"""Connections that are being told that there is no room, at most."""
IDLE_TIMEOUT = 60.0
"""Seconds a connection may wait for its next request."""
TURNED_AWAY = 0.5
"""Seconds in which somebody for whom there is no room has to make the request that is refused."""
SEND_TIMEOUT = 10.0
"""Seconds a client may take to read a line."""


class ControlServer:
    """Listens at a Unix socket and answers requests.

    Args:
        path: of the socket; its directory is made.
        handlers: by command.
        looks: the commands that change nothing: all that those may ask for who may only look.
        access: who may do what.
        idle_timeout: seconds a connection may wait for its next request.
        send_timeout: seconds a client may take to read one line.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        looks: Collection[str] = (),
        access: Access = RESTRICTED,
        idle_timeout: float = IDLE_TIMEOUT,
        send_timeout: float = SEND_TIMEOUT,
    ) -> None:
        self.path = path
        self._handlers = handlers
        self._looks = frozenset(looks)
        self._access = access
        self._idle_timeout = idle_timeout
        self._send_timeout = send_timeout
        self._members: set[asyncio.Task[None]] = set()
        self._guests: set[asyncio.Task[None]] = set()
        self._turned_away: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ControlError: another daemon listens there, or the place cannot be written.
        """
        listening = _listen(self.path, self._access)
        self._inode = _inode(self.path)
        self._server = await asyncio.start_unix_server(
            self._connected, sock=listening, limit=MAX_REQUEST
        )

    async def close(self) -> None:
        """Stop listening, drop all clients and remove the socket, if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        clients = self._members | self._guests | self._turned_away
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        if _inode(self.path) == self._inode:
            self.path.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            caller = _caller(writer)
        except OSError:
            # No descriptor is left to ask by.
            writer.transport.abort()
            return
        place = self._place_for(caller)
        if len(place) >= MAX_TURNED_AWAY and place is self._turned_away:
            writer.transport.abort()
            return
        has_room = place is not self._turned_away
        serving = self._serve(reader, writer, caller if has_room else None)
        client = asyncio.get_running_loop().create_task(serving)
        place.add(client)
        client.add_done_callback(self._gone)

    def _place_for(self, caller: Caller) -> set[asyncio.Task[None]]:
        """Tell among whom somebody belongs who has connected."""
        if len(self._members) + len(self._guests) >= MAX_CLIENTS:
            return self._turned_away
        if self._access.may_change(caller):
            return self._members
        return self._guests if len(self._guests) < MAX_GUESTS else self._turned_away

    def _gone(self, client: asyncio.Task[None]) -> None:
        for place in (self._members, self._guests, self._turned_away):
            place.discard(client)
        if not client.cancelled() and (error := client.exception()) is not None:
            context = {"message": "a control request failed", "exception": error, "task": client}
            client.get_loop().call_exception_handler(context)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller | None
    ) -> None:
        """Answer somebody; for nobody in particular there is no room."""
        # drain() shall mean that the client has read everything, so that nothing lingers in a
        # buffer after close().
        writer.transport.set_write_buffer_limits(high=0)
        try:
            if caller is None:
                await self._turn_away(reader, writer)
                return
            while await self._serve_request(reader, writer, caller):
                pass
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer once that there are too many."""
        # Unread, the request would have the answer thrown away at the close.
        with suppress(TimeoutError, ValueError):
            async with asyncio.timeout(TURNED_AWAY):
                await reader.readline()
        await self._send(writer, _refusal(ControlError("too many clients", "try again")))

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller
    ) -> bool:
        """Answer the next request; tell whether there may be another one."""
        try:
            async with asyncio.timeout(self._idle_timeout):
                line = await reader.readline()
        except ValueError:
            too_long = ControlError(f"a request is longer than {MAX_REQUEST} bytes")
            await self._send(writer, _refusal(too_long))
            return False
        if line.strip():
            await self._answer(line, writer, caller)
        return bool(line)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, caller: Caller) -> None:
        try:
            request = decode_line(line)
            command = request.pop("command", None)
            handler = self._handler(command)
            self._permit(command, caller)
            result = handler(request)
            if inspect.isawaitable(result):
                result = await result
            if isinstance(result, Passed):
                _pass(writer, result)
                return
            if not isinstance(result, Iterator | AsyncIterator):
                await self._send(writer, {"ok": True, "result": result})
                return
            async with aclosing(_items(result)) as items:
                async for item in items:
                    await self._send(writer, {"ok": True, "item": item})
            await self._send(writer, {"ok": True, "end": True})
        except ControlError as error:
            await self._send(writer, _refusal(error))

    def _permit(self, command: str, caller: Caller) -> None:
        """Let somebody give a command; whatever is no look is told to the log.

        Raises:
            ControlError: he may not.
        """
        is_look = command in self._looks
        if self._access.may_change(caller):
            if not is_look:
                log.ordered(command, str(caller), caller.pid)
        elif not (is_look and self._access.everybody_looks):
            raise self._access.refusal(caller, command)

    def _handler(self, command: object) -> Handler:
        handler = self._handlers.get(command) if isinstance(command, str) else None
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise ControlError(f"no such command: {command!r}", f"there are {known}")
        return handler

    async def _send(self, writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
        writer.write(encode_line(answer))
        async with asyncio.timeout(self._send_timeout):
            await writer.drain()


async def _items(items: Iterator[Any] | AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """Go through either kind of iterator, with a turn for everybody else after each item."""
    if isinstance(items, Iterator):
        for item in items:
            yield item
            await asyncio.sleep(0)
        return
    try:
        async for item in items:
            yield item
            await asyncio.sleep(0)
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


def _pass(writer: asyncio.StreamWriter, answer: Passed) -> None:
    """Send an answer and its sockets, which a stream cannot.

    Everything before it has been read, so that the socket takes a short line at once.
    """
    line = encode_line({"ok": True, "result": answer.result})
    descriptors = [each.fileno() for each in answer.sockets]
    # A loop's own socket object may not be used to send.
    ours = os.dup(writer.get_extra_info("socket").fileno())
    try:
        with socket.socket(fileno=ours) as connection:
            sent = socket.send_fds(connection, [line], descriptors)
    finally:
        answer.close()
    if sent < len(line):
        raise ConnectionError("the client does not read")


def _refusal(error: ControlError) -> dict[str, Any]:
    return {"ok": False, "error": error.message, "hint": error.hint}


def _caller(writer: asyncio.StreamWriter) -> Caller:
    """Find out who has connected; a loop's own socket object does not tell."""
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as connection:
        return Caller.of(connection)


def _listen(path: Path, access: Access) -> socket.socket:
    """Bind the socket; nobody can connect before its owner and mode are set."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path)
        # The mode is there from the first moment: by the name another file might be meant then.
        mask = os.umask(0o777 & ~access.mode)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        if access.group is not None and path.lstat().st_gid != access.group:
            os.chown(path, -1, access.group, follow_symlinks=False)
        listening.listen()
    except OSError as error:
        listening.close()
        reason = "something else is in its place" if _is_busy(error) else error.strerror or error
        raise ControlError(
            f"cannot make the control socket {path}: {reason}",
            "name a directory that may be written with --run-dir",
        ) from error
    except ControlError:
        listening.close()
        raise
    return listening


def _is_busy(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def _clear(path: Path) -> None:
    """Remove the socket that a dead daemon left behind."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: it lives
    raise ControlError(
        f"another Wren daemon runs with the run directory {path.parent}",
        "stop it, or give this one another --run-dir",
    )


def _inode(path: Path) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else 0
