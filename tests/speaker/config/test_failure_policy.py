"""What is wrong costs the smallest thing that it can, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from speaker.config.changes import changes
from speaker.config.conditions import ConditionType
from speaker.config.plan import Plan, resolve
from speaker.errors import ConfigError
from tests.support.resources import document, node, peer, plan, resources, settings

ME = node("a", "10.0.0.1/24")
OFF = settings(nodeToNodeMeshEnabled=False)
GOOD = peer("good", node="a", peerIP="10.9.0.1", asNumber=65001)
PASSWORD = {"secretKeyRef": {"name": "s", "key": "k"}}


def secret(value: str, key: str = "k") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {key: value},
    }


def bad(**spec: Any) -> dict[str, Any]:
    return peer("bad", **{"node": "a", "peerIP": "10.9.0.2", "asNumber": 65002, **spec})


def said_of(found: Plan, resource: str) -> list[tuple[str, ConditionType]]:
    return [(item.reason, item.type) for item in found.conditions if item.resource == resource]


RESOLVED, DEGRADED, CONFLICTING = (
    ConditionType.RESOLVED,
    ConditionType.DEGRADED,
    ConditionType.CONFLICTING,
)


@pytest.mark.parametrize(
    ("wrong", "reason", "about"),
    [
        ([bad(asNumber=0)], "NoAS", RESOLVED),
        ([bad(asNumber=None)], "NoAS", RESOLVED),
        ([bad(peerIP=None)], "NoTarget", RESOLVED),
        ([bad(peerIP="fd00::2")], "NoAddress", RESOLVED),
        ([bad(peerIP="10.0.0.1", asNumber=64512)], "OwnAddress", RESOLVED),
        ([bad(peerIP=None, asNumber=None, peerSelector="has(x)")], "NothingSelected", RESOLVED),
        ([bad(node=None, nodeSelector="has(x)")], "NothingSelected", RESOLVED),
        ([bad(node="x")], "NoSuchNode", RESOLVED),
        ([bad(peerIP="10.9.0.1:180")], "SameAddress", CONFLICTING),
        ([bad(password=PASSWORD), secret("h" * 81)], "LongPassword", DEGRADED),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_peer_that_cannot_be_is_skipped_alone(
    wrong: list[dict[str, Any]], reason: str, about: ConditionType
) -> None:
    # The good one is first by name, so that it is also the one that wins a conflict.
    good = {**GOOD, "metadata": {"name": "a-good"}}
    found = plan("a", ME, OFF, good, *wrong)
    assert [item.resource for item in found.peers.values()] == ["a-good"]
    assert (reason, about) in said_of(found, "BGPPeer/bad")
    assert said_of(found, "BGPPeer/a-good") == []


@pytest.mark.parametrize(
    ("wrong", "reason", "about"),
    [
        ([bad(filters=["nobodys"])], "UnknownFilter", RESOLVED),
        ([bad(password=PASSWORD)], "NoPassword", DEGRADED),
        ([bad(password=PASSWORD), secret("hush", "other")], "NoPassword", DEGRADED),
        ([bad(password=PASSWORD), secret("hush\n")], "PasswordNewline", DEGRADED),
        (
            [bad(extensions={"wren.bgp/tcpAO": "1 other/k, 2 s/k"}), secret("hush")],
            "NoKey",
            DEGRADED,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_peer_that_lacks_something_goes_without(
    wrong: list[dict[str, Any]], reason: str, about: ConditionType
) -> None:
    found = plan("a", ME, OFF, GOOD, *wrong)
    assert sorted(item.resource for item in found.peers.values()) == ["bad", "good"]
    assert said_of(found, "BGPPeer/bad") == [(reason, about)]
    assert said_of(found, "BGPPeer/good") == []


def test_the_filters_that_there_are_still_count() -> None:
    rule = {"action": "Reject", "cidr": "10.0.0.0/8", "matchOperator": "In"}
    known = document("BGPFilter", "known", {"importV4": [rule]})
    found = plan("a", ME, OFF, bad(filters=["nobodys", "known"]), known)
    (made,) = found.peers.values()
    assert made.filters == ("known",)
    assert made.import_rules


def test_a_filter_without_rules_is_none() -> None:
    found = plan("a", ME, OFF, bad(filters=["empty"]), document("BGPFilter", "empty", {}))
    (made,) = found.peers.values()
    assert (made.import_rules, made.export_rules, found.conditions) == ((), (), ())


def test_a_missing_password_holds_a_session_down_where_that_is_asked_for() -> None:
    store = resources(ME, OFF, GOOD, bad(password=PASSWORD))
    found = resolve(store, "a", strict_secrets=True)
    assert [item.resource for item in found.peers.values()] == ["good"]
    assert found.held == (("Node_10_9_0_2", "bad"),)
    assert resolve(store, "a").held == ()


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([node("b", "10.0.0.2")], "there is no Node a"),
        ([node("a")], "has no BGP address"),
        ([node("a", asn=65001)], "has no BGP address"),
    ],
)
def test_without_a_node_of_our_own_there_is_no_plan(
    documents: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        plan("a", *documents)


def test_an_as_is_always_there() -> None:
    assert plan("a", ME).asn == 64512
    assert plan("a", ME, settings(asNumber=65000)).asn == 65000
    assert plan("a", node("a", "10.0.0.1", asn=65001), settings(asNumber=65000)).asn == 65001


def test_when_default_is_gone_every_default_is_back_at_once() -> None:
    other = node("b", "10.0.0.2/24")
    own = settings(
        nodeToNodeMeshEnabled=False, asNumber=65000, listenPort=1790, logSeverityScreen="Debug"
    )
    before, after = plan("a", ME, other, own, GOOD), plan("a", ME, other, GOOD)
    assert (before.asn, before.listen_port, before.log_severity) == (65000, 1790, "Debug")
    assert (after.asn, after.listen_port, after.log_severity) == (64512, 179, "Info")
    assert list(after.peers) == ["Mesh_10_0_0_2", "Node_10_9_0_1"]
    assert any("Mesh_10_0_0_2" in change.describe() for change in changes(before, after))
