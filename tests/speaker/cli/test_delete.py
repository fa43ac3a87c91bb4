"""``wren delete``."""

from __future__ import annotations

import json

import pytest

from tests.support.resources import node, peer, settings
from tests.support.stores import Store

TOR = peer("tor", peerIP="10.0.0.9", asNumber=65000)
SPINE = peer("spine", peerIP="10.0.0.8", asNumber=65000, node="n1")


def test_by_kind_and_names(store: Store) -> None:
    store.holds(TOR, SPINE, settings())
    done = store.wren("delete", "BGPPeers", "tor", "spine")
    assert (done.exit_code, done.stdout) == (0, "Successfully deleted 2 'BGPPeer' resource(s)\n")
    assert store.names() == ["bgpconfiguration-default.yaml"]


def test_what_is_not_there_is_told_and_the_rest_goes(store: Store) -> None:
    store.holds(TOR)
    done = store.wren("delete", "bgpp", "other", "tor")
    assert (done.exit_code, done.stdout) == (1, "Successfully deleted 1 'BGPPeer' resource(s)\n")
    assert done.stderr == (
        "Failed to delete 'BGPPeer' resource: resource does not exist: BGPPeer(other)\n"
    )
    assert store.names() == []
    done = store.wren("delete", "bgpp", "other", "--skip-not-exists")
    assert (done.exit_code, done.stdout) == (0, "Successfully deleted 1 'BGPPeer' resource(s)\n")


def test_as_files_name_them_right_or_not(store: Store) -> None:
    store.holds(TOR, SPINE, node("n1", "10.0.0.1"))
    named = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "bgppeer",
            "metadata": {"name": "tor"},
            "spec": {"nonsense": True},
        },
        {"apiVersion": "projectcalico.org/v3", "kind": "Node", "metadata": {"name": "n1"}},
    ]
    done = store.give("delete", *named)
    assert (done.exit_code, done.stdout) == (0, "Successfully deleted 2 resource(s)\n")
    assert list(store.loaded().peers) == ["spine"]


def test_a_document_that_names_nothing_stops_the_whole(store: Store) -> None:
    store.holds(TOR)
    done = store.give("delete", TOR, {"apiVersion": "projectcalico.org/v3", "kind": "BGPPeer"})
    assert done.exit_code == 1
    assert "stdin:4:1: metadata: metadata is required" in done.stderr
    assert list(store.loaded().peers) == ["tor"]


def test_an_old_version_is_not_deleted(store: Store) -> None:
    store.holds(TOR)
    old = store.get("bgppeer", "tor")
    store.wren("label", "bgppeer", "tor", "a=b")
    done = store.give("delete", old)
    assert done.exit_code == 1
    assert "update conflict: BGPPeer(tor)" in done.stderr
    assert store.give("delete", store.get("bgppeer", "tor")).exit_code == 0


def test_peers_of_calico_2_by_address_and_scope(store: Store) -> None:
    store.holds(TOR, SPINE, peer("selected", peerIP="10.0.0.8", asNumber=1, nodeSelector="all()"))
    done = store.wren("delete", "bgpPeer", "10.0.0.9")
    assert done.exit_code == 1
    assert done.stderr.startswith("insufficient identifiers, missing 'scope'")
    done = store.wren("delete", "bgpPeer", "10.0.0.8", "--scope=node")
    assert done.stderr.startswith("insufficient identifiers, missing 'node'")
    done = store.wren("delete", "bgpPeer", "10.0.0.9", "--scope=node", "--node=n1")
    assert done.stderr == (
        "Failed to delete 'BGPPeer' resource: resource does not exist: BGPPeer(10.0.0.9)\n"
    )
    assert store.wren("delete", "bgpPeer", "10.0.0.9", "--scope=global").exit_code == 0
    assert store.wren("delete", "bgpPeer", "10.0.0.8", "--scope=node", "--node=n1").exit_code == 0
    assert list(store.loaded().peers) == ["selected"]


def test_documents_of_calico_2_name_peers_without_their_as(store: Store) -> None:
    store.holds(TOR)
    old = {"apiVersion": "v1", "kind": "bgpPeer", "metadata": {"scope": "global", "peerIP": "::1"}}
    assert store.give("create", {**old, "spec": {"asNumber": 1}}).exit_code == 0
    assert len(store.loaded().peers) == 2
    assert store.give("delete", old).exit_code == 0
    assert list(store.loaded().peers) == ["tor"]
    del old["metadata"]["scope"]  # type: ignore[attr-defined]
    done = store.give("delete", old)
    assert done.exit_code == 1
    assert "scope is global or node (enum)" in done.stderr


def test_an_address_that_several_peers_have_is_not_enough(store: Store) -> None:
    store.holds(TOR, peer("tor2", peerIP="10.0.0.9:1179", asNumber=1))
    done = store.wren("delete", "bgpPeer", "10.0.0.9", "--scope=global")
    assert done.exit_code == 1
    assert "several BGPPeers have the address 10.0.0.9 there: tor, tor2" in done.stderr
    assert len(store.loaded().peers) == 2


@pytest.mark.parametrize(
    "words",
    [[], ["bgppeer"], ["bgppeer", "a", "-f", "x"], ["node", "a", "--scope", "global"]],
)
def test_wrong_usage(store: Store, words: list[str]) -> None:
    assert store.wren("delete", *words).exit_code == 2


def test_an_unknown_kind_is_said_as_calicoctl_says_it(store: Store) -> None:
    done = store.wren("delete", "bgpper", "a")
    assert done.exit_code == 1
    assert done.stderr == "resource type 'bgpper' is not supported; did you mean BGPPeer?\n"


def test_comments_of_the_others_stay(store: Store) -> None:
    text = "# ours\n" + "".join(
        f"---\n# {n}\n{json.dumps(peer(n, peerIP=f'10.0.0.{i}', asNumber=1))}\n"
        for i, n in enumerate("abc", 1)
    )
    (store.path / "all.yaml").write_text(text)
    assert store.wren("delete", "bgppeer", "b").exit_code == 0
    kept = (store.path / "all.yaml").read_text()
    assert (
        kept
        == "".join(piece for piece in text.partition("---\n# b\n")[:1])
        + "---\n# c"
        + (text.partition("---\n# c")[2])
    )
