"""``wren why``: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from speaker.control.protocol import ControlError
from tests.support.commands import wren
from tests.support.control import serving
from tests.support.houses import House
from tests.support.routers import Town, on_uvloop, until


def answer(args: dict[str, Any]) -> Any:
    if args["peer"] not in (None, "p11"):
        raise ControlError(f"there is no peer {args['peer']}; did you mean p11?", "…")
    used = args["prefix"] != "10.2.0.0/16"
    if args["json"]:
        return {"used": used, "answer": {"verdict": "Used"}}
    return {"used": used, "text": "10.1.0.0/16 is used: …"}


def test_it_prints_the_text_or_the_object(tmp_path: Path) -> None:
    with serving(tmp_path, {"why": answer}):
        done = wren("why", "10.1.0.0/16", "--peer", "p11", "--run-dir", tmp_path)
        assert (done.stdout, done.exit_code) == ("10.1.0.0/16 is used: …\n", 0)
        for words in (["--json"], ["-o", "json"]):
            done = wren("why", "10.1.0.0/16", *words, "--run-dir", tmp_path)
            assert (json.loads(done.stdout), done.exit_code) == ({"verdict": "Used"}, 0)


def test_a_route_that_is_not_used_makes_the_exit_code_1(tmp_path: Path) -> None:
    with serving(tmp_path, {"why": answer}):
        done = wren("why", "10.2.0.0/16", "--run-dir", tmp_path)
        assert (done.stdout, done.exit_code) == ("10.1.0.0/16 is used: …\n", 1)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("10.1.0.0/33", "'10.1.0.0/33' is no prefix and no address"),
        ("nonsense", "'nonsense' is no prefix and no address"),
        ("fe80::1%eth0", "'fe80::1%eth0' names a link; routes have none, so give it without"),
        ("10.1.0.1/16", "10.1.0.1/16 has host bits set; the prefix is 10.1.0.0/16"),
    ],
)
def test_what_is_no_prefix_is_wrong_usage(tmp_path: Path, word: str, words: str) -> None:
    done = wren("why", word, "--run-dir", tmp_path)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_a_peer_that_is_not_there_and_a_daemon_that_does_not_run(tmp_path: Path) -> None:
    with serving(tmp_path, {"why": answer}):
        done = wren("why", "10.1.0.0/16", "--peer", "p1", "--run-dir", tmp_path)
    assert (done.exit_code, done.stderr) == (
        1,
        "wren: there is no peer p1; did you mean p11?; …\n",
    )
    done = wren("why", "10.1.0.0/16", "--run-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"wren: no Wren daemon answers at {tmp_path}")


@on_uvloop
async def test_a_running_daemon_answers(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11, networks="10.9.0.0/16")
        async with house.lived_in():
            peer = await town.join(11)
            peer.announce("10.1.0.0/16")
            await peer.until(lambda: "10.9.0.0/16" in peer.table)

            async def said(*words: str) -> Any:
                return await asyncio.to_thread(wren, "why", *words, "--run-dir", house.run_dir)

            await until(lambda: town.routers[0].loc_ribs)
            done = await said("10.9.0.1")
            assert done.exit_code == 0
            assert done.stdout.startswith(
                "10.9.0.1: 10.9.0.0/16 is used: a network of this node, by BGPConfiguration/default"
                " wren.bgp/networks, announced to 1 of 1 peers\n\ncandidates\n  * static1"
            )
            done = await said("10.8.0.0/16", "--peer", "127.0.0.11", "--json")
            assert done.exit_code == 1
            assert json.loads(done.stdout)["verdict"] == "Absent"
