"""Packets that somebody made up, beside a BIRD whose session is Up: nothing changes, all count."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsm.bfd import Authentication, AuthType, BfdState, ControlPacket
from fsm.bfd.authentication import Signer
from fsm.bfd.packet import encode
from lab import RunningNode
from tests.support.bfd import PATIENT, sessions, shown, state, watched
from tests.support.birds import WREN, at
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

SPOOF = """
import socket, struct, sys
source, target, ttl, octets = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack("!4H", 49152, 3784, 8 + len(octets), 0) + octets
head = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(udp), 0, 0, ttl, 17, 0)
raw.sendto(head + socket.inet_aton(source) + socket.inet_aton(target) + udp, (target, 0))
"""
"""Sends one packet from any address, with any TTL."""


def spoof(sender: RunningNode, source: str, octets: bytes, *, ttl: int = 255) -> None:
    argv = [sys.executable, "-c", SPOOF, source, WREN, str(ttl), octets.hex()]
    sender.execute(argv)


def dropped(wren: RunningNode) -> Counter[str]:
    """Count what was dropped, of sessions and of nobody's, by reason."""
    told = shown(wren)
    assert told["process"] is not None
    found = Counter(told["process"]["discarded"])
    for session in told["sessions"]:
        found.update(session["discarded"])
    return found


def peer_with(keys: dict[str, str]) -> dict[str, Any]:
    made = watched(2)
    made["spec"]["extensions"] |= {"wren.bgp/bfdTimers": "multiplier 12", **keys}
    return made


@pytest.mark.parametrize("keyed", [pytest.param(False, marks=pytest.mark.soak), True])
def test_made_up_packets_change_nothing(tmp_path: Path, keyed: bool) -> None:
    """Also those that know both discriminators."""
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001))
    keys = {"wren.bgp/bfdAuth": "meticulous-keyed-sha1 3 bfd/key"} if keyed else {}
    put(directory, peer_with(keys))
    (directory / "secrets" / "bfd").mkdir(parents=True)
    (directory / "secrets" / "bfd" / "key").write_text("secret")
    auth = 'authentication meticulous keyed sha1; password "secret" { id 3; };' if keyed else ""
    bfd = f'protocol bfd {{ accept direct; interface "*" {{ {PATIENT} {auth} }}; }}\n'
    peers = [{"address": WREN, "asn": 65001, "families": ["ipv4"], "extra": "bfd on;"}]
    topology = {
        "nodes": {
            "w": {"kind": "wren", "datastore": str(directory)},
            "b": {"kind": "bird", "asn": 65002, "peers": peers, "extra": bfd},
            "x": {"kind": "host"},
        },
        "links": [
            {"w": [f"{WREN}/24"], "b": [f"{at(2)}/24"]},
            {"w": ["172.31.9.1/24"], "x": ["172.31.9.2/24"]},
        ],
    }
    with lab_of(json.dumps(topology)) as lab:
        w, b, x = (lab.node(name) for name in "wbx")
        for name in ("all", "eth0", "eth1"):
            # Else the kernel itself drops what comes by another interface.
            w.execute(["sysctl", "-q", "-w", f"net.ipv4.conf.{name}.rp_filter=0"])
        x.execute(["ip", "route", "add", WREN, "via", "172.31.9.1"])
        # Both: with each attempt of its session BIRD may begin BFD anew.
        Edited(w, directory).peers_up([at(2)])
        becomes("BFD is up", lambda: state(w, 2), "Up")
        before, counted = sessions(w)[at(2)], dropped(w)
        wanted = spoof_all(b, x, before, keyed=keyed)
        becomes("all are counted", lambda: dropped(w) - counted, wanted)
        after = sessions(w)[at(2)]
        same = ("state", "since", "downs", "diagnostic", "remoteDiscriminator")
        assert [after[key] for key in same] == [before[key] for key in same]
        if keyed:
            _kill_the_process(w)


def _kill_the_process(w: RunningNode) -> None:
    """Another numbers its packets on, and BIRD takes them for those of the first."""
    session, process = sessions(w)[at(2)], shown(w)["process"]
    assert process is not None
    w.execute(["kill", "-9", str(process["pid"])])

    def is_another() -> bool:
        now = shown(w)["process"]
        return now is not None and now["pid"] != process["pid"]

    becomes("another watches", is_another, True)
    becomes("it has heard BIRD", lambda: sessions(w)[at(2)]["received"] > 10, True)
    time.sleep(2.5)  # BIRD would have missed us after 12 times 150 ms
    after = sessions(w)[at(2)]
    assert (after["state"], after["downs"]) == ("Up", 0)
    same = ("since", "discriminator", "remoteDiscriminator")
    assert [after[key] for key in same] == [session[key] for key in same]


def spoof_all(
    b: RunningNode, x: RunningNode, session: dict[str, Any], *, keyed: bool
) -> Counter[str]:
    """Send one packet of each kind; give what is to be counted for them."""
    down = ControlPacket(BfdState.DOWN, session["remoteDiscriminator"], session["discriminator"])
    bare = encode(down)
    signer = Signer(Authentication(AuthType.METICULOUS_KEYED_SHA1, {3: b"guessed"}, 3), 1)
    signed = signer.sign(replace(down, authenticated=True))
    good = signed if keyed else bare
    spoof(b, at(2), good, ttl=254)
    spoof(b, at(9), good)
    spoof(x, at(2), good)
    spoof(x, at(2), encode(replace(down, your_discriminator=session["discriminator"] ^ 1)))
    spoof(x, at(2), encode(replace(down, your_discriminator=0)))
    spoof(b, at(2), bare if keyed else signed)
    wanted = Counter({"TTL": 1, "another source": 1, "another interface": 1, "no such session": 2})
    wanted["no authentication" if keyed else "authentication not in use"] = 1
    if keyed:
        spoof(b, at(2), signed)
        wanted["wrong authentication"] = 1
    return wanted
