"""What the daemon answers at its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speaker.commands import LOOKS
from speaker.control.protocol import ControlError
from tests.support.houses import House
from tests.support.routers import (
    Town,
    home,
    on_both_loops,
    on_uvloop,
    until,
)


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
async def test_whatever_somebody_asks_who_may_only_look_is_answered(tmp_path: Path) -> None:
    """What has no answer is a fault of ours, and a line in the log for each that asks."""
    names = ("name", "prefix", "peer", "family", "all", "limit", "json", "kind", "asn", "put")
    odd: tuple[Any, ...] = (
        True,
        0,
        -1,
        2**70,
        1.5,
        "",
        "x",
        "\0",
        "\ud800",
        "10.0.0.0/8",
        "::/0",
        [],
        [1],
        [[]],
        {},
    )
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11, networks="10.1.0.0/16")
        async with house.lived_in():
            for command in sorted(LOOKS):
                for name in (*names, "delete"):
                    for value in odd:
                        said = ""
                        try:
                            await house.ask(command, **{name: value})
                        except ControlError as error:
                            said = str(error)
                        assert "without an answer" not in said, (command, name, value)


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


def test_every_command_is_for_those_who_change_things_unless_it_is_a_look() -> None:
    """What changes something must not get among the looks."""
    assert not LOOKS & {
        *("refresh", "disable", "enable", "drain", "undrain", "reload"),
        *("hold", "confirm", "rollback", "takeover"),
    }
