"""Calico's documents on running routers: the commands as they are typed there, the tables as shown.

The lab of route reflectors goes from a full mesh to three reflectors by commands alone; the page on
configuring peers ends with the table of a node that has a peer of each kind. Where commands are not
told where the resources are, the running daemon tells them.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from lab import Lab
from tests.support.datastores import put
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node
from tests.support.shells import Shell

pytestmark = pytest.mark.netns

NODES = {
    "ip-172-31-37-123": "172.31.37.123",
    "ip-172-31-40-217": "172.31.40.217",
    "ip-172-31-40-30": "172.31.40.30",
    "ip-172-31-42-47": "172.31.42.47",
    "ip-172-31-45-29": "172.31.45.29",
}
REFLECTORS = ("ip-172-31-37-123", "ip-172-31-40-217", "ip-172-31-42-47")

FULL_MESH = """\
Calico process is running.

IPv4 BGP status
+---------------+-------------------+-------+----------+-------------+
| PEER ADDRESS  |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+---------------+-------------------+-------+----------+-------------+
| 172.31.37.123 | node-to-node mesh | up    | 17:38:47 | Established |
| 172.31.40.217 | node-to-node mesh | up    | 17:38:47 | Established |
| 172.31.40.30  | node-to-node mesh | up    | 17:40:09 | Established |
| 172.31.45.29  | node-to-node mesh | up    | 17:40:20 | Established |
+---------------+-------------------+-------+----------+-------------+

IPv6 BGP status
No IPv6 peers found.
"""

WITH_REFLECTORS = """\
Calico process is running.

IPv4 BGP status
+---------------+---------------+-------+----------+-------------+
| PEER ADDRESS  |   PEER TYPE   | STATE |  SINCE   |    INFO     |
+---------------+---------------+-------+----------+-------------+
| 172.31.37.123 | node specific | up    | 21:52:57 | Established |
| 172.31.40.217 | node specific | up    | 21:52:57 | Established |
| 172.31.42.47  | node specific | up    | 21:52:57 | Established |
+---------------+---------------+-------+----------+-------------+

IPv6 BGP status
No IPv6 peers found.
"""

ONE_OF_EACH = """\
Calico process is running.

IPv4 BGP status
+--------------+-------------------+-------+----------+-------------+
| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+--------------+-------------------+-------+----------+-------------+
| 172.17.8.102 | node-to-node mesh | up    | 23:30:04 | Established |
| 10.20.30.40  |       global      | start | 16:28:38 |   Connect   |
|  192.10.0.0  |   node specific   | start | 16:28:57 |   Connect   |
+--------------+-------------------+-------+----------+-------------+

IPv6 BGP status
+--------------+-------------------+-------+----------+-------------+
| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |    INFO     |
+--------------+-------------------+-------+----------+-------------+
| aa:bb::ff    | node-to-node mesh | up    | 16:17:26 | Established |
+--------------+-------------------+-------+----------+-------------+
"""


def timeless(table: str) -> list[str]:
    """Give the lines of a table without times of day; peers come in whatever order."""
    lines = re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", table).rstrip().splitlines()
    return sorted(lines) if "global" in table else lines


def shell_on(lab: Lab, name: str, home: Path) -> Shell:
    """Give a shell on a node: its daemon is found there, and tells where the resources are."""
    return Shell(home / name, WREN_RUN_DIR=str(lab.node(name).home), WREN_DATASTORE="")


def status(shell: Shell) -> list[str]:
    return timeless(shell.type("sudo wren node status"))


def test_the_lab_of_route_reflectors(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    put(etc, document("IPPool", "pool", {"cidr": "192.168.0.0/16", "ipipMode": "Never"}))
    for name, address in NODES.items():
        put(etc, node(name, f"{address}/20"))
    kinds = "".join(f"  {name}: {{kind: wren, datastore: {etc}}}\n" for name in NODES)
    ends = ", ".join(f"{name}: [{address}/20]" for name, address in NODES.items())
    with lab_of(f"nodes:\n{kinds}segments:\n  lan: {{{ends}}}\n") as lab:
        reflector = shell_on(lab, "ip-172-31-42-47", tmp_path)
        becomes("the mesh is up", partial(status, reflector), timeless(FULL_MESH))
        for name in REFLECTORS:
            label(reflector, name)
        reflector.type(
            dedent("""\
            wren apply -f - <<EOF
            kind: BGPPeer
            apiVersion: projectcalico.org/v3
            metadata:
              name: peer-to-rrs
            spec:
              nodeSelector: "!has(calico-route-reflector)"
              peerSelector: has(calico-route-reflector)
            EOF
            """)
        )
        reflector.type(
            dedent("""\
            wren apply -f - <<EOF
            kind: BGPPeer
            apiVersion: projectcalico.org/v3
            metadata:
              name: rrs-to-rrs
            spec:
              nodeSelector: has(calico-route-reflector)
              peerSelector: has(calico-route-reflector)
            EOF
            """)
        )
        said = reflector.type(
            dedent("""\
            wren create -f - <<EOF
             apiVersion: projectcalico.org/v3
             kind: BGPConfiguration
             metadata:
               name: default
             spec:
               nodeToNodeMeshEnabled: false
               asNumber: 64512
            EOF
            """)
        )
        assert said == "Successfully created 1 'BGPConfiguration' resource(s)\n"
        for name in ("ip-172-31-40-30", "ip-172-31-45-29"):
            ordinary = shell_on(lab, name, tmp_path)
            becomes("three peerings are left", partial(status, ordinary), timeless(WITH_REFLECTORS))


def label(shell: Shell, name: str) -> None:
    """Make a node a reflector: save its YAML, edit it, apply it again."""
    shell.type(f"wren get node {name} -o yaml --export > node.yaml")
    file = shell.home / "node.yaml"
    saved = yaml.safe_load(file.read_text())
    saved["metadata"]["labels"] = {"calico-route-reflector": ""}
    saved["spec"]["bgp"]["routeReflectorClusterID"] = "224.0.0.1"
    file.write_text(yaml.safe_dump(saved))
    said = shell.type("wren apply -f node.yaml")
    assert said == "Successfully applied 1 'Node' resource(s)\n"


def test_the_table_of_a_node_with_a_peer_of_each_kind(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    put(etc, node("node1", "172.17.8.101/24", "aa:bb::1/64"))
    put(etc, node("node2", "172.17.8.102/24", "aa:bb::ff/64"))
    topology = f"""
nodes:
  node1: {{kind: wren, datastore: {etc}}}
  node2: {{kind: wren, datastore: {etc}}}
links:
  - node1: [172.17.8.101/24, "aa:bb::1/64"]
    node2: [172.17.8.102/24, "aa:bb::ff/64"]
"""
    with lab_of(topology) as lab:
        # Later, an attempt to connect with the others may have failed already.
        lab.wait_established()
        # The way to the peers is there, and who stands at its end says nothing.
        for address in ("10.20.30.40", "192.10.0.0"):
            lab.node("node1").execute(["ip", "route", "add", address, "via", "172.17.8.102"])
            lab.node("node2").execute(["ip", "route", "add", "blackhole", address])
        shell = shell_on(lab, "node1", tmp_path)
        shell.type(
            dedent("""\
            cat << EOF | wren create -f -
            - apiVersion: v1
              kind: bgpPeer
              metadata:
                peerIP: 10.20.30.40
                scope: global
              spec:
                asNumber: 64567
            - apiVersion: v1
              kind: bgpPeer
              metadata:
                peerIP: 192.10.0.0
                scope: node
                node: node1
              spec:
                asNumber: 64514
            EOF
            """)
        )
        becomes("all peers are there", partial(status, shell), timeless(ONE_OF_EACH))
        shell.type("wren delete bgpPeer 10.20.30.40 --scope=global")
        shell.type("wren delete bgpPeer 192.10.0.0 --scope=node --node=node1")
        shell.type("wren config set nodeToNodeMesh off")
        nothing = ["Calico process is running.", ""]
        nothing += ["IPv4 BGP status", "No IPv4 peers found.", ""]
        nothing += ["IPv6 BGP status", "No IPv6 peers found."]
        becomes("all peers are gone", partial(status, shell), nothing)


def test_without_a_router_its_status_says_so(tmp_path: Path) -> None:
    said = Shell(tmp_path / "home", WREN_RUN_DIR=str(tmp_path)).run("sudo wren node status")
    assert said.code == 1
    assert said.out == "The BGP backend process (Wren) is not running.\n"
