"""FRR's bfdd as the witness, through its control socket, in place of our own process.

Where bfdd runs, the ports of BFD are taken; it can watch our peers besides its own. Sessions are
added, changed and taken away as ours are; what bfdd says of them becomes verdicts by the same
rules: *nobody is down because bfdd is gone*, and a session that was Up before it went is given
`PATIENCE` to be so again.

bfdd has no keys: a peer that is to have some is not watched by it, rather than without.

Standards: RFC 5882 §3.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fsm.bfd import Diagnostic
from speaker import log
from speaker.bfd.bfdd_words import (
    ADD,
    ADMINISTRATIVELY_DOWN,
    DELETE,
    EVERYTHING,
    HEADER,
    NOTIFY,
    RESPONSE,
    Place,
    encode,
    place_of,
    place_said,
    read_body,
    read_header,
    session_json,
    session_view,
)
from speaker.bfd.client import PATIENCE, Verdict
from speaker.bfd.words import Watch
from speaker.clock import Clock

SOCKET = "/run/frr/bfdd.sock"
"""Where bfdd listens, if it is not told otherwise."""

ANSWER_TIMEOUT = 2.0
"""Seconds that bfdd may take to tell how its sessions are."""

PAUSE = 1.0
"""Seconds before bfdd is looked for again."""


class Bfdd:
    """Watches by FRR's bfdd.

    Args:
        tell: called with each change, on the event loop.
        path: of the control socket.
        clock: tells the time of day.
    """

    def __init__(
        self, tell: Callable[[Verdict], None], path: str = SOCKET, clock: Clock | None = None
    ) -> None:
        self._tell = tell
        self._clock = clock or Clock()
        self._path = path
        self._watches: dict[str, Watch] = {}
        self._status: dict[str, Mapping[str, Any]] = {}
        self._config: dict[str, Mapping[str, Any]] = {}
        self._since: dict[str, tuple[str, float]] = {}
        self._refused: dict[str, str] = {}
        self._up: set[str] = set()
        # Of those, the ones that bfdd had Up before it went, and has not yet again.
        self._unproven: set[str] = set()
        self._asked: dict[int, str] = {}
        self._number = 0
        self._awaited: set[str] = set()
        self._answered = asyncio.Event()
        self._proving: asyncio.TimerHandle | None = None
        self._served: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.trouble = "it has not been asked yet"

    @property
    def names(self) -> set[str]:
        """Whom it watches."""
        return set(self._watches)

    def watch(self, watch: Watch) -> None:
        """Watch a session, or go on under other settings."""
        known = self._watches.get(watch.name)
        if known == watch:
            return
        if known is not None and known.place != watch.place:
            self.unwatch(watch.name)
        self._watches[watch.name] = watch
        if self._served is None:
            self._served = asyncio.get_running_loop().create_task(self._serve())
        self._add(watch)

    def unwatch(self, name: str) -> None:
        """Watch a session no more; the peer is told that this is on purpose."""
        watch = self._watches.pop(name, None)
        if watch is None:
            return
        for known in (self._status, self._config, self._since, self._refused):
            known.pop(name, None)
        self._up.discard(name)
        self._unproven.discard(name)
        self._say(DELETE, session_json(watch))

    def lacks(self, name: str) -> str:
        """Tell why a session is not watched although it should be; empty if it is."""
        return self._refused.get(name, "") or self.trouble

    async def show(self) -> dict[str, Any] | None:
        """Ask how the sessions are."""
        if self._writer is not None:
            self._awaited = self.names - self._refused.keys()
            self._answered.clear()
            if self._awaited:
                self._say(NOTIFY, EVERYTHING)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._answered.wait(), ANSWER_TIMEOUT)
        return {
            "sessions": [self._view(watch) for watch in self._watches.values()],
            "process": None,
            "witness": f"FRR's bfdd at {self._path}",
            "trouble": self.trouble,
        }

    def _view(self, watch: Watch) -> dict[str, Any]:
        name = watch.name
        view = session_view(watch, self._config.get(name, {}), self._status.get(name, {}))
        for field in ("diagnostic", "remoteDiagnostic"):
            view[field] = _words(view[field])
        if name in self._since:
            view["since"] = self._since[name][1]
        return {**view, "trouble": self._refused.get(name, "")}

    async def leave(self) -> None:
        """Let bfdd go, and sessions stand whose peers keep our routes: the next run finds them."""
        for name, watch in list(self._watches.items()):
            if watch.keep == 0:
                self.unwatch(name)
        self._watches.clear()
        await self.close()

    async def close(self) -> None:
        """Take all sessions away, and let bfdd go."""
        for name in list(self._watches):
            self.unwatch(name)
        if self._writer is not None:
            with suppress(ConnectionError):
                await self._writer.drain()
        self._be_patient(anew=False)
        if self._served is not None:
            self._served.cancel()
            with suppress(asyncio.CancelledError):
                await self._served
            self._served = None

    async def _serve(self) -> None:
        """Keep in touch with bfdd."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError as error:
                self._lose((error.strerror or str(error)).lower())
            else:
                self._lose(await self._talk(reader, writer))
            await asyncio.sleep(PAUSE)

    def _lose(self, why: str) -> None:
        if why != self.trouble:
            log.bfdd_lost(self._path, why)
        self.trouble = why
        self._unproven |= self._up

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Tell bfdd whom to watch, and listen to it until it is gone; say why it is."""
        self._writer = writer
        self.trouble = ""
        log.bfdd_found(self._path)
        self._be_patient()
        try:
            for watch in self._watches.values():
                self._add(watch)
            self._say(NOTIFY, EVERYTHING)
            while True:
                length, number, kind = read_header(await reader.readexactly(HEADER.size))
                self._hear(kind, number, await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            return "it has closed the connection"
        except ValueError as error:
            return str(error)
        finally:
            self._writer = None
            self._asked.clear()
            self._answered.set()
            self._be_patient(anew=False)
            writer.close()

    def _add(self, watch: Watch) -> None:
        if watch.settings.authentication is not None:
            self._refuse(watch.name, "FRR's bfdd has no keys (wren.bgp/bfdAuth)")
            return
        self._refused.pop(watch.name, None)
        number = self._say(ADD, session_json(watch))
        if number:
            self._asked[number] = watch.name

    def _refuse(self, name: str, why: str) -> None:
        if self._refused.get(name) != why:
            log.bfdd_refused(name, why)
        self._refused[name] = why

    def _say(self, kind: int, body: bytes | Mapping[str, Any]) -> int:
        """Say something to bfdd, if it is there; give its number."""
        if self._writer is None:
            return 0
        self._number = self._number % 0xFFFF + 1
        self._writer.write(encode(kind, self._number, body))
        return self._number

    def _hear(self, kind: int, number: int, body: bytes) -> None:
        """Take a message.

        Raises:
            ValueError: it makes no sense.
        """
        said = read_body(body)
        if kind == RESPONSE:
            name = self._asked.pop(number, None)
            if name in self._watches and said.get("status") != "ok":
                self._refuse(str(name), f"bfdd refuses the session: {said.get('error', '')}")
            return
        place = place_said(said)
        for watch in list(self._watches.values()):
            if _fits(place_of(watch), place):
                self._take(watch, said)

    def _take(self, watch: Watch, said: dict[str, Any]) -> None:
        """Heed what bfdd says of a session."""
        match said.get("op"):
            case "delete":
                # Somebody took it away by hand, which is no word of the peer's.
                self._unproven |= self._up & {watch.name}
                self._add(watch)
                self._be_patient()
            case "status":
                self._status[watch.name] = said
                self._heed(watch.name, said)
                self._awaited.discard(watch.name)
                if not self._awaited:
                    self._answered.set()
            case _:
                self._config[watch.name] = said

    def _heed(self, name: str, said: dict[str, Any]) -> None:
        """Find out what a state means. RFC 5882 §3.2."""
        state, diagnostic = str(said.get("state")), int(said.get("diagnostics", 0))
        if self._since.get(name, ("",))[0] != state:
            self._since[name] = state, self._clock.wall() - _age(said)
        if state == "up":
            self._unproven.discard(name)
            if name not in self._up:
                self._up.add(name)
                self._tell(Verdict(name, True, False, diagnostic))
        elif name in self._up and name not in self._unproven:
            self._up.discard(name)
            on_purpose = (
                state == "adm-down" or said.get("remote-diagnostics") == ADMINISTRATIVELY_DOWN
            )
            self._tell(Verdict(name, False, not on_purpose, diagnostic))

    def _be_patient(self, *, anew: bool = True) -> None:
        """Give sessions time to prove that they are Up still; without bfdd they need none."""
        if self._proving is not None:
            self._proving.cancel()
            self._proving = None
        if anew:
            self._proving = asyncio.get_running_loop().call_later(PATIENCE, self._give_up)

    def _give_up(self) -> None:
        """Who was Up before bfdd went, and is not by now, has failed meanwhile."""
        unproven, self._unproven = self._unproven, set()
        for name in sorted(unproven):
            self._up.discard(name)
            self._tell(Verdict(name, False, True, 0))


def _age(said: Mapping[str, Any]) -> float:
    """Give for how many seconds a session has been so."""
    return float(said.get("uptime", said.get("downtime", 0)))


def _fits(ours: Place, said: Place) -> bool:
    """Tell whether bfdd speaks of a session of ours; it may not name the interface."""
    same = (ours.peer, ours.multihop) == (said.peer, said.multihop)
    return same and (None in (ours.interface, said.interface) or ours.interface == said.interface)


def _words(number: int) -> str:
    return str(Diagnostic(number)) if number < len(Diagnostic) else f"diagnostic {number}"
