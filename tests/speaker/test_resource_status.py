"""What each resource of a datastore has come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from speaker.config.conditions import ConditionType
from speaker.config.plan import Plan, resolve
from speaker.control.protocol import ControlError
from speaker.control.views import PeerView, ResourceConditionView, ResourceView
from speaker.datastore.directory import Directory
from speaker.resource_status import ResourceStatus
from tests.support.resources import document, node, peer, settings
from tests.support.views import cache_view, peer_view

NODES = [node("r1", "10.0.0.1/24"), node("r2", "10.0.0.2/24")]
OFF = settings(nodeToNodeMeshEnabled=False)
TOR = peer("tor", node="r1", peerIP="10.9.0.1", asNumber=65000)
PASSWORD = {"secretKeyRef": {"name": "s", "key": "k"}}


class Store:
    """A directory of resources, and what node r1 makes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = Directory(path)

    def write(self, file: str, *documents: Mapping[str, Any]) -> None:
        text = "".join(f"---\n{json.dumps(item)}\n" for item in documents)
        (self.path / file).write_text(text)

    def status(self, *up: str, strict_secrets: bool = False) -> ResourceStatus:
        loaded = self.directory.load()
        plan = resolve(loaded.resources, "r1", strict_secrets=strict_secrets)
        return ResourceStatus(loaded, plan.conditions, list(sessions(plan, *up)), plan.held)

    def one(self, kind: str, name: str, *up: str, **how: Any) -> ResourceView:
        (found,) = self.status(*up, **how).view(kind, name)["resources"]
        return found


def sessions(plan: Plan, *up: str) -> list[PeerView]:
    return [
        peer_view(
            item.address,
            name=item.name,
            resource=item.resource,
            state="up" if item.name in up else "start",
            why="" if item.name in up else "nobody answers",
        )
        for item in plan.peers.values()
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.write("nodes.yaml", *NODES, OFF)
    return found


def condition(view: ResourceView, type_: ConditionType) -> ResourceConditionView:
    (found,) = [item for item in view["conditions"] if item["type"] == type_.value]
    return found


def holds(view: ResourceView) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in view["conditions"]}


def test_a_cache_is_established_when_it_is_followed(store: Store) -> None:
    store.write("cache.yaml", document("RPKICache", "c", {"address": "192.0.2.1"}))
    loaded = store.directory.load()
    well = cache_view("c")
    for cache, expected in (
        (well, ("True", "AllUp")),
        (cache_view("c", state="down", lastError="Connection refused"), ("False", "NotAllUp")),
        (cache_view("c", state="up", lastError="it says No Data Available"), ("False", "NotAllUp")),
    ):
        (view,) = ResourceStatus(loaded, (), (), caches=[cache]).view("rpkicache")["resources"]
        assert holds(view)["Established"] == expected
    assert condition(view, ConditionType.ESTABLISHED)["message"] == (
        "0/1: c is not up: it says No Data Available"
    )


def test_a_resource_that_is_all_right(store: Store) -> None:
    store.write("tor.yaml", TOR)
    view = store.one("bgpp", "tor", "Node_10_9_0_1")
    assert view["place"] == f"{store.path}/tor.yaml:2"
    assert holds(view) == {
        "Accepted": ("True", "Accepted"),
        "Resolved": ("True", "Resolved"),
        "Established": ("True", "AllUp"),
        "Degraded": ("False", "AsAsked"),
        "Conflicting": ("False", "NoConflict"),
    }
    assert condition(view, ConditionType.ESTABLISHED)["message"] == "1/1"


def test_sessions_are_counted_and_the_first_that_is_down_says_why(store: Store) -> None:
    store.write("all.yaml", peer("all", nodeSelector="all()", peerSelector="all()"))
    store.write("third.yaml", node("r3", "10.0.0.3"))
    established = condition(store.one("BGPPeer", "all", "Node_10_0_0_3"), ConditionType.ESTABLISHED)
    assert (established["status"], established["reason"]) == ("False", "NotAllUp")
    assert established["message"] == "1/2: Node_10_0_0_2 is not up: nobody answers"


def test_a_peer_of_other_nodes_has_no_sessions_here(store: Store) -> None:
    store.write("tor.yaml", peer("tor", node="r2", peerIP="10.9.0.1", asNumber=65000))
    assert holds(store.one("bgppeer", "tor"))["Established"] == ("Unknown", "NoSessions")


def test_sessions_of_the_mesh_are_counted_for_the_configuration(store: Store) -> None:
    store.write("nodes.yaml", *NODES)
    view = store.one("bgpconfig", "default", "Mesh_10_0_0_2")
    assert view["place"] == ""
    assert holds(view)["Accepted"] == ("True", "Default")
    assert condition(view, ConditionType.ESTABLISHED)["message"] == "1/1"


def test_a_refused_document_that_was_never_in_force(store: Store) -> None:
    bad = peer("tor", node="r1", peerIP="10.9.0.300", asNumber=65000, colour="blue")
    store.write("tor.yaml", bad)
    view = store.one("bgppeer", "tor")
    accepted = condition(view, ConditionType.ACCEPTED)
    assert (view["place"], accepted["status"], accepted["reason"]) == ("", "False", "Invalid")
    assert accepted["message"].startswith(f"{store.path}/tor.yaml:2:")
    assert accepted["message"].endswith(" and 1 more; it is left out")
    assert holds(view)["Resolved"] == ("Unknown", "NotAccepted")


def test_a_refused_edit_names_what_stays_in_force(store: Store) -> None:
    store.write("tor.yaml", TOR)
    store.status()
    store.write("tor.yaml", peer("tor", node="r1", peerIP="10.9.0.300", asNumber=65000))
    view = store.one("bgppeer", "tor", "Node_10_9_0_1")
    assert "stays in force" in condition(view, ConditionType.ACCEPTED)["message"]
    assert holds(view)["Established"] == ("True", "AllUp")


def test_a_name_that_is_used_twice_conflicts(store: Store) -> None:
    store.write("tor.yaml", TOR)
    store.write("tor2.yaml", TOR)
    conflicting = condition(store.one("bgppeer", "tor"), ConditionType.CONFLICTING)
    assert (conflicting["status"], conflicting["reason"]) == ("True", "DuplicateName")
    assert f"{store.path}/tor2.yaml:2" in conflicting["message"]


def test_two_peers_with_one_address_conflict(store: Store) -> None:
    store.write("tor.yaml", TOR, {**TOR, "metadata": {"name": "tor2"}})
    assert holds(store.one("bgppeer", "tor2"))["Conflicting"] == ("True", "DuplicatePeer")
    assert holds(store.one("bgppeer", "tor"))["Conflicting"] == ("False", "NoConflict")


def test_a_filter_that_nobody_defined_is_not_resolved(store: Store) -> None:
    item = peer("tor", node="r1", peerIP="10.9.0.1", asNumber=65000, filters=["a", "b"])
    store.write("tor.yaml", item)
    resolved = condition(store.one("bgppeer", "tor"), ConditionType.RESOLVED)
    assert (resolved["status"], resolved["reason"]) == ("False", "UnknownFilter")
    assert "BGPFilter or RoutePolicy a" in resolved["message"]
    assert "BGPFilter or RoutePolicy b" in resolved["message"]


def test_a_peer_without_as_is_skipped_alone(store: Store) -> None:
    store.write("tor.yaml", peer("tor", peerIP="10.9.0.1", asNumber=0), {**TOR})
    store.write("other.yaml", peer("other", node="r1", peerIP="10.9.0.2", asNumber=65000))
    assert holds(store.one("bgppeer", "other", "Node_10_9_0_2"))["Established"] == ("True", "AllUp")


def test_a_missing_secret_leaves_a_session_without_password(store: Store) -> None:
    store.write("tor.yaml", peer("tor", peerIP="10.9.0.1", asNumber=65000, password=PASSWORD))
    view = store.one("bgppeer", "tor", "Global_10_9_0_1")
    degraded = condition(view, ConditionType.DEGRADED)
    assert degraded["status"] == "True"
    assert "there is no Secret s; the session has no password" in degraded["message"]
    assert holds(view)["Established"] == ("True", "AllUp")


def test_a_missing_secret_holds_a_session_down_where_that_is_asked_for(store: Store) -> None:
    store.write("tor.yaml", peer("tor", peerIP="10.9.0.1", asNumber=65000, password=PASSWORD))
    view = store.one("bgppeer", "tor", strict_secrets=True)
    degraded = condition(view, ConditionType.DEGRADED)
    assert "there is no Secret s; the session is held down" in degraded["message"]
    established = condition(view, ConditionType.ESTABLISHED)
    assert established["message"] == "0/1: Global_10_9_0_1 is not up: it is held down"


def test_a_secret_lets_a_held_session_go(store: Store) -> None:
    store.write("tor.yaml", peer("tor", peerIP="10.9.0.1", asNumber=65000, password=PASSWORD))
    folder = store.path / "secrets" / "s"
    folder.mkdir(parents=True)
    (folder / "other").write_text("hush")
    view = store.one("bgppeer", "tor", strict_secrets=True)
    assert "Secret s has no key k" in condition(view, ConditionType.DEGRADED)["message"]
    (folder / "k").write_text("hush")
    view = store.one("bgppeer", "tor", "Global_10_9_0_1", strict_secrets=True)
    assert holds(view)["Established"] == ("True", "AllUp")


def test_a_secret_of_the_mesh_that_is_missing(store: Store) -> None:
    store.write("nodes.yaml", *NODES, settings(nodeMeshPassword=PASSWORD))
    view = store.one("bgpconfig", "default", strict_secrets=True)
    assert condition(view, ConditionType.ESTABLISHED)["message"].startswith("0/1: Mesh_10_0_0_2")


def test_a_password_that_is_too_long_or_ends_with_a_line(store: Store) -> None:
    folder = store.path / "secrets" / "s"
    folder.mkdir(parents=True)
    store.write("tor.yaml", peer("tor", peerIP="10.9.0.1", asNumber=65000, password=PASSWORD))
    (folder / "k").write_text("hush\n")
    view = store.one("bgppeer", "tor", "Global_10_9_0_1")
    assert "ends with a line end" in condition(view, ConditionType.DEGRADED)["message"]
    (folder / "k").write_text("h" * 81)
    view = store.one("bgppeer", "tor")
    assert "more than 80 bytes" in condition(view, ConditionType.DEGRADED)["message"]
    assert holds(view)["Established"] == ("Unknown", "NoSessions")


def test_a_configuration_of_another_name_is_not_accepted(store: Store) -> None:
    store.write("other.yaml", settings("cluster"))
    assert holds(store.one("bgpconfig", "cluster"))["Accepted"] == ("False", "Ignored")


def test_all_kinds_are_shown_and_what_is_no_resource_besides(store: Store) -> None:
    store.write("tor.yaml", TOR, document("BGPFilter", "f", {}))
    (store.path / "broken.yaml").write_text("kind: [")
    found = store.status().view()
    assert [(item["kind"], item["name"]) for item in found["resources"]] == [
        ("BGPConfiguration", "default"),
        ("BGPFilter", "f"),
        ("BGPPeer", "tor"),
        ("Node", "r1"),
        ("Node", "r2"),
    ]
    (problem,) = found["problems"]
    assert problem.startswith(f"{store.path}/broken.yaml:")
    assert store.status().view("node")["problems"] == []


def test_warnings_of_a_document_are_shown_with_it(store: Store) -> None:
    store.write("tor.yaml", {**TOR, "spec": {**TOR["spec"], "keepOriginalNextHop": True}})
    (warning,) = store.one("bgppeer", "tor")["warnings"]
    assert "nextHopMode: Keep" in warning


def test_who_asks_for_what_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(ControlError, match="did you mean BGPPeer"):
        store.status().view("bgppear")
    with pytest.raises(ControlError, match="there is no BGPPeer spine"):
        store.status().view("bgppeer", "spine")


def test_every_resource_has_a_condition_of_each_type_with_a_sentence(store: Store) -> None:
    store.write("tor.yaml", TOR, document("IPPool", "pool", {"cidr": "10.65.0.0/16"}))
    for item in store.status().view()["resources"]:
        types = [found["type"] for found in item["conditions"]]
        assert types in (list(ConditionType), [t for t in ConditionType if t != "Established"])
        assert all(found["reason"] and found["message"] for found in item["conditions"])
