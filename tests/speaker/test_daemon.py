"""The daemon: edits of a directory, the control socket, and how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from speaker import log
from speaker.control.client import ask
from speaker.control.protocol import ControlError
from speaker.daemon import SOCKET, Daemon, RunOptions
from speaker.errors import ConfigError, TransportError
from tests.support.routers import Town, home, on_both_loops, on_uvloop, until

Document = Mapping[str, Any]


class House:
    """A directory of resources, a run directory, and who is asked there."""

    def __init__(self, town: Town, place: Path) -> None:
        self.town = town
        self.datastore = place / "etc"
        self.run_dir = place / "run"
        self.datastore.mkdir()

    def write(self, file: str, *documents: Document) -> None:
        """Replace a file as a whole, as editors do."""
        text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
        fresh = self.datastore / f".{file}.new"
        fresh.write_text(text)
        fresh.rename(self.datastore / file)

    def furnish(self, *numbers: int, **settings: Any) -> None:
        """Write the node, its settings, and passive peers."""
        self.write("node.json", self.town.node("r1", 1), self.town.settings(**settings))
        self.write("peers.json", *self.peers(*numbers))

    def peers(self, *numbers: int) -> Iterable[Document]:
        for number in numbers:
            yield self.town.peer(
                f"p{number}", number, 65000 + number, node="r1", keys={"passive": "on"}
            )

    async def ask(self, command: str, **args: Any) -> Any:
        return await asyncio.to_thread(ask, self.run_dir, command, **args)

    @property
    def options(self) -> RunOptions:
        return RunOptions(self.datastore, "r1", self.run_dir, kernel=False)

    @asynccontextmanager
    async def lived_in(self) -> AsyncIterator[Daemon]:
        """Run the daemon in this process until the block ends."""
        daemon = Daemon(self.options)
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: running.done() or self.town.said.of("started"))
            if running.done():
                running.result()
            self.town.routers.append(daemon._router)  # type: ignore[arg-type]
            yield daemon
        finally:
            daemon._stop.set()
            await running
            gc.unfreeze()


# Edits.


@on_both_loops
async def test_an_edited_file_is_followed_and_sessions_stay(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in() as daemon:
            router = daemon._router
            assert router is not None
            first = await town.join(11)
            since = next(iter(router.peers.values())).session.established_since
            house.write("peers.json", *house.peers(11, 12))
            await until(lambda: len(router.peers) == 2)
            second = await town.call(12)
            await second.establish()
            house.write("node.json", town.node("r1", 1), town.settings(networks="10.1.0.0/16"))
            await first.until(lambda: first.table)
            await second.until(lambda: second.table)
            house.write("peers.json", *house.peers(11))
            await second.until_closed()
            assert second.notification == (6, 3, b"")
            [left] = router.peers.values()
            assert left.session.established_since == since


@on_both_loops
async def test_an_invalid_edit_is_refused_with_its_place_and_nothing_stops(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in() as daemon:
            router = daemon._router
            assert router is not None
            peer = await town.join(11)
            bad = dict(next(iter(house.peers(11))))
            bad["spec"] = {**bad["spec"], "asNumber": 0}
            house.write("peers.json", bad, *house.peers(12))
            await until(lambda: town.said.of("edit_refused"))
            [refused] = town.said.of("edit_refused")
            place = f"{house.datastore}/peers.json:2:"
            assert refused["where"].startswith(place)
            assert "asNumber" in refused["sentence"]
            assert "\n" not in refused["sentence"]
            await until(lambda: len(router.peers) == 2)
            assert peer.is_open
            house.write("peers.json", *house.peers(11, 12))
            house.write("broken.json", {"kind": "BGPPeer"})
            await until(lambda: len(town.said.of("edit_refused")) >= 2)
            assert len(router.peers) == 2
            assert peer.is_open


@on_both_loops
async def test_an_edit_that_takes_our_own_node_away_is_refused(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            peer = await town.join(11)
            house.write("node.json", town.settings())
            await until(lambda: town.said.of("edit_refused"))
            assert "there is no Node r1" in town.said.of("edit_refused")[0]["sentence"]
            assert peer.is_open
            house.furnish(11, networks="10.1.0.0/16")
            await peer.until(lambda: peer.table)


@on_both_loops
async def test_a_port_that_cannot_be_had_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            await town.join(11)
            with socket.create_server((home(1), 0)) as busy:
                house.furnish(11, 12, listenPort=busy.getsockname()[1])
                await until(lambda: town.said.of("edit_refused"))
            assert "in use" in town.said.of("edit_refused")[0]["sentence"]
            second = await town.call(12)
            await second.establish()


@on_uvloop
async def test_the_level_of_the_command_line_outlasts_the_resources(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        options = RunOptions(house.datastore, "r1", house.run_dir, kernel=False, log_level="debug")
        daemon = Daemon(options)
        running = asyncio.create_task(daemon.run())
        await until(lambda: town.said.of("started"))
        house.furnish(11, logSeverityScreen="Fatal")
        await until(lambda: town.said.of("change_applied"))
        house.furnish(11, 12, logSeverityScreen="Fatal")
        await until(lambda: len(town.said.of("peer_added")) == 2)
        daemon._stop.set()
        await running
        gc.unfreeze()
        log.choose_level(None)
        assert town.said.of("stopped")


# The control socket.


@on_both_loops
async def test_the_control_socket_answers(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11, networks="10.1.0.0/16")
        async with house.lived_in():
            peer = await town.join(11)
            peer.announce("10.2.0.0/16", med=4)
            status = await house.ask("status")
            assert (status["node"], status["asn"], status["mode"]) == ("r1", 64512, "plain")
            [seen] = status["peers"]
            assert (seen["address"], seen["state"], seen["bgpState"]) == (
                home(11),
                "up",
                "Established",
            )
            detail = await house.ask("peer", name=home(11))
            assert any("KeepAliveMsg" in line for line in detail["history"])
            await until(lambda: len(town.routers[0].loc_ribs) and _has(town, 2))
            [chunk] = await house.ask("routes")
            assert [route["prefix"] for route in chunk["routes"]] == ["10.1.0.0/16", "10.2.0.0/16"]
            [chunk] = await house.ask("routes", prefix="10.2.0.0/16", all=True)
            [route] = chunk["routes"]
            assert (route["best"], route["med"], route["asPath"]) == (True, 4, "65011")
            with pytest.raises(ControlError, match="there is no peer nobody"):
                await house.ask("peer", name="nobody")
            with pytest.raises(ControlError, match="is no prefix"):
                await house.ask("routes", prefix="10.2.0.0/99")
            assert (await house.ask("version"))["version"]


def _has(town: Town, count: int) -> bool:
    return sum(map(len, town.routers[0].loc_ribs.values())) == count


@on_both_loops
async def test_a_reload_tells_what_it_did(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            assert await house.ask("reload") == {"changes": [], "problems": []}
            house.write("peers.json", *house.peers(11, 12))
            house.write("bad.json", {"kind": "BGPPeer"})
            answer = await house.ask("reload")
            # The watcher may have been first; then there is nothing left to do.
            assert town.said.of("peer_added")[-1]["address"] == home(12)
            assert "bad.json" in answer["problems"][0]


@on_both_loops
async def test_a_second_daemon_for_the_same_run_directory_is_refused(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            await town.join(11)
            with pytest.raises(ControlError, match="another Wren daemon"):
                await Daemon(house.options).run()
            assert (await house.ask("status"))["node"] == "r1"


@on_both_loops
async def test_a_start_that_is_impossible_says_what_to_do(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.write("node.json", town.node("r2", 2))
        with pytest.raises(ConfigError, match="there is no Node r1") as caught:
            await Daemon(house.options).run()
        assert "r2" in caught.value.hint
        house.furnish(11)
        with socket.create_server((home(1), town.port)), pytest.raises(TransportError) as refused:
            await Daemon(house.options).run()
        assert "\n" not in str(refused.value)
        assert not (house.run_dir / SOCKET).exists()


# The process.


async def start(house: House, *more: str) -> asyncio.subprocess.Process:
    words = ["run", "--datastore", str(house.datastore), "--node", "r1", "--no-kernel"]
    words += ["--run-dir", str(house.run_dir), "--log", "json", *more]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "speaker",
        *words,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


async def told(process: asyncio.subprocess.Process, event: str) -> list[dict[str, Any]]:
    """Read the log until something is told."""
    lines: list[dict[str, Any]] = []
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while not lines or lines[-1]["event"] != event:
            line = await process.stderr.readline()
            assert line, lines
            lines.append(json.loads(line))
    return lines


@on_uvloop
@pytest.mark.parametrize(("number", "loop_name"), [(15, "uvloop"), (2, "asyncio")])
async def test_a_signal_ends_it_cleanly(number: int, loop_name: str, tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        process = await start(house, "--loop", loop_name)
        lines = await told(process, "started")
        assert lines[-1]["pid"] == process.pid
        peer = await town.call(11)
        await peer.establish()
        process.send_signal(signal.Signals(number))
        await peer.until_closed()
        assert peer.notification is not None
        assert peer.notification[:2] == (6, 2)
        lines = await told(process, "stopped")
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0
        assert not (house.run_dir / SOCKET).exists()
        assert all(line["level"] in ("info", "warning") for line in lines)


@on_uvloop
async def test_errors_at_the_start_are_one_line_and_exit_code_1(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            process = await start(house)
            _, errors = await process.communicate()
        assert process.returncode == 1
        assert errors.count(b"\n") == 1
        assert b"another Wren daemon" in errors
