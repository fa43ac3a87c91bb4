"""FRR's bfdd as the witness: what is made of its words, and of its absence."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsm.bfd import Authentication, AuthType, Settings
from speaker.bfd.bfdd import Bfdd
from speaker.bfd.bfdd_words import (
    ADD,
    DELETE,
    HEADER,
    LONGEST,
    NOTIFY,
    encode,
    read_body,
    read_header,
    session_json,
    session_view,
)
from speaker.bfd.client import Verdict
from speaker.bfd.words import Watch
from tests.support.routers import until

PEER = "10.0.0.2"
LEFT = Watch("left", PEER, "10.0.0.1", "eth0", settings=Settings(200_000, 100, 4))
UP = Verdict("left", is_up=True, failed=False, diagnostic=0)


class Heard:
    """A witness that was told of one session, without a bfdd."""

    def __init__(self, watch: Watch = LEFT) -> None:
        self.told: list[Verdict] = []
        self.bfdd = Bfdd(self.told.append, "/nowhere/bfdd.sock")
        self.bfdd._watches[watch.name] = watch

    def hear(self, state: str, **more: Any) -> None:
        usual = {"op": "status", "peer-address": PEER, "multihop": False, "state": state}
        body = {**usual, "local-interface": "eth0", "diagnostics": 0, **more}
        self.bfdd._hear(NOTIFY, 0, json.dumps(body).encode())

    @property
    def failures(self) -> list[bool]:
        return [verdict.failed for verdict in self.told if not verdict.is_up]


def test_a_session_that_left_up_has_failed() -> None:
    one = Heard()
    for state in ("down", "init", "up", "up"):
        one.hear(state)
    assert one.told == [UP]
    one.hear("down", diagnostics=1)
    assert one.told[1:] == [Verdict("left", is_up=False, failed=True, diagnostic=1)]
    one.hear("down")
    assert len(one.told) == 2


@pytest.mark.parametrize(
    ("state", "more"), [("down", {"remote-diagnostics": 7}), ("adm-down", {})], ids=["peer", "we"]
)
def test_who_ends_it_on_purpose_has_not_failed(state: str, more: dict[str, Any]) -> None:
    one = Heard()
    one.hear("up")
    one.hear(state, **more)
    assert one.failures == [False]


@pytest.mark.parametrize(
    "more",
    [{"peer-address": "10.0.0.3"}, {"multihop": True}, {"local-interface": "eth1"}],
    ids=str,
)
def test_sessions_of_others_are_left_alone(more: dict[str, Any]) -> None:
    one = Heard()
    one.hear("up", **more)
    assert one.told == []


def test_who_was_up_when_bfdd_went_is_given_time() -> None:
    one = Heard()
    one.hear("up")
    one.bfdd._lose("it has closed the connection")
    one.hear("down")
    assert one.told == [UP]
    one.bfdd._give_up()
    assert one.failures == [True]
    one.hear("up")
    assert one.told[-1] == UP


def test_who_is_up_again_in_time_has_not_been_down() -> None:
    one = Heard()
    one.hear("up")
    one.bfdd._lose("it has closed the connection")
    for state in ("down", "init", "up"):
        one.hear(state)
    one.bfdd._give_up()
    assert one.told == [UP]
    one.hear("down")
    assert one.failures == [True]


def test_a_peer_that_is_to_have_keys_is_not_watched() -> None:
    auth = Authentication(AuthType.KEYED_SHA1, {1: b"hush"}, 1)
    one = Heard()
    one.bfdd._add(Watch("left", PEER, settings=Settings(authentication=auth)))
    assert "has no keys" in one.bfdd.lacks("left")
    one.bfdd._add(LEFT)
    assert one.bfdd.lacks("left") == one.bfdd.trouble


def test_a_session_that_bfdd_refuses_says_why() -> None:
    one = Heard()
    one.bfdd._asked[7] = "left"
    one.bfdd._hear(1, 7, b'{"status":"error","error":"request add failed"}')
    assert one.bfdd.lacks("left") == "bfdd refuses the session: request add failed"


def test_a_session_is_written_as_bfdd_has_it() -> None:
    assert session_json(LEFT) == {
        "ipv4": [
            {
                "peer-address": PEER,
                "multihop": False,
                "local-address": "10.0.0.1",
                "local-interface": "eth0",
                "detect-multiplier": 4,
                "receive-interval": 1,
                "transmit-interval": 200,
            }
        ]
    }
    far = session_json(Watch("far", "fd00::2", "fd00::1", "eth0", multihop=True))
    [session] = far["ipv6"]
    assert "local-interface" not in session


def test_timers_are_those_of_both_ends() -> None:
    config = {
        "receive-interval": 100,
        "transmit-interval": 200,
        "detect-multiplier": 4,
        "remote-receive-interval": 300,
        "remote-transmit-interval": 50,
        "remote-detect-multiplier": 3,
    }
    view = session_view(LEFT, config, {"state": "up", "id": 9})
    agreed = (view["txIntervalUs"], view["rxIntervalUs"], view["detectionTimeUs"])
    assert (view["state"], agreed) == ("Up", (300_000, 100_000, 300_000))


def test_a_message_is_read_as_it_was_written() -> None:
    octets = encode(ADD, 513, {"ipv4": []})
    length, number, kind = read_header(octets[: HEADER.size])
    assert (length, number, kind) == (len(octets) - HEADER.size, 513, ADD)
    assert read_body(octets[HEADER.size :]) == {"ipv4": []}


@pytest.mark.parametrize(
    "octets",
    [HEADER.pack(2, 1, 1, 2), HEADER.pack(LONGEST + 1, 1, 1, 1)],
    ids=["version", "length"],
)
def test_who_is_no_bfdd_is_not_believed(octets: bytes) -> None:
    with pytest.raises(ValueError, match="bfdd"):
        read_header(octets)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_object_is_not_believed(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_body(body)


@pytest.mark.asyncio
async def test_a_restart_leaves_those_whose_peers_keep_our_routes(tmp_path: Path) -> None:
    heard: list[tuple[int, dict[str, Any]]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                length, _, kind = read_header(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(length)
                heard.append((kind, {} if kind == NOTIFY else read_body(body)))
        writer.close()

    path = tmp_path / "bfdd.sock"
    bfdd = Bfdd(lambda verdict: None, str(path))
    stays, goes = replace(LEFT, keep=130.0), Watch("goes", "10.0.0.3", keep=0.0)
    async with await asyncio.start_unix_server(serve, path):
        bfdd.watch(stays)
        bfdd.watch(goes)
        await until(lambda: len(heard) == 3)
        assert [kind for kind, _ in heard] == [ADD, ADD, NOTIFY]
        await bfdd.leave()
        await until(lambda: len(heard) == 4)
    assert heard[3] == (DELETE, session_json(goes))


@pytest.mark.asyncio
async def test_bfdd_that_is_not_there_is_told_and_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "bfdd.sock"
    bfdd = Bfdd(lambda verdict: None, str(path))
    bfdd.watch(LEFT)
    async with asyncio.timeout(20):
        await until(lambda: "no such file" in bfdd.lacks("left"))
        shown = await bfdd.show()
        assert shown is not None
        assert (shown["trouble"], len(shown["sessions"])) == ("no such file or directory", 1)
        came = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            length, _, kind = read_header(await reader.readexactly(HEADER.size))
            assert (kind, read_body(await reader.readexactly(length))) == (ADD, session_json(LEFT))
            came.set()
            writer.close()

        async with await asyncio.start_unix_server(serve, path):
            await came.wait()
            await until(lambda: bfdd.lacks("left") == "it has closed the connection")
    await bfdd.close()
    assert bfdd.names == set()
