"""``wren doctor`` on a node where a BIRD runs, whose place Wren is to take.

The BIRD holds port 179 and has kernel routes with its protocol number. The node's resources are
those that Wren would get.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.probes import kernel_routes
from tests.support.datastores import put
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import block, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

HERE, FAR = "172.31.0.1", "172.31.0.2"
TOPOLOGY = f"""
nodes:
  b: {{kind: bird, asn: 65001, addresses: [10.1.0.1/32]}}
  far: {{kind: bird, asn: 65002, networks: [10.2.0.0/24, 10.3.0.0/24]}}
links:
  - {{b: [{HERE}/24], far: [{FAR}/24]}}
bgp:
  - {{between: [b, far], hold_time: 9}}
"""

WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def documents(address: str = HERE) -> list[dict[str, Any]]:
    return [
        node("b", f"{address}/24", asn=65001),
        settings(nodeToNodeMeshEnabled=False),
        peer("far", node="b", peerIP=FAR, asNumber=65002),
        peer("lost", node="b", peerIP="198.51.100.9", asNumber=65003),
        block("10.65.0.0/26", "b"),
    ]


def doctor(
    at: RunningNode, datastore: Path, *more: str, before: Sequence[str] = ()
) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Give the exit code, and the findings by what they are about."""
    words = ["--datastore", str(datastore), "--run-dir", str(at.home / "wren"), "--node", "b"]
    argv = [*before, sys.executable, "-m", "speaker", "doctor", *words, "-o", "json", *more]
    done = subprocess.run(at.inside(argv), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    assert json.loads(done.stdout)["go"] is (done.returncode == 0)
    return done.returncode, found


def learnt(at: RunningNode) -> set[str]:
    found = kernel_routes(at, Family.IPV4)
    return {prefix for prefix, route in found.items() if route.protocol == "bird"}


def verdicts(found: dict[str, list[dict[str, str]]], check: str) -> list[str]:
    return [finding["verdict"] for finding in found[check]]


def test_a_bird_is_seen_and_what_of_it_would_be_adopted(tmp_path: Path) -> None:
    datastore = tmp_path / "etc"
    put(datastore, *documents())
    with lab_of(TOPOLOGY) as lab:
        b = lab.node("b")
        becomes("BIRD has its routes", partial(learnt, b), {"10.2.0.0/24", "10.3.0.0/24"})
        b.execute(["ip", "route", "add", "blackhole", "10.65.0.0/26", "proto", "bird"])
        routes = learnt(b)
        [bird] = b.programs()

        code, found = doctor(b, datastore)
        assert code == 1
        [port] = found["port"]
        assert port["verdict"] == "problem"
        assert f"is held by bird (process {bird.pid})" in port["text"]
        [other] = found["other speakers"]
        assert other["verdict"] == "problem"
        assert other["text"].startswith(f"BIRD runs: bird (process {bird.pid})")
        assert found["routes"][0]["text"] == (
            "3 in table 254 with protocol number 12 would be adopted: the node's own, which stay"
            " (1), and others, which peers have to tell (2)"
        )
        assert found["routes"][1]["text"].startswith("10.2.0.0/24, 10.3.0.0/24: ")
        assert verdicts(found, "rights") == ["ok"]
        assert verdicts(found, "addresses") == ["ok"]
        assert verdicts(found, "peers") == ["warning"]
        assert "(198.51.100.9)" in found["peers"][0]["text"]

        code, found = doctor(b, datastore, "--takeover")
        assert code == 0
        assert verdicts(found, "port") == ["warning"]
        assert "'persist'" in found["other speakers"][0]["hint"]

        code, found = doctor(b, datastore, before=WITHOUT_RIGHTS)
        assert code == 1
        assert verdicts(found, "rights") == ["problem", "problem"]
        assert "a process we may not see" in found["port"][0]["text"]
        assert found["routes"][0]["text"].startswith("3 in table 254")

        put(datastore, *documents("172.31.0.77"))
        _, found = doctor(b, datastore)
        assert verdicts(found, "addresses") == ["warning"]

        b.stop()
        put(datastore, *documents())
        code, found = doctor(b, datastore)
        assert code == 0
        assert found["port"][0]["text"] == "port 179 is free"
        assert not (b.home / "wren").exists()
        assert learnt(b) <= routes
