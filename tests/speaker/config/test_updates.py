"""What the verbs make of documents."""

from __future__ import annotations

from typing import Any

import pytest

from speaker.config.documents import Document
from speaker.config.kinds import FILTER_KINDS, Kind
from speaker.config.stored import Stored, stored
from speaker.config.updates import (
    PatchError,
    created,
    labelled,
    objections,
    patched,
    updated,
    version_given,
)
from tests.support.resources import document, node, peer


def kept(tree: dict[str, Any]) -> Stored:
    found = stored(Document("f", 0, tree, {}))
    assert found is not None
    return found


def test_of_the_metadata_only_what_is_the_users_is_kept() -> None:
    given = document(
        "Node",
        "a",
        {},
        uid="7",
        resourceVersion="9",
        generation=2,
        creationTimestamp="2026-01-01T00:00:00Z",
        labels={"a": "b"},
        annotations={},
    )
    assert created(kept(given)).tree["metadata"] == {"name": "a", "labels": {"a": "b"}}
    assert version_given(kept(given)) == "9"


def test_an_update_adds_labels_and_replaces_the_spec() -> None:
    old = kept(node("a", "10.0.0.1/24", "fd00::1", rack="1", role="x"))
    new = updated(old, kept(node("a", "10.0.0.2/24", role="y", rr="")))
    assert new.tree["metadata"]["labels"] == {"rack": "1", "role": "y", "rr": ""}
    assert new.tree["spec"] == {"bgp": {"ipv4Address": "10.0.0.2/24"}}


def test_an_update_leaves_what_a_daemon_wrote() -> None:
    old = kept({**document("Node", "a", {}), "status": {"podCIDRs": ["10.0.0.0/24"]}})
    new = updated(old, kept(node("a", "10.0.0.1")))
    assert new.tree["status"] == {"podCIDRs": ["10.0.0.0/24"]}


def old_form(kind: str, metadata: dict[str, str], spec: dict[str, Any]) -> Stored:
    return kept({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})


def test_a_node_of_calico_2_leaves_alone_what_it_has_no_words_for() -> None:
    old = kept(node("a", "10.0.0.1", "fd00::1", asn=65001, cluster_id="224.0.0.1", rr=""))
    old.tree["spec"]["wireguard"] = {"interfaceIPv4Address": "10.9.0.1"}
    new = updated(old, old_form("node", {"name": "a"}, {"bgp": {"ipv4Address": "10.0.0.2/32"}}))
    assert new.tree["spec"] == {
        "wireguard": {"interfaceIPv4Address": "10.9.0.1"},
        "bgp": {"routeReflectorClusterID": "224.0.0.1", "ipv4Address": "10.0.0.2/32"},
    }
    assert new.tree["metadata"]["labels"] == {"rr": ""}


def test_a_peer_of_calico_2_says_all_about_its_scope() -> None:
    before = peer("10-0-0-1", peerIP="10.0.0.1:1179", asNumber=1, nodeSelector="a", ttlSecurity=1)
    given = old_form("bgpPeer", {"scope": "global", "peerIP": "10.0.0.1"}, {"asNumber": 2})
    assert updated(kept(before), given).tree["spec"] == {
        "ttlSecurity": 1,
        "peerIP": "10.0.0.1",
        "asNumber": 2,
    }


def test_a_pool_of_calico_2_keeps_its_blocks() -> None:
    old = pool("10.0.0.0/16", ipipMode="Always", blockSize=28)
    old = kept({**old.tree, "metadata": {"name": "10-0-0-0-16"}})
    given = old_form("ipPool", {"cidr": "10.0.0.0/16"}, {"nat-outgoing": True})
    assert updated(old, given).tree["spec"] == {
        "blockSize": 28,
        "cidr": "10.0.0.0/16",
        "natOutgoing": True,
    }


def test_a_patch_merges_maps_replaces_lists_and_removes_nulls() -> None:
    old = kept(peer("a", peerIP="10.0.0.1", asNumber=1, filters=["a", "b"], node="n"))
    new = patched(old, {"spec": {"filters": ["c"], "node": None, "asNumber": "1.0"}})
    assert new.tree["spec"] == {"peerIP": "10.0.0.1", "asNumber": 65536, "filters": ["c"]}
    assert old.tree["spec"]["node"] == "n"


def test_a_patch_may_say_what_becomes_of_a_map() -> None:
    old = kept(node("a", "10.0.0.1", rack="1", role="x"))
    new = patched(old, {"metadata": {"labels": {"$patch": "replace", "rr": ""}}})
    assert new.tree["metadata"]["labels"] == {"rr": ""}
    gone = patched(old, {"metadata": {"labels": {"$patch": "delete"}}})
    assert gone.tree["metadata"]["labels"] == {}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ([], "is a mapping"),
        ({"spec": {"$patch": "burn"}}, "merge, replace or delete, not 'burn'"),
        ({"spec": {"$retainKeys": ["a"]}}, "\\$retainKeys is no directive"),
        ({"metadata": {"name": "b"}}, "cannot change kind and name"),
        ({"kind": None}, "cannot change kind and name"),
    ],
)
def test_a_patch_without_sense_is_refused(patch: Any, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        patched(kept(node("a", "10.0.0.1")), patch)


def test_labels_come_and_go() -> None:
    old = kept(document("Node", "a", {}))
    new = labelled(old, "rr", "")
    assert new.tree["metadata"] == {"name": "a", "labels": {"rr": ""}}
    assert labelled(new, "rr", None).tree == old.tree


def test_filters_of_a_peer_must_exist() -> None:
    new = kept(peer("a", peerIP="10.0.0.1", asNumber=1, filters=["f", "g", "h"]))
    assert list(objections(None, new, {(Kind.BGP_FILTER, "g")})) == ["BGPFilter(s) not found: f, h"]
    three = {(Kind.BGP_FILTER, "f"), (Kind.ROUTE_POLICY, "g"), (Kind.BGP_FILTER, "h")}
    assert list(objections(None, new, three)) == []


@pytest.mark.parametrize("kind", FILTER_KINDS)
def test_a_name_stands_for_one_filter(kind: Kind) -> None:
    (other,) = set(FILTER_KINDS) - {kind}
    new = kept(document(kind, "f", {}))
    assert list(objections(None, new, {(kind, "f"), (other, "g")})) == []
    (said,) = objections(None, new, {(kind, "f"), (other, "f")})
    assert said.startswith(f"{other} f has that name already")


def pool(cidr: str, **spec: Any) -> Stored:
    return kept(document("IPPool", "p", {"cidr": cidr, **spec}))


def test_range_and_block_size_of_a_pool_stay() -> None:
    old = pool("10.0.0.0/16")
    assert list(objections(None, old, ())) == []
    assert list(objections(old, pool("10.0.0.0/16", blockSize=26, natOutgoing=True), ())) == []
    assert list(objections(old, pool("10.1.0.0/16", blockSize=27), ())) == [
        "IPPool CIDR cannot be modified: it is 10.0.0.0/16, not 10.1.0.0/16",
        "IPPool BlockSize cannot be modified: it is 26, not 27",
    ]
    assert list(objections(pool("fd00::/48"), pool("fd00::/48", blockSize=122), ())) == []
