"""``wren plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import wren, write_documents
from tests.support.resources import node, peer

NODES = [node("r1", "10.0.0.1/24", asn=64512), node("r2", "10.0.0.2/24", asn=64512)]


def tor(asn: int) -> dict[str, object]:
    return peer("tor", node="r1", peerIP="10.0.0.254", asNumber=asn)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_documents(tmp_path / "old", [*NODES, tor(65001)])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    third = node("r3", "10.0.0.3/24", asn=64512)
    return write_documents(tmp_path / "new", [NODES[0], third, tor(65002)])


def test_text_counts_and_says_each_change_in_a_sentence(old: Path, new: Path) -> None:
    done = wren("plan", "--node", "r1", old, new)
    assert done.exit_code == 0
    counted, *sentences = done.stdout.splitlines()
    assert counted == "node r1: sessions: 1 reset, 1 added, 1 removed, 0 kept"
    assert sentences == [
        "  removes Mesh_10_0_0_2",
        "  resets the session of Node_10_0_0_254: peer AS 65001 → 65002",
        "  adds Mesh_10_0_0_3: waits for 10.0.0.3 in AS 64512",
    ]


def test_json_names_resets_and_who_comes_goes_and_stays(old: Path, new: Path) -> None:
    plan = json.loads(wren("plan", "--node", "r1", old, new, "-o", "json").stdout)
    assert len(plan.pop("changes")) == 3
    assert plan == {
        "node": "r1",
        "resets": [
            {
                "peer": "Node_10_0_0_254",
                "fields": ["peer_asn"],
                "reason": "peer AS 65001 → 65002",
            }
        ],
        "added": ["Mesh_10_0_0_3"],
        "removed": ["Mesh_10_0_0_2"],
        "renamed": [],
        "kept": [],
    }


def test_a_session_that_only_changes_its_name_is_kept(tmp_path: Path) -> None:
    old = write_documents(tmp_path / "old", NODES)
    explicit = peer("two", node="r1", peerIP="10.0.0.2", asNumber=64512)
    new = write_documents(tmp_path / "new", [*NODES, explicit])
    plan = json.loads(wren("plan", "--node", "r1", old, new, "-o", "json").stdout)
    assert plan["renamed"] == [{"from": "Mesh_10_0_0_2", "to": "Node_10_0_0_2"}]
    assert plan["kept"] == ["Node_10_0_0_2"]
    assert (plan["added"], plan["removed"], plan["resets"]) == ([], [], [])


def test_the_same_resources_change_nothing(old: Path) -> None:
    done = wren("plan", "--node", "r1", old, old)
    assert done.stdout == (
        "node r1: sessions: 0 reset, 0 added, 0 removed, 2 kept\n  nothing changes\n"
    )
