"""The daemon: edits of a directory, the control socket, and how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from speaker import log
from speaker.config.secrets import Secret
from speaker.control.protocol import SOCKET_NAME, ControlError
from speaker.daemon import Daemon
from speaker.errors import ConfigError, TransportError
from speaker.run_options import RunOptions
from speaker.speaker import Speaker
from tests.support.houses import House, start, told
from tests.support.routers import (
    Town,
    home,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
    uptimes,
)

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
async def test_a_secret_that_comes_resets_the_session_that_names_it_and_later_ones_do_not(
    tmp_path: Path,
) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        password = {"secretKeyRef": {"name": "s", "key": "k"}}
        signed = town.peer("p12", 12, 65012, node="r1", keys={"passive": "on"}, password=password)
        house.write("signed.json", signed)
        async with house.lived_in() as daemon:
            router = daemon._router
            assert router is not None
            await town.join(11)
            before = uptimes(router)[peer_at(router, 11).name]
            told = [c["reason"] for c in (await house.ask("status"))["conditions"]]
            assert told == ["NoPassword"]
            unsigned = peer_at(router, 12)
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
            for value in ("one", "two"):
                house.write("secret.json", {**secret, "stringData": {"k": value, "j": "other"}})
                wanted = Secret(value.encode())
                await until(partial(has_password, router, 12, wanted))
                assert (await house.ask("status"))["conditions"] == []
                if value == "one":
                    standing = peer_at(router, 12)
                    await town.join(12, password=wanted)
            assert standing is not unsigned
            assert peer_at(router, 12) is standing
            assert standing.is_established
            house.write("secret.json", {**secret, "stringData": {"k": "two", "j": "another"}})
            await house.ask("reload")
            assert peer_at(router, 12) is standing
            assert uptimes(router)[peer_at(router, 11).name] == before
            assert not [r for r in town.said.records if "two" in r.getMessage()]


def has_password(router: Speaker, number: int, password: Secret) -> bool:
    return peer_at(router, number).plan.password == password


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
            bad["spec"] = {**bad["spec"], "asNumber": -1}
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
async def test_who_edits_resources_is_told_where_they_are(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            assert await house.ask("datastore") == {
                "path": str(house.datastore),
                "node": "r1",
                "strictSecrets": False,
            }


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


# The process.


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


# What resources have come to.


@on_uvloop
async def test_the_daemon_says_what_resources_have_come_to(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        async with house.lived_in():
            await town.join(11)
            (found,) = (await house.ask("resources", kind="bgppeer", name="p11"))["resources"]
            conditions = {item["type"]: item for item in found["conditions"]}
            assert found["place"] == f"{house.datastore}/peers.json:2"
            assert conditions["Established"]["message"] == "1/1"
            with pytest.raises(ControlError, match="there is no BGPPeer p12"):
                await house.ask("resources", kind="bgppeer", name="p12")
            house.write("node.json", town.node("r2", 2), town.settings())
            await until(lambda: town.said.of("edit_refused"))
            (found,) = (await house.ask("resources", kind="bgppeer", name="p11"))["resources"]
            assert {item["type"]: item for item in found["conditions"]} == conditions
            asked = await house.ask("resources", kind="node", name="r1")
            (resolved,) = [
                item for item in asked["resources"][0]["conditions"] if item["type"] == "Resolved"
            ]
            assert (resolved["status"], resolved["reason"]) == ("False", "NoPlan")
            assert "there is no Node r1" in resolved["message"]


@on_uvloop
async def test_strict_secrets_hold_a_session_down_until_the_secret_is_there(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path, strict_secrets=True)
        house.furnish()
        (waiting,) = house.peers(11)
        waiting["spec"]["password"] = {"secretKeyRef": {"name": "s", "key": "k"}}
        house.write("peers.json", waiting)
        async with house.lived_in() as daemon:
            router = daemon._router
            assert router is not None
            assert not router.peers
            (found,) = (await house.ask("resources", kind="bgppeer"))["resources"]
            conditions = {item["type"]: item for item in found["conditions"]}
            assert conditions["Established"]["message"].startswith("0/1")
            assert conditions["Degraded"]["reason"] == "NoPassword"
            folder = house.datastore / "secrets" / "s"
            folder.mkdir(parents=True)
            (folder / "k").write_bytes(b"hush")
            await until(lambda: router.peers)
            (folder / "k").unlink()
            await until(lambda: not router.peers)
