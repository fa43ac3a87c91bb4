"""``wren resolve`` and what it shares with ``wren plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import wren, write_documents
from tests.support.resources import block, node, peer


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_documents(
        tmp_path,
        [
            node("r1", "10.0.0.1/24", asn=64512),
            node("r2", "10.0.0.2/24", asn=64512),
            block("10.65.0.0/26", of="r1"),
            peer("tor", node="r1", peerIP="10.0.0.254:1790", asNumber=65001, ttlSecurity=2),
        ],
    )


def test_without_a_directory_it_is_the_datastore(directory: Path) -> None:
    wanted = wren("resolve", "--node", "r1", directory).stdout
    env = {"WREN_DATASTORE": str(directory)}
    assert wren("resolve", "--node", "r1", env=env).stdout == wanted
    assert wren("resolve", "--node", "r1", "--datastore", directory).stdout == wanted


def test_text_shows_node_peers_and_what_is_not_default(directory: Path) -> None:
    done = wren("resolve", "--node", "r1", directory)
    assert done.exit_code == 0
    assert done.stdout == (
        "node           r1\n"
        "AS             64512\n"
        "router id      10.0.0.1\n"
        "policy         calico\n"
        "listens on     port 179 of all addresses\n"
        "blocks         10.65.0.0/26\n"
        "static routes  10.65.0.0/26 blackhole\n"
        "peers          2\n"
        "\n"
        "NAME                       ADDRESS     PORT  LOCAL AS  PEER AS  TYPE               "
        "FILTERS  OPTIONS\n"
        "Mesh_10_0_0_2              10.0.0.2     179     64512    64512  node-to-node mesh  "
        "-        passive, from 10.0.0.1\n"
        "Node_10_0_0_254_port_1790  10.0.0.254  1790     64512    65001  node specific      "
        "-        ttl security 2, from 10.0.0.1\n"
    )


def test_json_has_the_promised_shape(directory: Path) -> None:
    done = wren("resolve", "--node", "r1", directory, "-o", "json")
    plan = json.loads(done.stdout)
    assert tuple(plan) == (
        *("node", "asNumber", "routerID", "listenPort", "peers", "blocks", "staticRoutes"),
        *("serviceRanges", "ranges"),
    )
    assert tuple(plan["peers"][0]) == (
        *("name", "address", "port", "family", "localAS", "remoteAS", "passive", "sourceAddress"),
        *("rrClient", "clusterID", "password", "tcpAO", "ttlSecurity", "allowLocalAS"),
        "nextHopMode",
        *(
            "restartTime",
            "restartMode",
            "keepaliveTime",
            "bfd",
            "bfdHops",
            "bfdTimers",
            "bfdAuth",
            "bfdStrict",
            "gatewayMode",
            "table",
        ),
        *("filters", "extensions"),
    )
    assert plan["staticRoutes"] == [{"prefix": "10.65.0.0/26", "type": "blackhole"}]


def test_conditions_are_shown_below_and_aside_of_json(tmp_path: Path) -> None:
    directory = write_documents(
        tmp_path,
        [
            node("r1", "10.0.0.1/24", asn=64512),
            peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001, filters=["nosuch"]),
        ],
    )
    assert "error: BGPPeer/tor: " in wren("resolve", "--node", "r1", directory).stdout
    done = wren("resolve", "--node", "r1", directory, "-o", "json")
    assert json.loads(done.stdout)["node"] == "r1"
    assert "error: BGPPeer/tor: " in done.stderr


def test_refused_documents_are_told_and_left_out(directory: Path) -> None:
    (directory / "bad.yaml").write_text("kind: Nonsense\n")
    done = wren("resolve", "--node", "r1", directory)
    assert done.exit_code == 0
    assert done.stderr.startswith(f"refused: {directory}/bad.yaml:1:1: kind: ")
    assert "Mesh_10_0_0_2" in done.stdout


def test_an_unknown_node_is_one_line_that_names_the_known_ones(directory: Path) -> None:
    done = wren("resolve", "--node", "r9", directory)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "wren: there is no Node r9; the resources define r1, r2\n"


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = wren("resolve", "--node", "r1", tmp_path / "nothing")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"wren: there is no {tmp_path}/nothing; ")


def test_the_node_may_come_from_the_environment(directory: Path) -> None:
    done = wren("resolve", directory, env={"NODENAME": "r2"})
    assert "node        r2" in done.stdout


def test_without_any_name_of_the_node_usage_is_wrong(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NODENAME", raising=False)
    done = wren("resolve", directory)
    assert done.exit_code == 2
    assert "--node" in done.stderr
    assert "NODENAME" in done.stderr
