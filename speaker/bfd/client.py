"""The speaker's half of BFD: it starts the process, says whom to watch, and hears of changes.

The process is joined to us by a connection, and nothing else (`speaker.bfd.finding`): the end of
file there is how each half learns that the other is gone. When the process dies it is started
again, after a pause that grows, and told everything anew. *Nobody is down because of that*: the
lack of a witness is no evidence (RFC 5882 §3.2). A session that it had Up is taken over as it was,
which the peer does not notice if its detection time is longer than the start; or it comes up again
by itself; or it proves to be down by staying so for `PATIENCE`. A process that hangs, which it is
asked now and then, is killed: it sends nothing, and another one does.

What is told upwards is a `Verdict` for each session: Up or not, and whether that is a failure. A
peer that says AdminDown has not failed.

Standards: RFC 5882 §3.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from fsm.bfd import BfdState
from fsm.bfd.session import MICROSECONDS
from speaker import log
from speaker.bfd.finding import ANSWER_TIMEOUT, Finder, Found, kill
from speaker.bfd.words import Watch, decode_line, encode_line, watch_as_json

PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the process is started again, from one early death to the next."""

STEADY = 60.0
"""Seconds after which a process counts as one that does not die early."""

PATIENCE = 10.0
"""Seconds in which a session is up again after the process was started anew, or has failed."""


ASKED = 5.0
"""Seconds from one question whether the process is alive to the next, and that an answer takes at
the most. It hangs if two in a row have none: of one we may have been kept from hearing."""

POLLS = 2
"""Packets that may have been sent beside the usual ones since numbers were told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What BFD says of a peer.

    Args:
        name: of the session.
        is_up: packets pass both ways.
        failed: they did, and no longer do; and nobody has ended the session on purpose.
        diagnostic: number of ours.
        independent: neither end's BFD shares the fate of its control plane, by the C bits.
        lasted: seconds for which it has been so; not 0 where the process has outlived a speaker.
    """

    name: str
    is_up: bool
    failed: bool
    diagnostic: int
    independent: bool = False
    lasted: float = 0.0


class BfdClient:
    """Starts, feeds and watches the process.

    Args:
        tell: called with each change, on the event loop.
        run_dir: where the process waits for the next speaker when we are gone; None where it ends
            with us.
    """

    def __init__(self, tell: Callable[[Verdict], None], run_dir: Path | None = None) -> None:
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
        # The same of those that a process of another version had.
        self._given: dict[str, list[Any] | None] = {}
        # Numbers of authenticated packets, in which interval they grow, and when they were so.
        self._numbers: dict[str, list[float] | None] = {}
        self._died_at = 0.0
        self._is_leaving = False
        self._alive = asyncio.Event()
        self._finder = Finder(run_dir)

    @property
    def starts(self) -> int:
        """How many processes were started."""
        return self._finder.starts

    @property
    def is_running(self) -> bool:
        """Whether there is a process that hears us."""
        return self._writer is not None

    @property
    def names(self) -> set[str]:
        """Whom it watches."""
        return set(self._watches)

    def lacks(self, name: str) -> str:
        """Tell why a session is not watched although it should be; empty if it is."""
        return "" if self.is_running else "the process of BFD does not run"

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
        self._numbers.pop(name, None)

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
        await self.leave()

    async def leave(self) -> None:
        """Be gone, and let the process go on for as long as each `Watch` says."""
        # Its answer says that it has heard everything, and that the first packets of that are sent.
        shown = await self.show()
        keep = max((watch.keep or 0.0 for watch in self._watches.values()), default=0.0)
        if keep and shown is not None and shown["process"]["outlives"]:
            log.bfd_process_left(shown["process"]["pid"], keep)
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
                await self._serve_by(await self._finder.find())
            except OSError as error:
                log.bfd_process_ended(f"it cannot be started: {error.strerror or error}")
            deaths = 1 if loop.time() - begun > STEADY else deaths + 1
            self._unproven |= set(self._up)
            await asyncio.sleep(PAUSES[min(deaths, len(PAUSES)) - 1])

    async def _serve_by(self, found: Found) -> None:
        """Listen to a process until it is gone."""
        self._given = found.formers
        self._is_leaving = False
        proving_alive = asyncio.get_running_loop().create_task(self._end_if_it_hangs(found.pid))
        try:
            await self._talk(found.reader, found.writer)
        finally:
            proving_alive.cancel()
        if self._is_leaving:
            log.bfd_process_ended("somebody has ended it")
            # It takes leave of the peers first, and has the ports until it has.
            await asyncio.sleep(PAUSES[1])
        elif found.ended is None:
            log.bfd_process_ended("it is gone")
        else:
            log.bfd_process_ended(f"its exit status is {await found.ended}")

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
            self._died_at = asyncio.get_running_loop().time()
            self._writer = None
            writer.close()
            if proving is not None:
                proving.cancel()
            self._disappoint()

    async def _end_if_it_hangs(self, pid: int) -> None:
        """Ask the process whether it is alive, and kill it if it is not."""
        if pid <= 0:
            return
        unanswered = 0
        while unanswered < 2:
            await asyncio.sleep(ASKED)
            self._alive.clear()
            self._say(encode_line("alive"))
            unanswered += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._alive.wait(), ASKED)
                unanswered = 0
        log.bfd_process_hangs(pid)
        kill(pid)

    def _disappoint(self) -> None:
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_exception(TimeoutError())

    def _say(self, line: bytes) -> None:
        if self._writer is not None:
            self._writer.write(line)

    def _say_watch(self, watch: Watch) -> None:
        if self._writer is None:
            return
        former = self._given.pop(watch.name, None)
        if former is None and watch.name in self._unproven:
            former = self._numbered(watch.name)
        self._say(encode_line("watch", session=watch_as_json(watch), former=former))

    def _numbered(self, name: str) -> list[Any] | None:
        """Give what a process needs that comes after one that died, which numbered its packets.

        A number that was used is no good to the peer, nor one far ahead (RFC 5880 §6.7.3): so the
        next one is about where the dead process must have been.
        """
        former, told = self._former.get(name), self._numbers.get(name)
        if former is None or not told or not told[1]:
            return former
        number, interval_us, at = told
        most = ceil(max(0.0, self._died_at - at) * MICROSECONDS / interval_us / 0.75)
        return [*former[:3], (int(number) + most + POLLS) % (1 << 32)]

    def _hear(self, said: dict[str, Any]) -> None:
        match said["word"]:
            case "sequences":
                self._numbers.update(said["numbers"])
            case "alive":
                self._alive.set()
            case "leaving":
                self._is_leaving = True
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
            self._numbers[name] = said["number"]
        else:
            self._up.pop(name, None)
        if fell:
            on_purpose = said["remoteState"] == str(BfdState.ADMIN_DOWN)
            diagnostic, independent = said["diagnostic"], said["independent"]
            self._tell(Verdict(name, False, not on_purpose, diagnostic, independent))
        if is_up:
            diagnostic, independent = said["diagnostic"], said["independent"]
            self._tell(Verdict(name, True, False, diagnostic, independent, said["lasted"]))

    def _give_up(self) -> None:
        """Who was Up before the process died, and is not by now, has failed meanwhile."""
        unproven, self._unproven = self._unproven, set()
        for name in sorted(unproven):
            self._up.pop(name, None)
            self._tell(Verdict(name, False, True, 0))
