"""The keys ``wren.bgp/bfd…``: what they take, and what becomes of it in a plan."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fsm.bfd import AuthType
from speaker.config.bfd import DEFAULTS
from speaker.config.bfd_keys import (
    KINDS,
    BfdKeys,
    BfdTimers,
    BfdWay,
    KeyPlace,
    parse_keys,
    parse_strict,
    parse_timers,
    parse_way,
)
from speaker.config.changes import UpdatePeer, changes
from speaker.config.plan import PeerPlan, Plan
from speaker.config.scalars import ScalarError
from speaker.config.views import plan_json
from tests.support.resources import document, node, peer, plan, read

A = node("a", "10.0.0.1/24")
ON = "BFDIfDirectlyConnected"


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("on", BfdWay(True)),
        ("Off", BfdWay(False)),
        (" multihop ", BfdWay(True, 255)),
        ("multihop  3", BfdWay(True, 3)),
    ],
)
def test_a_peer_is_watched_on_a_link_over_hops_or_not(text: str, way: BfdWay) -> None:
    assert parse_way(text) == way
    assert parse_way(str(way)) == way


@pytest.mark.parametrize("text", ["", "hops", "multihop 0", "multihop 256", "multihop x", "on 3"])
def test_what_is_no_way_to_watch_is_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        parse_way(text)


@pytest.mark.parametrize(
    ("text", "timers"),
    [
        ("send 300ms", BfdTimers(send=0.3)),
        ("multiplier 3, receive 1s idle 10s", BfdTimers(receive=1, multiplier=3, idle=10)),
        ("echo 50ms", BfdTimers(echo=0.05)),
    ],
)
def test_timers_have_names_and_any_order(text: str, timers: BfdTimers) -> None:
    assert parse_timers(text) == timers
    assert parse_timers(str(timers)) == timers


@pytest.mark.parametrize(
    "text",
    [
        *("", "send", "send 300", "send 1us", "send 5000s", "multiplier 0", "multiplier 256"),
        "echo 0ms",
        *("send 1s send 2s", "speed 1s", "multiplier 1s"),
    ],
)
def test_timers_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        parse_timers(text)


def test_timers_that_are_not_named_stay() -> None:
    found = BfdTimers(send=0.5, multiplier=7).over(DEFAULTS)
    assert (found.desired_min_tx_us, found.detect_mult) == (500_000, 7)
    assert found.required_min_rx_us == DEFAULTS.required_min_rx_us
    assert BfdTimers().over(DEFAULTS) == DEFAULTS
    assert DEFAULTS.required_min_echo_rx_us == 0
    assert BfdTimers(echo=0.05).over(DEFAULTS).required_min_echo_rx_us == 50_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("on", 0.0), ("off", None), (" 30 ", 30.0), ("3600", 3600.0)]
)
def test_a_session_waits_for_bfd_that_is_up_for_so_long(text: str, seconds: float | None) -> None:
    assert parse_strict(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "3601", "-1", "1.5", "strictly", "30s"])
def test_what_is_no_wait_for_bfd_is_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        parse_strict(text)


def test_keys_are_places_in_secrets_and_the_first_signs() -> None:
    found = parse_keys("meticulous-keyed-sha1 3 bfd-keys/current, 0 old.keys/former_1")
    places = (KeyPlace(3, "bfd-keys", "current"), KeyPlace(0, "old.keys", "former_1"))
    assert found == BfdKeys(AuthType.METICULOUS_KEYED_SHA1, places)
    assert len({parse_keys(f"{word} 1 s/k").kind for word in KINDS}) == len(AuthType)


@pytest.mark.parametrize(
    "text",
    [
        *("", "hush", "simple hush", "simple 1 hush", "simple 256 s/k", "simple 1 s/k, 1 s/l"),
        *("keyed-sha1 1 s/k,", "keyed-sha1 1 S_/k", "sha1 1 s/k", "simple -1 s/k"),
    ],
)
def test_keys_that_make_no_sense_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ScalarError) as refused:
        parse_keys(text)
    assert "hush" not in str(refused.value)


def secret(**values: str) -> dict[str, Any]:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


def watched(extensions: dict[str, str], *more: dict[str, Any], **spec: Any) -> Plan:
    keys = {f"wren.bgp/{name}": value for name, value in extensions.items()}
    return plan(
        "a", A, peer("tor", peerIP="10.9.0.1", asNumber=65000, extensions=keys, **spec), *more
    )


def only(found: Plan) -> PeerPlan:
    [peer_plan] = found.peers.values()
    return peer_plan


@pytest.mark.parametrize(
    ("mode", "key", "is_watched", "hops"),
    [
        ("None", None, False, 0),
        (ON, None, True, 0),
        ("None", "on", True, 0),
        (ON, "off", False, 0),
        (ON, "multihop 4", True, 4),
    ],
)
def test_the_key_counts_before_calicos_field(
    mode: str, key: str | None, is_watched: bool, hops: int
) -> None:
    keys = {} if key is None else {"bfd": key}
    found = only(watched(keys, failureDetectionMode=mode))
    assert (found.bfd, found.bfd_hops) == (is_watched, hops)


def test_keys_come_from_secrets_and_hide() -> None:
    found = watched(
        {"bfd": "on", "bfdAuth": "keyed-md5 7 s/new, 8 s/old"}, secret(new="hush", old="sh")
    )
    assert found.conditions == ()
    auth = only(found).bfd_auth
    assert auth is not None
    revealed = auth.reveal()
    assert (revealed.key_id, dict(revealed.keys)) == (7, {7: b"hush", 8: b"sh"})
    shown = repr(found) + json.dumps(plan_json(found)) + repr(revealed)
    assert "hush" not in shown
    assert b"hush".hex() not in shown


@pytest.mark.parametrize(
    ("values", "lacks"),
    [
        (None, "there is no Secret s"),
        ({"old": "sh"}, "Secret s has no key new"),
        ({"new": "", "old": "sh"}, "key new of Secret s is empty"),
        ({"new": "x" * 17, "old": "sh"}, "key new of Secret s has 17 bytes"),
    ],
)
def test_without_the_key_that_signs_a_peer_is_not_watched(
    values: dict[str, str] | None, lacks: str
) -> None:
    more = [] if values is None else [secret(**values)]
    found = watched({"bfd": "on", "bfdAuth": "keyed-md5 7 s/new, 8 s/old"}, *more)
    assert only(found).bfd_lacks.startswith(lacks)
    assert only(found).bfd_auth is None
    assert {c.reason for c in found.conditions} == {"NoBFDKey"}
    assert found.conditions[0].message.endswith("BFD does not watch the peer")


def test_a_second_key_that_is_missing_is_left_out() -> None:
    found = watched({"bfd": "on", "bfdAuth": "keyed-md5 7 s/new, 8 s/old"}, secret(new="hush"))
    auth = only(found).bfd_auth
    assert auth is not None
    assert [number for number, _ in auth.keys] == [7]
    assert [c.message for c in found.conditions] == ["Secret s has no key old; it is left out"]


@pytest.mark.parametrize(
    "keys", [{"bfdTimers": "send 1s"}, {"bfdStrict": "on"}, {"bfdAuth": "simple 1 s/k"}], ids=str
)
def test_keys_for_a_peer_without_bfd_are_told(keys: dict[str, str]) -> None:
    found = watched(keys)
    assert [c.reason for c in found.conditions] == ["NoBFD"]
    assert (only(found).bfd, only(found).bfd_strict) == (False, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bfd", "multihop"),
        ("bfdTimers", "send 1s"),
        ("bfdAuth", "keyed-sha1 2 s/k"),
        ("bfdStrict", "30"),
    ],
)
def test_no_edit_of_a_key_resets_a_session(name: str, value: str) -> None:
    before = {"bfd": "on", "bfdAuth": "simple 1 s/k"}
    old = watched(before, secret(k="hush"))
    found = changes(old, watched({**before, name: value}, secret(k="hush")))
    assert [type(change) for change in found] == [UpdatePeer]
    assert "no reset" in found[0].describe()
    assert "hush" not in found[0].describe()


def test_a_link_local_peer_is_never_hops_away() -> None:
    keys = {"wren.bgp/interface": "eth0", "wren.bgp/bfd": "multihop"}
    tree = document("BGPPeer", "p", {"peerIP": "fe80::2", "asNumber": 1, "extensions": keys})
    [report] = read(json.dumps(tree))
    [problem] = report.problems
    assert (problem.field, problem.rule) == ("spec.extensions['wren.bgp/bfd']", "link-local")
