"""A daemon that takes the place of another one: who may, and what happens half-way."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from speaker.control.protocol import ControlError
from speaker.daemon import Daemon
from speaker.drainage import Drainage
from speaker.errors import TransportError
from speaker.speaker import Speaker
from speaker.succession import Handover, Line, Marks, TakeOver
from tests.support.control import serving
from tests.support.houses import House, start, told
from tests.support.routers import Town, home, on_both_loops, on_uvloop, until

MARKS = Marks("r1", None, None)


@pytest.mark.parametrize(
    ("heir", "why"),
    [
        (Marks("r1", 254, 12), ""),
        (Marks("r2", 254, 12), "it runs Node r1, not r2"),
        (Marks("r1", 254, 186), "table 254 with protocol number 12"),
        (Marks("r1", 100, 12), "table 254 with protocol number 12"),
        (Marks("r1", None, None), "and would be nobody's"),
    ],
)
def test_only_one_of_a_kind_takes_a_place(heir: Marks, why: str) -> None:
    refusal = Marks("r1", 254, 12).refusal(heir)
    assert why in refusal
    assert bool(refusal) is bool(why)


def test_who_had_no_kernel_routes_leaves_none_behind() -> None:
    assert Marks("r1", None, None).refusal(Marks("r1", 254, 12)) == ""


def test_where_no_daemon_runs_there_is_no_place_to_take(tmp_path: Path) -> None:
    assert TakeOver.ask(tmp_path, MARKS) is None


def test_a_daemon_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": lambda _: {}}), pytest.raises(ControlError) as caught:
        TakeOver.ask(tmp_path, MARKS)
    assert str(caught.value) == (
        "the running daemon does not hand over: no such command: 'takeover'; it is of another"
        " version: stop it, and start this one without --takeover"
    )


# With a daemon in the test's process.


async def asked(house: House, marks: Marks = MARKS) -> TakeOver:
    found = await asyncio.to_thread(TakeOver.ask, house.run_dir, marks)
    assert found is not None
    return found


@on_both_loops
async def test_an_offer_that_is_not_taken_changes_nothing(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            peer = await town.join(11)
            heir = await asked(house)
            assert sorted(heir.doors) == [(home(1), town.port)]
            with pytest.raises(ControlError, match="another process is taking over"):
                await asked(house)
            heir.close()
            await until(lambda: town.said.of("handover_called_off"))
            again = await asked(house)
            with socket.create_server((home(1), 0)) as busy:
                port = busy.getsockname()[1]
                with pytest.raises(TransportError, match="in use"):
                    again.reserve({(home(1), port): False})
            await until(lambda: len(town.said.of("handover_called_off")) == 2)
            assert peer.is_open


@on_both_loops
async def test_a_daemon_that_is_still_starting_has_nothing_to_hand_over(tmp_path: Path) -> None:
    async with Town() as town:
        router = Speaker(town.plan_for_strangers(1))
        handover = Handover(router, MARKS, Drainage(router), lambda: None)
        with pytest.raises(ControlError, match="still starting"):
            handover.offer({})
        await handover.close()


@on_both_loops
async def test_another_node_or_a_drained_one_is_refused(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            peer = await town.join(11)
            with pytest.raises(ControlError, match="it runs Node r1, not r2; give this one"):
                await asked(house, Marks("r2", None, None))
            await until(lambda: town.said.of("handover_called_off"))
            await house.ask("drain", wait=0)
            with pytest.raises(ControlError, match="'wren undrain' first"):
                await asked(house)
            assert not peer.is_open


@on_both_loops
async def test_the_daemon_ends_and_tells_when_an_heir_says_go(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        daemon = Daemon(house.options)
        running = asyncio.create_task(daemon.run())
        await until(lambda: town.said.of("started"))
        heir = await asked(house)
        heir.reserve({(home(1), town.port): False})
        going = asyncio.create_task(heir.go(asyncio.Event()))
        await running
        assert not (house.run_dir / "wren.sock").exists()
        succeeded = asyncio.create_task(daemon.is_succeeded())
        await going
        assert not succeeded.done()
        with socket.create_connection((home(1), town.port)):
            heir.done()
            assert await succeeded
        heir.close()
        for sock in daemon.kept.values():
            sock.close()


@on_both_loops
async def test_a_daemon_that_dies_half_way_leaves_its_place_all_the_same(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heir = TakeOver(Line(ours), 1, "0", {})
    going = asyncio.create_task(heir.go(asyncio.Event()))
    line = Line(theirs)
    assert (await line.hear() or {})["word"] == "go"
    line.close()
    await going
    heir.close()


@on_both_loops
async def test_an_heir_that_is_stopped_while_it_waits_gives_up(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stop = asyncio.Event()
    going = asyncio.create_task(TakeOver(Line(ours), 1, "0", {}).go(stop))
    line = Line(theirs)
    await line.hear()
    stop.set()
    with pytest.raises(ControlError, match="broken off"):
        await going
    assert await line.hear() is None
    line.close()


@on_both_loops
async def test_what_is_no_word_is_no_go(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            for number, (word, keeps) in enumerate((("stay", []), ("go", None), ("go", [1])), 1):
                heir = await asked(house)
                heir._line.say(word, keeps=keeps)
                await until(lambda n=number: len(town.said.of("handover_called_off")) == n)  # type: ignore[misc]
                heir.close()


# With processes.


@on_uvloop
@pytest.mark.parametrize(("first", "then"), [("uvloop", "asyncio"), ("asyncio", "uvloop")])
async def test_a_process_takes_over_from_another_one(tmp_path: Path, first: str, then: str) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        old = await start(house, "--loop", first)
        await told(old, "started")
        new = await start(house, "--takeover", "--loop", then)
        lines = await told(new, "started")
        assert (lines[0]["event"], lines[0]["pid"]) == ("taking_over", old.pid)
        assert (await house.ask("status"))["pid"] == new.pid
        assert await old.wait() == 0
        assert old.stderr is not None
        said = [json.loads(line)["event"] for line in (await old.stderr.read()).splitlines()]
        assert said[-3:] == ["handing_over", "stopped", "handed_over"]
        new.send_signal(signal.SIGTERM)
        assert await new.wait() == 0


@on_both_loops
async def test_a_plan_that_cannot_be_made_leaves_the_running_daemon_alone(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            peer = await town.join(11)
            house.write("node.json", town.settings())
            await until(lambda: town.said.of("edit_refused"))
            new = await start(house, "--takeover")
            _, said = await new.communicate()
            assert new.returncode == 1
            assert b"there is no Node r1" in said.splitlines()[-1]
            assert peer.is_open
            assert not town.said.of("handing_over")
