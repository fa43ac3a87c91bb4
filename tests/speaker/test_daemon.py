"""The daemon: how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from pathlib import Path

import pytest

from speaker import log
from speaker.control.protocol import SOCKET_NAME, ControlError
from speaker.daemon import Daemon
from speaker.errors import ConfigError, TransportError
from speaker.run_options import RunOptions
from tests.support.houses import House, start, told
from tests.support.routers import (
    Town,
    home,
    on_both_loops,
    on_uvloop,
    until,
)


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
        assert not (house.run_dir / SOCKET_NAME).exists()


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
        assert not (house.run_dir / SOCKET_NAME).exists()
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
