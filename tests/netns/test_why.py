"""Why a route is there or not, over the real kernel and with real peers: `wren why` says so.

One Wren between two BIRDs of one AS that announce the same networks, on a link to each. The kernel
is asked beside: what is said to be installed is what `ip route` shows.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.faults import killed, link_down
from lab.probes import wait_until
from tests.support.birds import QUICK, WREN, Bird, around, at
from tests.support.datastores import put, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of, two_nodes
from tests.support.pairs import THEIRS, Pair
from tests.support.resources import node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

B2, B3 = "172.31.2.2", "172.31.3.3"
BOTH, ONLY = "10.9.0.0/24", "10.9.1.0/24"

TOPOLOGY = f"""
nodes:
  w: {{kind: wren, asn: 65001}}
  b2: {{kind: bird, asn: 65002, networks: [{BOTH}, {ONLY}]}}
  b3: {{kind: bird, asn: 65002, networks: [{BOTH}]}}
links:
  - {{w: [172.31.2.1/24], b2: [{B2}/24]}}
  - {{w: [172.31.3.1/24], b3: [{B3}/24]}}
bgp:
  - {{between: [w, b2], hold_time: 9}}
  - {{between: [w, b3], hold_time: 9}}
"""


def why(node: RunningNode, *words: str) -> tuple[str, int]:
    """Ask the node, and give what is printed and the exit code."""
    argv = [sys.executable, "-m", "speaker", "why", *words, "--run-dir", str(node.home)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.stdout or done.stderr, done.returncode


def says(node: RunningNode, *words: str, like: str) -> str:
    """Wait until an answer has words in it."""
    last = [""]

    def is_said() -> bool:
        last[0], _ = why(node, *words)
        return re.search(like, last[0]) is not None

    try:
        wait_until(is_said, f"wren why {' '.join(words)} says {like}", nodes=[node])
    except AssertionError as error:
        raise AssertionError(f"{error}\n{last[0]}") from None
    return last[0]


@contextmanager
def between() -> Iterator[tuple[Any, RunningNode]]:
    with lab_of(TOPOLOGY) as lab:
        lab.wait_established()
        yield lab, lab.node("w")


def test_routes_in_the_kernel_in_its_way_and_behind_dead_links() -> None:
    with between() as (lab, w):
        text = says(w, BOTH, like="shares the traffic with the best")
        text = says(w, BOTH, like=rf"    via {B2} dev eth0, via {B3} dev eth1 \(ours\)\n")
        assert f"next hop  {B2} is on the link eth0" in text
        text = says(w, ONLY, like=r"in the kernel, announced to \d of 2 peers")
        installed = w.execute(["ip", "route", "show", ONLY])
        assert f"via {B2} dev eth0" in installed
        assert f"    via {B2} dev eth0 (ours)\n" in text
        # An address stands for the route that the kernel takes for it.
        text, code = why(w, "10.9.1.7")
        assert text.startswith(f"10.9.1.7: {ONLY} is used: via {B2} (eBGP AS 65002), in the kernel")
        assert code == 0
        assert f"via {B2} dev eth0" in w.execute(["ip", "route", "get", "10.9.1.7"])
        text, code = why(w, "172.31.2.77")
        assert "the kernel has it from somebody else, and no peer has told it\n" in text
        assert "    dev eth0 proto kernel\n" in text
        assert code == 1
        # A route of somebody else is in the place of one that comes later.
        w.execute(["ip", "route", "add", "10.9.7.0/24", "via", B3, "proto", "static"])
        lab.node("b2").announce(ip_network("10.9.7.0/24"))
        text = says(w, "10.9.7.0/24", like="a route of protocol 4 holds its place")
        assert "not in the kernel, announced to" in text.split("\n")[0]
        assert f"    via {B3} dev eth1 proto static\n" in text
        w.execute(["ip", "route", "del", "10.9.7.0/24", "proto", "static"])
        says(w, "10.9.7.0/24", like="in the kernel\n")
        with link_down(w, "eth0"):
            text = says(w, ONLY, like="would leave by eth0, which is down|is not there")
            assert why(w, ONLY)[1] == 1
        says(w, ONLY, like="in the kernel, announced")
        with killed(lab.node("b2")):
            text = says(w, ONLY, like="is not there: no peer has told it .1 of 2 peers down")
            assert re.search(r"the session is not up: .*refuses connections|not up: ", text)
            assert "; packets to it have no route" in text


FILTER: dict[str, Any] = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "BGPFilter",
    "metadata": {"name": "in"},
    "spec": {
        "importV4": [
            {
                "action": "Accept",
                "communities": {"values": ["65002:1"]},
                "operations": [{"addCommunity": {"value": "65001:9"}}],
            },
            {"action": "Reject", "matchOperator": "In", "cidr": "10.2.1.0/24"},
        ]
    },
}


def test_a_rule_is_named_with_its_file_and_an_edit_of_it_is_seen(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    keys = {"wren.bgp/policy": "plain"}
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys))
    given = {"node": "w", "peerIP": at(2), "asNumber": 65002, "extensions": QUICK}
    put(directory, FILTER, peer("b2", **given, filters=["in"]))
    with lab_of(around(directory, {2: Bird(65002)})) as lab:
        edited = Edited(lab.node("w"), directory)
        edited.peers_up([at(2)])
        text = says(edited.running, "10.2.1.0/24", like="BGPFilter-in.json:1")
        assert "is not there: Node_172_31_0_2 tells it, but bgpfilter/in importV4[1]" in text
        text, _ = why(edited.running, "10.2.1.0/24", "--peer", at(2))
        assert f"importV4[0] ({directory}/BGPFilter-in.json:1): community 65002:1 is not" in text
        whole = json.loads(wren_in(edited.running, "why", "10.2.0.0/24", "--json"))
        assert whole["candidates"][0]["judged"]["because"]["reason"] == "NoRuleMatches"
        chain = FILTER["spec"]["importV4"]
        lenient = {**FILTER, "spec": {"importV4": [chain[0], {"action": "Accept"}]}}
        put(directory, lenient)
        text = says(edited.running, "10.2.1.0/24", like="in the kernel")
        assert f"bgpfilter/in importV4[1] ({directory}/BGPFilter-in.json:1) accepts it" in text
        text, code = why(edited.running, "10.2.0.0/24", "--peer", "172.31.0.3")
        assert code == 1
        assert text.startswith("wren: there is no peer 172.31.0.3; did you mean 172.31.0.2?")


@pytest.mark.parametrize("kind", ["bird", "frr", "gobgp", "openbgpd"])
def test_what_is_said_to_be_sent_is_what_the_other_has(kind: str) -> None:
    with lab_of(two_nodes(kind, 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        found = json.loads(wren_in(pair.wren, "why", "10.1.0.0/24", "--json"))
        [told] = [each for each in found["told"] if each["told"]]
        heard = pair.other.routes(Family.IPV4)["10.1.0.0/24"]
        assert told["attributes"]["NEXT_HOP"] == heard.next_hop
        assert told["attributes"]["AS_PATH"] == " ".join(map(str, heard.as_path))
        assert told["pending"] is None
        theirs = THEIRS[Family.IPV4]
        text, code = why(pair.wren, theirs[0])
        assert code == 0
        assert re.match(rf"{re.escape(theirs[0])} is used: via {theirs[1]} ", text)
        assert f"    via {theirs[1]} dev " in text
