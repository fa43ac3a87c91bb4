"""One daemon after another, without a moment in which nobody listens.

The heir has loaded all that it can before it asks; the daemon then gives it its listening sockets,
and one end of a line that both talk over from there on:

    heir                                daemon
    ``takeover``, control socket ────►
                                 ◄────  the sockets, one end of the line; nothing has changed yet
    binds what it lacks
    ``go``, with what it keeps   ────►  sessions end, without a word to who restarts gracefully;
                                        kernel routes stay; the control socket is given up
                                 ◄────  ``gone``
    starts, and runs: ``up``     ────►  exits

The kernel holds back whoever connects meanwhile, since the sockets are never closed. If the line
breaks before ``go``, nothing has happened. If it breaks before ``up``, the heir is dead: the daemon
starts anew with what it gave away. So there is always one who runs, or is about to, and never two.

Standards: RFC 4724 §4.1.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speaker import __version__, log
from speaker.config.plan import Plan
from speaker.control.client import NotRunning, ask_for_sockets
from speaker.control.protocol import ControlError, Passed, decode_line, encode_line
from speaker.drainage import Drainage, Step
from speaker.errors import TransportError
from speaker.kernel.netlink import check_permission
from speaker.net.listening import Doors, Place, complete, inherited, places
from speaker.reception import EVERYWHERE
from speaker.speaker import Speaker
from speaker.wire import codec

OFFER = 60.0
"""Seconds in which an heir has to say ``go``."""

ASKS = 10.0
"""Seconds after which the heir tells that it still waits."""

_LONGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Marks:
    """What two daemons must have in common for one to take the other's place.

    Attributes:
        node: which Node they are.
        table: of the kernel that routes are installed in; None where none are.
        protocol: the number that marks them.
    """

    node: str
    table: int | None
    protocol: int | None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Marks:
        """Read what a daemon tells, of another version perhaps."""
        return cls(str(told.get("node")), told.get("table"), told.get("protocol"))

    def refusal(self, heir: Marks) -> str:
        """Say why an heir with other marks cannot take our place; empty if it can."""
        if heir.node != self.node:
            return f"it runs Node {self.node}, not {heir.node}"
        if self.table is not None and (heir.table, heir.protocol) != (self.table, self.protocol):
            return (
                f"its kernel routes stand in table {self.table} with protocol number"
                f" {self.protocol}, and would be nobody's"
            )
        return ""


class Line:
    """One end of the line between a daemon and its heir.

    Args:
        sock: one packet is one word.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    async def hear(self) -> dict[str, Any] | None:
        """Wait for a word; None when the other end is gone."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        # By its number: uvloop would close a socket that it has watched when it likes.
        descriptor = self._sock.fileno()
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
        try:
            data = self._sock.recv(_LONGEST)
            return decode_line(data) if data else None
        except (OSError, ControlError):
            return None

    def say(self, word: str, **more: Any) -> None:
        """Say a word; it does not matter if nobody hears it."""
        with suppress(OSError):
            self._sock.send(encode_line({"word": word, **more}))

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class Handover:
    """The daemon's side.

    Args:
        router: whose sockets these are.
        marks: of this daemon.
        drainage: of the router.
        leave: called when an heir has said ``go``: the daemon has to end.

    Attributes:
        is_agreed: an heir takes over.
        kept: the sockets that it keeps, in case that it fails.
    """

    def __init__(
        self, router: Speaker, marks: Marks, drainage: Drainage, leave: Callable[[], None]
    ) -> None:
        self._router = router
        self._marks = marks
        self._drainage = drainage
        self._leave = leave
        self._offer: asyncio.Task[None] | None = None
        self._line: Line | None = None
        self.is_agreed = False
        self.kept: Doors = {}

    def offer(self, request: dict[str, Any]) -> Passed:
        """Give an heir the listening sockets, and wait for it to say ``go``.

        Args:
            request: ``pid``, of the heir.

        Raises:
            ControlError: another one has been offered them, the node is out of service, or there
                are none yet.
        """
        if self._offer is not None:
            raise ControlError(
                "another process is taking over at this moment", "let it, or end it and try again"
            )
        if self._drainage.step is not Step.NONE:
            raise ControlError(
                "the node is drained, or is being so, which a take-over would undo",
                "'wren undrain' first; or stop this daemon and start the other one",
            )
        doors = self._router.listener.doors
        if not doors:
            raise ControlError("the running daemon is still starting", "try again in a moment")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = {place: sock.dup() for place, sock in doors.items()}
        self._line = Line(ours)
        pid = request.get("pid")
        self._offer = asyncio.create_task(self._wait(self._line, kept, pid))
        result = {
            "version": __version__,
            "pid": os.getpid(),
            "marks": asdict(self._marks),
        }
        return Passed(result, (theirs, *(sock.dup() for sock in doors.values())))

    async def _wait(self, line: Line, doors: Doors, pid: object) -> None:
        word = None
        try:
            async with asyncio.timeout(OFFER):
                word = await line.hear()
        except TimeoutError:
            pass
        finally:
            keeps = _kept(word)
            for place in [place for place in doors if keeps is None or place not in keeps]:
                doors.pop(place).close()
            if keeps is None:
                line.close()
                self._offer = self._line = None
        if keeps is None:
            log.handover_called_off(pid)
            return
        self.kept, self.is_agreed = doors, True
        log.handing_over(pid)
        self._leave()

    async def close(self) -> None:
        """The daemon ends: nobody takes over any more, unless that is why."""
        if self._offer is not None and not self.is_agreed:
            self._offer.cancel()
            await asyncio.gather(self._offer, return_exceptions=True)

    async def finish(self, stop: asyncio.Event) -> bool:
        """Everything is given up: tell the heir, and wait until it runs.

        Args:
            stop: set when nobody is to wait any longer.

        Returns:
            False if the heir never will run.
        """
        assert self._line is not None
        self._line.say("gone")
        word, is_stopped = await _first(self._line, stop)
        self._line.close()
        is_up = word is not None and word.get("word") == "up"
        if is_up:
            log.handed_over()
        return is_up or is_stopped


def _kept(word: dict[str, Any] | None) -> set[Place] | None:
    """Read which places an heir keeps; None if it has not said ``go``."""
    if word is None or word.get("word") != "go":
        return None
    try:
        return {(str(address), int(port)) for address, port in word["keeps"]}
    except (KeyError, TypeError, ValueError):
        return None


class TakeOver:
    """The heir's side.

    Args:
        line: to the daemon.
        pid: of the daemon.
        version: that it runs.
        doors: its listening sockets.

    Attributes:
        doors: what there is to listen on.
    """

    def __init__(self, line: Line, pid: int, version: str, doors: Doors) -> None:
        self._line = line
        self.pid = pid
        self.version = version
        self._keeps: list[Place] = []
        self.doors = doors

    @classmethod
    def ask(cls, run_dir: Path, marks: Marks) -> TakeOver | None:
        """Ask the daemon of a run directory for its place; None where none runs. Blocks.

        Raises:
            ControlError: it cannot be had; that daemon runs on.
        """
        try:
            offer, (line, *sockets) = ask_for_sockets(run_dir, "takeover", pid=os.getpid())
        except NotRunning:
            return None
        except ControlError as error:
            hint = error.hint
            if "no such command" in error.message:
                hint = "it is of another version: stop it, and start this one without --takeover"
            raise ControlError(
                f"the running daemon does not hand over: {error.message}", hint
            ) from None
        doors, _ = inherited(sockets)
        found = cls(Line(line), int(offer["pid"]), str(offer["version"]), doors)
        why = Marks.read(offer["marks"]).refusal(marks)
        if why:
            found.close()
            raise ControlError(
                f"the place of the running daemon cannot be taken: {why}",
                "give this one the same options, or stop that one and start this one",
            )
        return found

    def reserve(self, wanted: Mapping[Place, bool]) -> None:
        """Bind what the daemon does not listen on, as far as its own sockets allow it.

        Args:
            wanted: places, and whether their address may come later.

        Raises:
            TransportError: a place cannot be had; the daemon runs on.
        """
        try:
            bound = complete(self.doors, wanted)
        except TransportError:
            going = {port for _, port in self.doors.keys() - wanted.keys()}
            if not going & {port for _, port in wanted}:
                self.close()
                raise
            # All addresses of a port exclude each single one: it is free when the daemon has gone.
            bound = {}
        self._keeps = [place for place in self.doors if place in wanted]
        self.doors |= bound

    async def go(self, stop: asyncio.Event) -> None:
        """Have the daemon leave, and wait until it has.

        Args:
            stop: set when this one is to end instead.

        Raises:
            ControlError: it is.
        """
        self._line.say("go", keeps=self._keeps)
        waits = asyncio.get_running_loop().call_later(ASKS, self._tell_that_it_waits)
        try:
            _, is_stopped = await _first(self._line, stop)
        finally:
            waits.cancel()
        if is_stopped:
            self.close()
            raise ControlError("the take-over was broken off", "the other daemon goes on")

    def _tell_that_it_waits(self) -> None:
        log.still_there(self.pid)

    def done(self) -> None:
        """This daemon runs: the other one may exit."""
        self._line.say("up")
        self._line.close()

    def close(self) -> None:
        """Call it off; the daemon runs on."""
        self._line.close()
        for sock in self.doors.values():
            sock.close()


async def take_over(
    run_dir: Path, marks: Marks, plan: Plan, stop: asyncio.Event
) -> TakeOver | None:
    """Take the place of the daemon of a run directory.

    Args:
        run_dir: of both.
        marks: of this daemon.
        plan: that it is going to follow.
        stop: set when it is to end instead.

    Returns:
        What is left; None where no daemon runs.

    Raises:
        SpeakerError: it cannot be done; the other daemon runs on.
    """
    # Now, while the other one still serves its sessions.
    codec.exabgp()
    if marks.table is not None and marks.protocol is not None:
        check_permission(marks.table, marks.protocol)
    found = await asyncio.to_thread(TakeOver.ask, run_dir, marks)
    if found is None:
        log.nobody_to_succeed(str(run_dir))
        return None
    addresses = plan.listen_addresses or EVERYWHERE
    found.reserve(places(addresses, plan.listen_port, absent=plan.workload_addresses))
    log.taking_over(found.pid, found.version)
    await found.go(stop)
    return found


async def _first(line: Line, stop: asyncio.Event) -> tuple[dict[str, Any] | None, bool]:
    """Wait for a word, or to be stopped; give the word, and whether it was the latter."""
    hearing, stopping = asyncio.create_task(line.hear()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({hearing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return (hearing.result(), False) if hearing.done() else (None, True)
    finally:
        for task in (hearing, stopping):
            task.cancel()
        await asyncio.gather(hearing, stopping, return_exceptions=True)
