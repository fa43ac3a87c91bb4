"""The speaker's half of BFD: it starts the process, says whom to watch, and hears of changes.

The process is joined to us by a pair of sockets, and nothing else: the end of file there is how
each half learns that the other is gone. When the process dies it is started again, after a pause
that grows, and told everything anew. *Nobody is down because of that*: the lack of a witness is no
evidence (RFC 5882 §3.2). A session that it had Up is taken over as it was, which the peer does not
notice if its detection time is longer than the start; or it comes up again by itself; or it proves
to be down by staying so for `PATIENCE`.

What is told upwards is a `Verdict` for each session: Up or not, and whether that is a failure. A
peer that says AdminDown has not failed.

Standards: RFC 5882 §3.2.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsm.bfd import BfdState
from speaker import log
from speaker.bfd.words import MAX_LINE, Watch, decode_line, encode_line, watch_as_json

PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the process is started again, from one early death to the next."""

STEADY = 60.0
"""Seconds after which a process counts as one that does not die early."""

PATIENCE = 10.0
"""Seconds in which a session is up again after the process was started anew, or has failed."""

ANSWER_TIMEOUT = 2.0
"""Seconds that the process may take to tell how its sessions are."""

_ROOT = str(Path(__file__).resolve().parents[2])

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from speaker.bfd.loop import main; main(int(sys.argv[2]))"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What BFD says of a peer.

    Args:
        name: of the session.
        is_up: packets pass both ways.
        failed: they did, and no longer do; and nobody has ended the session on purpose.
        diagnostic: number of ours.
    """

    name: str
    is_up: bool
    failed: bool
    diagnostic: int


class BfdClient:
    """Starts, feeds and watches the process.

    Args:
        tell: called with each change, on the event loop.
    """

    def __init__(self, tell: Callable[[Verdict], None]) -> None:
        self._tell = tell
        self._watches: dict[str, Watch] = {}
        # Of those that are or were Up, and have not failed: how often each had left Up.
        self._up: dict[str, int] = {}
        # The same of those that the last process had Up, and this one has not yet.
        self._unproven: set[str] = set()
        # What another process would need to go on with them.
        self._former: dict[str, list[Any] | None] = {}
        self._served: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._asked: list[asyncio.Future[dict[str, Any]]] = []
        self.starts = 0

    @property
    def is_running(self) -> bool:
        """Whether there is a process that hears us."""
        return self._writer is not None

    @property
    def names(self) -> set[str]:
        """Whom it watches."""
        return set(self._watches)

    def watch(self, watch: Watch) -> None:
        """Watch a session, or go on under other settings; starts the process if need be."""
        if self._watches.get(watch.name) == watch:
            return
        known = self._watches.get(watch.name)
        if known is not None and known.place != watch.place:
            self._forget(watch.name)
        self._watches[watch.name] = watch
        if self._served is None:
            self._served = asyncio.get_running_loop().create_task(self._serve())
        self._say_watch(watch)

    def unwatch(self, name: str) -> None:
        """Watch a session no more; the peer is told that this is on purpose."""
        if self._watches.pop(name, None) is not None:
            self._forget(name)
            self._say(encode_line("unwatch", name=name))

    def _forget(self, name: str) -> None:
        self._up.pop(name, None)
        self._unproven.discard(name)
        self._former.pop(name, None)

    async def show(self) -> dict[str, Any] | None:
        """Ask how the sessions and the process are; None if there is nobody to ask."""
        if self._writer is None:
            return None
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._say(encode_line("show"))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await answer
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Let the process end, when it has told the peers that this is on purpose."""
        for name in list(self._watches):
            self.unwatch(name)
        # Its answer says that the first packets of that are sent.
        await self.show()
        if self._served is not None:
            self._served.cancel()
            with suppress(asyncio.CancelledError):
                await self._served
            self._served = None

    async def _serve(self) -> None:
        """Keep a process running."""
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            begun = loop.time()
            try:
                await self._run()
            except OSError as error:
                log.bfd_process_ended(f"it cannot be started: {error.strerror or error}")
            deaths = 1 if loop.time() - begun > STEADY else deaths + 1
            self._unproven |= set(self._up)
            await asyncio.sleep(PAUSES[min(deaths, len(PAUSES)) - 1])

    async def _run(self) -> None:
        """Start a process and listen to it until it is gone.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            descriptor = theirs.fileno()
            command = [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT, str(descriptor)]
            try:
                process = subprocess.Popen(  # noqa: ASYNC220  (spawned, not waited for)
                    command, pass_fds=(descriptor,), stdin=subprocess.DEVNULL
                )
            except OSError:
                ours.close()
                raise
        self.starts += 1
        # It ends by itself when we are gone: at once, or when it has told the peers.
        ended = _end_of(process)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE * 16)
        except BaseException:
            ours.close()
            raise
        await self._talk(reader, writer)
        log.bfd_process_ended(f"its exit status is {await ended}")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell the process whom to watch, and listen to it until it is gone."""
        self._writer = writer
        proving: asyncio.TimerHandle | None = None
        if self._unproven:
            proving = asyncio.get_running_loop().call_later(PATIENCE, self._give_up)
        try:
            for watch in self._watches.values():
                self._say_watch(watch)
            while line := await reader.readline():
                self._hear(decode_line(line))
        except ConnectionError:
            # It died with words of ours unread.
            pass
        finally:
            self._writer = None
            writer.close()
            if proving is not None:
                proving.cancel()
            self._disappoint()

    def _disappoint(self) -> None:
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_exception(TimeoutError())

    def _say(self, line: bytes) -> None:
        if self._writer is not None:
            self._writer.write(line)

    def _say_watch(self, watch: Watch) -> None:
        former = self._former.get(watch.name) if watch.name in self._unproven else None
        self._say(encode_line("watch", session=watch_as_json(watch), former=former))

    def _hear(self, said: dict[str, Any]) -> None:
        match said["word"]:
            case "ready":
                log.bfd_process_started(said["scheduling"])
            case "state":
                if said["name"] in self._watches:
                    self._heed(said)
            case "sessions":
                if self._asked and not (answer := self._asked.pop(0)).done():
                    answer.set_result(said)

    def _heed(self, said: dict[str, Any]) -> None:
        """Find out what a change means. RFC 5882 §3.2."""
        name, downs = said["name"], said["downs"]
        is_up = said["state"] == str(BfdState.UP)
        before = self._up.get(name)
        if name in self._unproven:
            if not is_up:
                return
            self._unproven.discard(name)
            before = downs
        fell = before is not None and (not is_up or downs > before)
        if is_up:
            self._up[name] = downs
            self._former[name] = said["former"]
        else:
            self._up.pop(name, None)
        if fell:
            on_purpose = said["remoteState"] == str(BfdState.ADMIN_DOWN)
            self._tell(Verdict(name, False, not on_purpose, said["diagnostic"]))
        if is_up:
            self._tell(Verdict(name, True, False, said["diagnostic"]))

    def _give_up(self) -> None:
        """Who was Up before the process died, and is not by now, has failed meanwhile."""
        unproven, self._unproven = self._unproven, set()
        for name in sorted(unproven):
            self._up.pop(name, None)
            self._tell(Verdict(name, False, True, 0))


def _end_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Wait for a process to end, in a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    def wait() -> None:
        status = process.wait()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, status)

    threading.Thread(target=wait, name="bfd-process", daemon=True).start()
    return ended
