"""What is said on the control socket of FRR's bfdd, version 1.

A message is eight octets, and a JSON object or eight octets of flags: the length of what follows,
a number that the answer repeats, the type, and the version. Sessions stand in lists by their
family. Intervals are milliseconds, for us and for the peer alike.

bfdd knows no keys, and no interval for a peer that is not heard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from speaker.bfd.words import Watch

HEADER = Struct("!IHBB")
RESPONSE, ADD, DELETE, NOTIFY = 1, 2, 3, 4
_VERSION = 1

EVERYTHING = Struct("@Q").pack(3)
"""Flags of NOTIFY: states, and settings; of all sessions, now and whenever they change."""

LONGEST = 1 << 20
"""Octets of a message at the most; who says more is no bfdd."""

ADMINISTRATIVELY_DOWN = 7
"""The diagnostic of one who ends a session on purpose. RFC 5880 §4.1."""


@dataclass(frozen=True, slots=True)
class Place:
    """What tells one session of bfdd from another."""

    peer: str
    multihop: bool
    interface: str | None


def place_of(watch: Watch) -> Place:
    """Tell where the session of a watch is."""
    return Place(watch.peer, watch.multihop, None if watch.multihop else watch.interface)


def place_said(said: Mapping[str, Any]) -> Place:
    """Tell which session a notification is of."""
    return Place(
        str(said.get("peer-address", "")),
        said.get("multihop") is True,
        None if said.get("multihop") else said.get("local-interface"),
    )


def session_json(watch: Watch) -> dict[str, Any]:
    """Write a session for ADD and DELETE."""
    settings = watch.settings
    session: dict[str, Any] = {"peer-address": watch.peer, "multihop": watch.multihop}
    if watch.local:
        session["local-address"] = watch.local
    if watch.interface and not watch.multihop:
        session["local-interface"] = watch.interface
    session["detect-multiplier"] = settings.detect_mult
    session["receive-interval"] = _milliseconds(settings.required_min_rx_us)
    session["transmit-interval"] = _milliseconds(settings.desired_min_tx_us)
    return {"ipv6" if ":" in watch.peer else "ipv4": [session]}


def _milliseconds(microseconds: int) -> int:
    return max(1, round(microseconds / 1000))


def encode(kind: int, number: int, body: bytes | Mapping[str, Any]) -> bytes:
    """Write a message."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HEADER.pack(len(octets), number, kind, _VERSION) + octets


def read_header(octets: bytes) -> tuple[int, int, int]:
    """Read the first octets: the length of what follows, the number, and the type.

    Raises:
        ValueError: no bfdd that we know says this.
    """
    length, number, kind, version = HEADER.unpack(octets)
    if version != _VERSION or length > LONGEST:
        raise ValueError(f"version {version} of bfdd's control socket is not known")
    return length, number, kind


def read_body(body: bytes) -> dict[str, Any]:
    """Read what follows a header.

    Raises:
        ValueError: no bfdd says this.
    """
    said = json.loads(body)
    if not isinstance(said, dict):
        raise ValueError("what bfdd says is no JSON object")  # noqa: TRY004
    return said


def session_view(
    watch: Watch, config: Mapping[str, Any], status: Mapping[str, Any]
) -> dict[str, Any]:
    """Tell how a session is, as far as bfdd says it; times are microseconds.

    Args:
        watch: which.
        config: the last notification of its settings, empty if none came.
        status: of its state.
    """
    states = {"up": "Up", "init": "Init", "adm-down": "AdminDown"}

    def interval(name: str) -> int:
        return int(config.get(name, 0)) * 1000

    tx = max(interval("transmit-interval"), interval("remote-receive-interval"))
    rx = max(interval("receive-interval"), interval("remote-transmit-interval"))
    mult = int(config.get("remote-detect-multiplier", 0))
    return {
        "name": watch.name,
        "peer": watch.peer,
        "local": watch.local,
        "interface": watch.interface,
        "multihop": watch.multihop,
        "state": states.get(str(status.get("state")), "Down"),
        "diagnostic": int(status.get("diagnostics", 0)),
        "remoteDiagnostic": int(status.get("remote-diagnostics", 0)),
        "discriminator": int(status.get("id", 0)),
        "txIntervalUs": tx,
        "rxIntervalUs": rx,
        "detectionTimeUs": mult * rx,
        "multiplier": int(config.get("detect-multiplier", watch.settings.detect_mult)),
        "remoteMultiplier": mult or None,
    }
