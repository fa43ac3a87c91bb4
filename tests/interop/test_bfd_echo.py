"""FRR's bfdd sends echo packets by way of Wren, and finds out when they do not come back.

Over IPv4 they are addressed to FRR itself (RFC 5881 §4), and the kernel of Wren's node returns
them; over IPv6 FRR addresses them to Wren, whose process does.
"""

from __future__ import annotations

import json
import re

import pytest

from lab import RunningNode
from tests.support.bfd import FRR_TIMERS, sessions
from tests.support.bfdd import bfdd, vtysh
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop]

WITH_ECHO = FRR_TIMERS.replace(" exit", "  echo-mode\n  echo transmit-interval 60\n exit")


def topology(wren: str, frr: str) -> str:
    keys = {"wren.bgp/bfd": "on", "wren.bgp/bfdTimers": "echo 50ms"}
    nodes = {"w": {"kind": "wren", "asn": 65001}, "f": {"kind": "frr", "asn": 65004}}
    session = {"between": ["w", "f"], "extra": {"w": json.dumps(keys)}}
    return json.dumps({"nodes": nodes, "links": [{"w": [wren], "f": [frr]}], "bgp": [session]})


def echoes(frr: RunningNode) -> tuple[int, int]:
    """Count the echo packets that FRR has sent, and those that came back."""
    text = vtysh(frr, "show bfd peers counters")
    found = [re.search(rf"Echo packet {way}: (\d+)", text) for way in ("output", "input")]
    sent, came = (int(each[1]) for each in found if each is not None)
    return sent, came


@pytest.mark.parametrize("address", ["172.31.0.{}", "fd31::{}"])
def test_echo_packets_come_back_until_nothing_is_forwarded(address: str) -> None:
    ours, theirs = address.format(1), address.format(4)
    bits = 64 if ":" in address else 24
    with (
        lab_of(topology(f"{ours}/{bits}", f"{theirs}/{bits}")) as lab,
        bfdd(lab.node("f"), WITH_ECHO),
    ):
        w, f = lab.node("w"), lab.node("f")
        asked = f"neighbor {ours} bfd profile quick"
        vtysh(f, "configure terminal", "router bgp 65004", asked)
        becomes("BFD is up", lambda: sessions(w).get(theirs, {}).get("state"), "Up")
        before = echoes(f)
        becomes("echo packets come back", lambda: echoes(f)[1] > before[1] + 20, True)
        session = sessions(w)[theirs]
        assert (session["echoIntervalUs"], session["echoTrouble"]) == (50_000, "")
        # The kernel does it where it can, and nobody counts.
        assert (session["echoed"] > 0) is (":" in address)
        assert "echo" not in "".join(session["discarded"])
        assert session["downs"] == 0
        if ":" in address:
            return
        w.execute(["sysctl", "-q", "-w", "net.ipv4.conf.eth0.forwarding=0"])
        becomes("FRR ends it", lambda: "Cease/BFD Down" in log_of(w), True)
        # Control packets pass as before; that nothing is forwarded is known, and told, by now.
        becomes("BFD is up again", lambda: sessions(w)[theirs]["state"], "Up")
        session = sessions(w)[theirs]
        assert (session["downs"], session["diagnostic"]) == (1, "Neighbor Signaled Session Down")
        becomes("it is told", lambda: sessions(w)[theirs]["echoIntervalUs"], 0)
        assert sessions(w)[theirs]["echoTrouble"] == "eth0 does not forward"
