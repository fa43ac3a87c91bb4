"""Keys of TCP-AO in documents and plans: how they are written, and where their octets come from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from speaker.config.plan import Plan, Secret, resolve
from speaker.config.reading import validate
from speaker.config.scalars import ScalarError
from speaker.config.tcp_ao import Algorithm, KeyReference, MasterKey, parse_tcp_ao
from speaker.config.views import plan_json
from tests.support.resources import node, peer, plan, resources, settings

ME, OFF = node("a", "10.0.0.1/24"), settings(nodeToNodeMeshEnabled=False)
NAME = "Global_10_9_0_1"


def keyed(text: str, **spec: Any) -> dict[str, Any]:
    own = {"peerIP": "10.9.0.1", "asNumber": 65000, "extensions": {"wren.bgp/tcpAO": text}}
    return peer("tor", **{**own, **spec})


def secret(name: str, **values: str) -> dict[str, Any]:
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    return {**made, "stringData": values}


def told(found: Plan) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in found.conditions]


def test_a_key_has_ids_a_secret_and_an_algorithm() -> None:
    assert parse_tcp_ao("1 tor/one") == (KeyReference(1, 1, "tor", "one"),)
    assert parse_tcp_ao(
        " 0:255  tor.example/One.key  AES-128-CMAC-96 , 7 tor/two hmac-sha-256-128"
    ) == (
        KeyReference(0, 255, "tor.example", "One.key", Algorithm.AES_128_CMAC_96),
        KeyReference(7, 7, "tor", "two", Algorithm.HMAC_SHA_256_128),
    )
    assert [each.ids for each in parse_tcp_ao("1 s/a, 2:3 s/b")] == ["1", "2:3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not ID SECRET/KEY"),
        ("1", "is not ID SECRET/KEY"),
        ("tor/one", "is not ID SECRET/KEY"),
        ("1 tor", "is not ID SECRET/KEY"),
        ("1 tor/one,", "is not ID SECRET/KEY"),
        ("-1 tor/one", "is not ID SECRET/KEY"),
        ("256 tor/one", "ids are 0–255"),
        ("1:300 tor/one", "ids are 0–255"),
        ("1 tor/one md5", "'md5' is none of hmac-sha-1-96, aes-128-cmac-96, hmac-sha-256-128"),
        ("1:2 s/a, 1:3 s/b", "two keys have the send id 1"),
        ("1:2 s/a, 3:2 s/b", "two keys have the receive id 2"),
    ],
)
def test_what_is_no_list_of_keys(text: str, words: str) -> None:
    with pytest.raises(ScalarError, match=words):
        parse_tcp_ao(text)


def test_the_octets_come_from_secrets_and_are_hidden() -> None:
    found = plan(
        "a",
        ME,
        keyed("1 s/k, 2:3 t/l aes-128-cmac-96"),
        secret("s", k="hush"),
        secret("t", l="shh"),
    )
    assert found.peers[NAME].tcp_ao == (
        MasterKey(1, 1, Algorithm.HMAC_SHA_1_96, Secret(b"hush")),
        MasterKey(2, 3, Algorithm.AES_128_CMAC_96, Secret(b"shh")),
    )
    assert [key.octets.source for key in found.peers[NAME].tcp_ao] == ["s/k", "t/l"]
    assert "hush" not in repr(found) + json.dumps(plan_json(found))
    assert plan_json(found)["peers"][0]["tcpAO"] == [
        {"sendID": 1, "receiveID": 1, "algorithm": "hmac-sha-1-96"},
        {"sendID": 2, "receiveID": 3, "algorithm": "aes-128-cmac-96"},
    ]


def test_a_key_that_is_missing_is_left_out() -> None:
    found = plan("a", ME, keyed("1 s/k, 2 s/l, 3 t/k"), secret("s", k="", l="hush"))
    assert [key.send_id for key in found.peers[NAME].tcp_ao] == [2]
    assert told(found) == [
        ("NoKey", "key k of Secret s is empty; key 1 of TCP-AO is left out"),
        ("NoKey", "there is no Secret t; key 3 of TCP-AO is left out"),
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_a_session_without_any_of_its_keys_is_held_down(strict: bool) -> None:
    found = resolve(resources(ME, keyed("1 s/k")), "a", strict_secrets=strict)
    assert (found.peers, found.held) == ({}, ((NAME, "tor"),))
    assert told(found)[0] == ("NoKey", "there is no Secret s; key 1 of TCP-AO is left out")


def test_the_other_end_has_the_ids_the_other_way_round() -> None:
    """A BGPPeer between two nodes names one of them; the other has its half by itself."""
    other = node("b", "10.0.0.2/24")
    item = keyed("1:2 s/k", node="a", peerIP="10.0.0.2", asNumber=64512)
    for me, ids in (("a", (1, 2)), ("b", (2, 1))):
        found = plan(me, ME, other, OFF, item, secret("s", k="hush"))
        [made] = found.peers.values()
        [key] = made.tcp_ao
        assert (key.send_id, key.receive_id) == ids


def test_a_key_that_is_too_long_skips_the_peer() -> None:
    found = plan("a", ME, keyed("1 s/k, 2 s/l"), secret("s", k="x" * 80, l="x" * 81))
    assert found.peers == {}
    message = "key 2 of TCP-AO has more than 80 bytes; the peer is skipped"
    assert told(found) == [("LongPassword", message)]


def test_documents_are_held_against_each_other() -> None:
    documents = [keyed("1 s/k"), secret("s", k="x" * 81)]
    reports = validate([("all.json", json.dumps(document_list(documents)))])
    [problem] = [each for report in reports for each in report.problems]
    assert problem.rule == "long-password"
    assert problem.field == "spec.extensions['wren.bgp/tcpAO']"


def document_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}
