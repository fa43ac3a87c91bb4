"""Why a session is not up, where only a network can show it: `wren peer NAME` says so.

One Wren with a peer for each misfortune of the network. All of it is real: no route, nobody on the
link, a port where nobody listens, a host that swallows packets, and one that signs its segments.
What goes wrong once a connection stands is in `tests/speaker/test_why_down.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import RunningNode
from lab.probes import wait_until
from tests.support.datastores import wren_in
from tests.support.labs import lab_of

pytestmark = [pytest.mark.netns]

ROOT = Path(__file__).parents[2]
WREN, HOST, SIGNED, WAITED, NOBODY = (f"172.31.3.{n}" for n in (1, 2, 3, 4, 99))
FAR, SWALLOWED = "203.0.113.9", "198.51.100.9"

TOPOLOGY = f"""
nodes:
  w:
    kind: wren
    asn: 65001
    peers:
      - {{address: {FAR}, asn: 65002}}
      - {{address: {NOBODY}, asn: 65002, extra: "wren.bgp/connectRetry: 9"}}
      - {{address: {HOST}, asn: 65002}}
      - {{address: {SWALLOWED}, asn: 65002}}
      - {{address: {SIGNED}, asn: 65002}}
      - {{address: {WAITED}, asn: 65002, passive: true}}
  host: {{kind: host, addresses: [{SIGNED}/32, {WAITED}/32]}}
links:
  - {{w: [{WREN}/24], host: [{HOST}/24]}}
"""

CAUSES = {
    FAR: r"there is no way to the peer \(Network is unreachable\)",
    NOBODY: r"there is no way to the peer \(No route to host\)",
    HOST: r"the peer refuses connections: nothing listens there.*\(Connection refused\)",
    SWALLOWED: r"no answer from the peer: it is not there, a filter drops us.*no answer within",
}


def shown(node: RunningNode, address: str) -> str:
    """Give what the command prints about a peer."""
    return wren_in(node, "peer", address)


def view(node: RunningNode, address: str) -> dict[str, Any]:
    """Give the same for programs."""
    detail = json.loads(wren_in(node, "peer", address, "-o", "json"))
    found: dict[str, Any] = detail["peer"]
    return found


def until_told(node: RunningNode, address: str, cause: str) -> None:
    """Wait until a session is explained as it should be."""

    def is_told() -> bool:
        return re.search(cause, view(node, address)["why"]) is not None

    wait_until(is_told, f"the session with {address} is explained", nodes=[node])


@contextmanager
def signing(node: RunningNode, source: str) -> Iterator[None]:
    """Let somebody dial Wren with signed segments, and take no others."""
    argv = node.inside([sys.executable, "-m", "tests.support.signed_peer", source, WREN])
    with subprocess.Popen(argv, cwd=ROOT) as process:
        try:
            yield
        finally:
            process.terminate()


def test_what_the_network_does_not_do_is_told_with_the_next_try() -> None:
    with lab_of(TOPOLOGY) as lab:
        w = lab.node("w")
        w.execute(["ip", "route", "add", SWALLOWED, "via", HOST])
        for address, cause in CAUSES.items():
            until_told(w, address, cause)
            text = shown(w, address)
            assert re.search(rf"why +{cause}", text)
            assert re.search(r"next attempt +in 00:00:0\d", text)
            assert view(w, address)["nextTry"] is not None


def test_a_peer_that_signs_while_we_have_no_password_is_suspected_of_it() -> None:
    """RFC 2385 §2: both ends drop what the other says, without a word."""
    with lab_of(TOPOLOGY) as lab:
        w, host = lab.node("w"), lab.node("host")
        with signing(host, SIGNED), signing(host, WAITED):
            for address in (SIGNED, WAITED):
                until_told(w, address, "MD5 mismatch suspected")
        dialled, waited = view(w, SIGNED), view(w, WAITED)
        assert dialled["nextTry"] is not None
        assert waited["why"].endswith("waiting for the peer to connect")
