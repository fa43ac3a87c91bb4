"""FRR's bfdd sends echo packets by way of Wren, and finds out when they do not come back.

Over IPv4 they are addressed to FRR itself (RFC 5881 §4), and the kernel of Wren's node returns
them; over IPv6 FRR addresses them to Wren, whose process does.
"""

from __future__ import annotations

import json

import pytest

from lab import RunningNode
from tests.support.bfd import FRR_PATIENT, sessions
from tests.support.bfdd import bfdd, vtysh
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop]

WITH_ECHO = FRR_PATIENT.replace(" exit", "  echo-mode\n  echo transmit-interval 60\n exit")


OURS, THEIRS = ("172.31.0.1", "fd31::1"), ("172.31.0.4", "fd31::4")


def topology() -> str:
    keys = {"wren.bgp/bfd": "on", "wren.bgp/bfdTimers": "echo 50ms"}
    nodes = {"w": {"kind": "wren", "asn": 65001}, "f": {"kind": "frr", "asn": 65004}}
    w, f = ([f"{four}/24", f"{six}/64"] for four, six in (OURS, THEIRS))
    session = {"between": ["w", "f"], "extra": {"w": json.dumps(keys)}}
    return json.dumps({"nodes": nodes, "links": [{"w": w, "f": f}], "bgp": [session]})


def echoes(frr: RunningNode) -> dict[str, tuple[int, int]]:
    """Count the echo packets that FRR has sent, and those that came back, by Wren's address."""
    peers = json.loads(vtysh(frr, "show bfd peers counters json"))
    return {peer["peer"]: (peer["echo-packet-output"], peer["echo-packet-input"]) for peer in peers}


def test_echo_packets_come_back_until_nothing_is_forwarded() -> None:
    with lab_of(topology()) as lab, bfdd(lab.node("f"), WITH_ECHO):
        w, f = lab.node("w"), lab.node("f")
        asked = [f"neighbor {ours} bfd profile quick" for ours in OURS]
        vtysh(f, "configure terminal", "router bgp 65004", *asked)
        lab.wait_established("w")
        up = dict.fromkeys(THEIRS, "Up")
        becomes("BFD is up", lambda: {n: s["state"] for n, s in sessions(w).items()}, up)
        before = echoes(f)
        becomes(
            "echo packets come back",
            lambda: all(echoes(f)[ours][1] > before[ours][1] + 20 for ours in OURS),
            True,
        )
        four, six = (sessions(w)[theirs] for theirs in THEIRS)
        for session in (four, six):
            assert (session["echoIntervalUs"], session["echoTrouble"]) == (50_000, "")
            assert "echo" not in "".join(session["discarded"])
        # The kernel does it where it can, and nobody counts.
        assert four["echoed"] == 0
        assert six["echoed"] > 20
        w.execute(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.forwarding=0"])
        becomes("FRR ends it", lambda: sessions(w)[THEIRS[0]]["downs"], four["downs"] + 1)
        assert "Cease/BFD Down" in log_of(w)
        # Control packets pass as before; that nothing is forwarded is known, and told, by now.
        becomes("it is told", lambda: sessions(w)[THEIRS[0]]["echoIntervalUs"], 0)
        becomes("BFD is up again", lambda: sessions(w)[THEIRS[0]]["state"], "Up")
        session = sessions(w)[THEIRS[0]]
        assert session["diagnostic"] == "Neighbor Signaled Session Down"
        assert session["echoTrouble"] == "eth0 does not forward"
        assert sessions(w)[THEIRS[1]]["downs"] == six["downs"]
