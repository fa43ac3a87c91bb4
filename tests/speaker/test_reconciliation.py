"""The router follows edits of a directory, as far as they make a plan."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from speaker.config.secrets import Secret
from speaker.speaker import Speaker
from tests.support.houses import House
from tests.support.routers import (
    Town,
    home,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
    uptimes,
)


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
