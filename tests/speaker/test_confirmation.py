"""Edits that are rolled back unless somebody confirms them, with a daemon that holds them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from speaker import confirmation
from speaker.cli.making import Making
from speaker.config.kinds import Kind
from speaker.control.protocol import ControlError
from speaker.daemon import Daemon
from speaker.datastore.unconfirmed import STATE_FILE
from speaker.errors import ConfigError
from tests.support.commands import wren
from tests.support.houses import House, start, told
from tests.support.resources import document
from tests.support.routers import Town, home, on_both_loops, on_uvloop, until
from tests.support.stores import Store


class Home:
    """A house with a daemon, and commands in it."""

    def __init__(self, town: Town, place: Path) -> None:
        self.town = town
        self.house = House(town, place)
        self.house.furnish(11)
        self.daemon: Daemon | None = None

    @asynccontextmanager
    async def lived_in(self) -> AsyncIterator[None]:
        self.town.said.records.clear()
        async with self.house.lived_in() as self.daemon:
            yield

    async def wren(self, *words: str) -> Result:
        command, *rest = words
        env = {"WREN_RUN_DIR": str(self.house.run_dir)}
        return await asyncio.to_thread(wren, command, *rest, env=env)

    def files(self) -> dict[str, bytes]:
        return {f.name: f.read_bytes() for f in self.house.datastore.iterdir()}

    @property
    def state(self) -> Path:
        return self.house.run_dir / STATE_FILE

    @property
    def addresses(self) -> list[str]:
        assert self.daemon is not None
        assert self.daemon._router is not None
        return sorted(peer.plan.address for peer in self.daemon._router.peers.values())

    async def until_rolled_back(self) -> dict[str, Any]:
        await until(lambda: self.town.said.of("edit_rolled_back"))
        [said] = self.town.said.of("edit_rolled_back")
        return said


def added(home_: Home) -> str:
    """Give the patch that moves the peer somewhere else."""
    return json.dumps({"spec": {"peerIP": f"{home(12)}:{home_.town.port}"}})


@on_both_loops
async def test_a_confirmed_edit_stays(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        async with here.lived_in():
            done = await here.wren(
                "patch", "bgppeer", "p11", "-p", added(here), "--confirm-within", "1h"
            )
            assert done.exit_code == 0, done.output
            assert done.stdout == "Successfully patched 1 'BGPPeer' resource\n"
            assert "unless 'wren confirm' comes before" in done.stderr
            await until(lambda: here.addresses == [home(12)])
            assert "awaits 'wren confirm'" in (await here.wren("status")).stdout
            before = here.files()
            again = await here.wren("label", "node", "r1", "a=b", "--confirm-within", "1h")
            assert (again.exit_code, here.files()) == (1, before)
            assert again.stderr.startswith("wren: another edit awaits confirmation")
            done = await here.wren("confirm")
            assert (done.exit_code, done.stdout) == (0, "confirmed the edit of peers.json\n")
            assert not here.state.exists()
            assert (await here.house.ask("resources"))["unconfirmed"] is None
            for command in ("confirm", "rollback"):
                done = await here.wren(command)
                assert done.exit_code == 1
                assert done.stderr.startswith("wren: no edit awaits confirmation; ")
            assert here.files() == before


@on_both_loops
async def test_an_edit_that_nobody_confirms_is_rolled_back(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        async with here.lived_in():
            await town.join(11)
            done = await here.wren(
                *("patch", "bgppeer", "p11", "-p", '{"spec": {"nextHopMode": "Keep"}}'),
                *("--confirm-within", "300ms", "-o", "json"),
            )
            assert json.loads(done.stdout)["confirmBy"] > 0
            assert here.files() != before or town.said.of("edit_rolled_back")
            said = await here.until_rolled_back()
            assert (said["why"], said["left"]) == ("it was not confirmed in time", [])
            assert here.files() == before
            assert not here.state.exists()


@on_both_loops
async def test_an_edit_that_takes_the_last_session_away_is_rolled_back_at_once(
    tmp_path: Path,
) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        here.house.furnish(11, 12)
        before = here.files()
        async with here.lived_in():
            peer = await town.join(11)
            # Of two of which one is up, the other may go …
            done = await here.wren("delete", "bgppeer", "p12", "--confirm-within", "1h")
            assert done.exit_code == 0, done.output
            await until(lambda: here.addresses == [home(11)])
            assert (await here.wren("confirm")).exit_code == 0
            assert peer.is_open
            between = here.files()
            assert between != before
            # … and the last may not.
            done = await here.wren("delete", "bgppeer", "p11", "--confirm-within", "1h")
            assert done.exit_code == 0, done.output
            said = await here.until_rolled_back()
            assert said["why"] == "it took the last established session away"
            await until(lambda: here.addresses == [home(11)])
            assert here.files() == between


@on_uvloop
async def test_the_last_session_may_be_reset_if_it_comes_back_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        async with here.lived_in():
            peer = await town.join(11)
            words = ("patch", "bgppeer", "p11", "--confirm-within", "1h", "-p")
            await here.wren(*words, '{"spec": {"extensions": {"wren.bgp/holdTime": "30"}}}')
            await peer.until_closed()
            await town.join(11)
            held = here.daemon._confirmation if here.daemon else None
            assert held is not None
            await until(lambda: held._return_by is None)
            assert (await here.wren("confirm")).exit_code == 0
            between = here.files()
            assert between != before
            monkeypatch.setattr(confirmation, "RETURN", 0.1)
            await here.wren(*words, '{"spec": {"asNumber": 65099}}')
            said = await here.until_rolled_back()
            assert "no session was up again" in said["why"]
            assert here.files() == between


@on_uvloop
async def test_what_somebody_edited_since_is_left_and_told(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        async with here.lived_in():
            await here.wren("patch", "bgppeer", "p11", "-p", added(here), "--confirm-within", "1h")
            here.house.write("peers.json", *here.house.peers(13))
            mine = here.files()
            done = await here.wren("rollback")
            assert done.exit_code == 1
            assert done.stdout == "rolled back the edit of peers.json\n"
            assert done.stderr == "peers.json was edited since, and is left as it is\n"
            assert here.files() == mine
            assert "edited since" in town.said.of("edit_rolled_back")[0]["sentence"]


@on_uvloop
async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        async with here.lived_in():
            await here.wren("patch", "bgppeer", "p11", "-p", added(here), "--confirm-within", "1h")
        assert here.files() != before
        async with here.lived_in():
            held = (await here.house.ask("resources"))["unconfirmed"]
            assert held["files"] == ["peers.json"]
            assert 0 < held["remaining"] <= 3600
            done = await here.wren("rollback", "-o", "json")
            assert json.loads(done.stdout) == {"files": ["peers.json"], "left": []}
            assert here.files() == before
        # One whose time is over when the daemon comes back.
        async with here.lived_in():
            await here.wren("patch", "bgppeer", "p11", "-p", added(here), "--confirm-within", "1h")
        assert here.files() != before
        here.state.write_text(json.dumps({**json.loads(here.state.read_text()), "deadline": 1.0}))
        async with here.lived_in():
            assert here.files() == before
            assert here.addresses == [home(11)]


@on_uvloop
async def test_an_edit_with_which_no_start_is_possible_is_rolled_back(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        async with here.lived_in():
            await here.wren("delete", "node", "r1", "--confirm-within", "1h")
            await until(lambda: town.said.of("edit_refused"))
        async with here.lived_in():
            assert here.files() == before
            assert here.addresses == [home(11)]
            assert town.said.of("edit_rolled_back")[0]["why"] == "no start is possible with it"


@on_uvloop
async def test_a_command_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        async with here.lived_in():

            def fail() -> None:
                making = Making(here.house.run_dir, here.house.datastore, within=3600)
                with making.editing() as edition:
                    edition.delete((Kind.BGP_PEER, "p11"))
                    making.make(edition)
                    assert here.files() != before
                    raise ConfigError("the disk is full")

            with pytest.raises(ConfigError, match="full"):
                await asyncio.to_thread(fail)
            assert here.files() == before
            assert (await here.house.ask("resources"))["unconfirmed"] is None


@on_uvloop
async def test_a_daemon_that_was_killed_goes_on_with_it(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        before = here.files()
        process = await start(here.house)
        await told(process, "started")
        words = ("patch", "bgppeer", "p11", "-p", added(here), "--confirm-within", "3s")
        assert (await here.wren(*words)).exit_code == 0
        process.kill()
        await process.wait()
        assert here.files() != before
        process = await start(here.house)
        await told(process, "edit_rolled_back")
        assert here.files() == before
        process.terminate()
        assert process.stderr is not None
        await process.stderr.read()
        assert await process.wait() == 0


@on_uvloop
async def test_reports_of_the_daemon_do_not_keep_an_edit_from_being_rolled_back(
    tmp_path: Path,
) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        report = {"node": "r1", "classes": ["BGP"], "updatePeriodSeconds": 1}
        peers, free = (here.house.datastore / name for name in ("peers.json", "free.json"))
        here.house.write("free.json", document("CalicoNodeStatus", "free", report))
        here.house.write(
            "peers.json", *here.house.peers(11), document("CalicoNodeStatus", "report", report)
        )
        async with here.lived_in():
            await until(lambda: "lastUpdated" in peers.read_text())
            await here.wren("label", "bgppeer", "p11", "a=b", "--confirm-within", "1h")
            edited = peers.read_bytes()
            await town.join(11)
            # The other one, whose file is not held, has been at it with the next look.
            await until(lambda: '"numberEstablishedV4": 1' in free.read_text())
            assert peers.read_bytes() == edited
            assert (await here.wren("rollback")).exit_code == 0
            await until(lambda: '"numberEstablishedV4": 1' in peers.read_text())
            assert '"a"' not in peers.read_text()


@on_uvloop
async def test_nonsense_is_refused(tmp_path: Path) -> None:
    async with Town() as town:
        here = Home(town, tmp_path)
        async with here.lived_in():
            with pytest.raises(ControlError, match="is no time"):
                await here.house.ask("hold", within=-1, files=[])
            with pytest.raises(ControlError, match="is no time"):
                await here.house.ask("hold", within="soon", files=[])
            files = [{"name": "../x", "before": "", "after": ""}]
            with pytest.raises(ControlError, match="no file of the datastore"):
                await here.house.ask("hold", within=9, files=files)
            with pytest.raises(ControlError, match="not a file"):
                await here.house.ask("hold", within=9, files=[{}])
            assert (await here.house.ask("resources"))["unconfirmed"] is None
            other = Store(tmp_path / "other")
            other.holds(dict(town.node("r1", 1)))
            env = {"WREN_RUN_DIR": str(here.house.run_dir), "WREN_DATASTORE": str(other.path)}
            words = ("label", "node", "r1", "a=b", "--confirm-within", "2m")
            done = await asyncio.to_thread(wren, *words, env=env)
            assert done.exit_code == 1
            assert "cannot roll back an edit of" in done.stderr
            assert other.loaded().nodes["r1"].metadata.labels == {}


def test_without_a_daemon_it_is_refused_in_one_line(store: Store, tmp_path: Path) -> None:
    env = {"WREN_RUN_DIR": str(tmp_path / "run"), "WREN_DATASTORE": str(store.path)}
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Node",
        "metadata": {"name": "r1"},
        "spec": {},
    }
    words = ("apply", "-f", "-", "--confirm-within", "2m")
    done = wren(*words, env=env, stdin=json.dumps(document))
    assert (done.exit_code, done.stdout, store.names()) == (1, "", [])
    [line] = done.stderr.splitlines()
    assert line.startswith(f"wren: no Wren daemon answers at {tmp_path}/run/wren.sock, to roll the")
    for wrong in ("2", "soon", "-2m"):
        done = wren("apply", "-f", "-", "--confirm-within", wrong, env=env, stdin="{}")
        assert done.exit_code == 2
    done = wren(*words, "--dry-run", env=env, stdin="{}")
    assert done.exit_code == 2


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "etc")
