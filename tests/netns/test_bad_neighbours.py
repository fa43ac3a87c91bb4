"""Neighbours that talk nonsense, strangers, and starts that cannot be: told, and nothing else hurt.

Wren has a good session with a BIRD all the time. A raw peer says wrong things to it; each time it
gets the NOTIFICATION of RFC 4271 §6, the log names the peer and the octets, and the good session
stays.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import Family, RunningNode
from lab.kinds.wren import Wren
from tests.support import raw_peer
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways

pytestmark = [pytest.mark.netns, pytest.mark.interop]

WREN, RAW, STRANGER, BIRD = "172.31.3.1", "172.31.3.3", "172.31.3.99", "172.31.2.2"

TOPOLOGY = f"""
nodes:
  w:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24]
    peers: [{{address: {RAW}, asn: 65003, passive: true, hold_time: 9}}]
  b: {{kind: bird, asn: 65002, networks: [10.2.0.0/24]}}
  raw: {{kind: host, addresses: [{STRANGER}/32]}}
links:
  - {{w: [172.31.2.1/24], b: [{BIRD}/24]}}
  - {{w: [{WREN}/24], raw: [{RAW}/24]}}
bgp:
  - {{between: [w, b], hold_time: 9}}
"""

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + (19 + len(body)).to_bytes(2) + bytes([kind]) + body


def opening(
    *, version: int = 4, asn: int = 65003, hold_time: int = 9, identifier: bytes = b"\x0a\0\0\x03"
) -> bytes:
    """Make an OPEN without capabilities: IPv4 unicast and 2-octet AS numbers."""
    head = bytes([version]) + asn.to_bytes(2) + hold_time.to_bytes(2)
    return message(OPEN, head + identifier + b"\0")


@dataclass(frozen=True, slots=True)
class Nonsense:
    """What is said, and the NOTIFICATION that must answer.

    Attributes:
        shown: octets that the log must have.
    """

    octets: bytes
    code: int
    subcode: int
    data: bytes = b""
    shown: bytes = b""


ESTABLISHED = opening() + message(KEEPALIVE)
LONG_WITHDRAWAL = b"\x00\xff\x00\x00"

CASES = {
    "no marker": Nonsense(b"GET / HTTP/1.0\r\nHost: wren\r\n\r\n", 1, 1, shown=b"GET / HTTP"),
    "a length of 18": Nonsense(MARKER + b"\0\x12\x04", 1, 2, b"\0\x12", MARKER),
    "a length of 65535": Nonsense(MARKER + b"\xff\xff\x02", 1, 2, b"\xff\xff", MARKER),
    "a type of 9": Nonsense(message(9), 1, 3, b"\x09", message(9)),
    "version 3": Nonsense(opening(version=3), 2, 1, b"\0\x04"),
    "another AS": Nonsense(opening(asn=65099), 2, 2),
    "no identifier": Nonsense(opening(identifier=bytes(4)), 2, 3),
    "a hold time of 1": Nonsense(opening(hold_time=1), 2, 6),
    "a KEEPALIVE before the OPEN": Nonsense(message(KEEPALIVE), 5, 1),
    "an UPDATE shorter than it says": Nonsense(
        ESTABLISHED + message(UPDATE, LONG_WITHDRAWAL), 3, 1, shown=LONG_WITHDRAWAL
    ),
    "no marker when established": Nonsense(ESTABLISHED + bytes(23), 1, 1, shown=bytes(23)),
}


def say(raw: RunningNode, octets: bytes, source: str = RAW) -> list[bytes]:
    """Say something to Wren and give the messages that it sent until it closed."""
    heard = bytes.fromhex(
        raw.execute([sys.executable, raw_peer.__file__, source, WREN, octets.hex()])
    )
    messages = []
    while heard:
        length = int.from_bytes(heard[16:18])
        messages.append(heard[18:length])
        heard = heard[length:]
    return messages


def since(w: RunningNode) -> dict[str, float]:
    assert isinstance(w.speaks, Wren)
    status = w.speaks.status()
    assert status is not None
    return {p["address"]: p["since"] for p in status["peers"] if p["state"] == "up"}


def test_nonsense_is_answered_logged_and_hurts_nobody_else() -> None:
    with lab_of(TOPOLOGY) as lab:
        w, raw = lab.node("w"), lab.node("raw")
        becomes("the good session is up", lambda: list(since(w)), [BIRD])
        before = since(w)
        for name, case in CASES.items():
            said = len(log_of(w))
            *_, last = say(raw, case.octets)
            assert last[:3] == bytes([NOTIFICATION, case.code, case.subcode]), name
            assert last[3 : 3 + len(case.data)] == case.data, name
            log = log_of(w)[said:]
            assert RAW in log, name
            assert case.shown.hex(" ") in log, name
        becomes("the route stays", lambda: gateways(w, Family.IPV4).get("10.2.0.0/24"), (BIRD,))
        assert since(w) == before


KNOCK = """
import socket, sys
try:
    heard = socket.create_connection((sys.argv[1], 179), 9, (sys.argv[2], 0)).recv(4096)
except ConnectionResetError:
    heard = b""
print(heard.hex() or "closed")
"""


def test_a_stranger_is_sent_away_without_a_word() -> None:
    with lab_of(TOPOLOGY) as lab:
        w, raw = lab.node("w"), lab.node("raw")
        becomes("the good session is up", lambda: list(since(w)), [BIRD])
        before = since(w)
        w.execute(["ip", "route", "add", STRANGER, "via", RAW])
        heard = raw.execute([sys.executable, "-c", KNOCK, WREN, STRANGER])
        assert heard == "closed\n"
        assert since(w) == before
        becomes("the log names it", lambda: STRANGER in log_of(w), wanted=True)


@pytest.mark.parametrize("kernel", [[], ["--no-kernel"]], ids=["kernel", "no-kernel"])
def test_a_busy_port_is_one_line_and_exit_1(kernel: list[str], tmp_path: Path) -> None:
    with lab_of(TOPOLOGY) as lab:
        w = lab.node("w")
        becomes("the good session is up", lambda: list(since(w)), [BIRD])
        before = since(w)
        done = run_wren(w, [], tmp_path, *kernel)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "179" in line
        assert "it is in use" in line
        assert since(w) == before
        assert gateways(w, Family.IPV4)["10.2.0.0/24"] == (BIRD,)


def test_missing_privileges_are_one_line_and_exit_1(tmp_path: Path) -> None:
    with lab_of(TOPOLOGY) as lab:
        w = lab.node("w")
        w.stop()
        for kernel in ([], ["--no-kernel"]):
            done = run_wren(w, ["setpriv", "--bounding-set=-all", "--"], tmp_path, *kernel)
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert "CAP_NET_ADMIN" in line or "CAP_NET_BIND_SERVICE" in line


def run_wren(
    w: RunningNode, prefix: list[str], run_dir: Path, *args: str
) -> subprocess.CompletedProcess[str]:
    """Run a second Wren in a node, on the resources of the first, until it ends."""
    assert isinstance(w.speaks, Wren)
    argv = [*prefix, sys.executable, "-m", "speaker", "run", "--node", w.name]
    argv += ["--datastore", str(w.speaks.datastore), "--run-dir", str(run_dir), *args]
    argv += ["--log-level", "error"]
    return subprocess.run(w.inside(argv), check=False, capture_output=True, text=True, timeout=30)
