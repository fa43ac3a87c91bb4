"""What the speaker and its BFD process say to each other: a JSON object a line.

To the process: `watch` (a session, also one that is known under other settings), `unwatch`, `show`.
From it: `ready` once, `state` whenever a session is in another state, `sessions` as the answer to
`show`, `sequences` each second where packets are authenticated, `leaving` when somebody else ends
it. The end of file says that the other half is gone.

A speaker that finds a process in its run directory hears `ready` first of all, and says `adopt`, to
go on with it, or `give`: the process then tells in `given` what another one needs to go on with its
sessions, and is gone. These four words, and what `ready` tells, stay as they are in all versions;
all others count between equals only, who have `PROTOCOL` and the version in common.

A `state` tells how often a session has left Up, so that one that fell and came back while nobody
read is known to have fallen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fsm.bfd import Authentication, AuthType, Settings

PROTOCOL = 2
"""Number of the words below; another one whenever they, or what they carry, change."""

MAX_LINE = 1 << 20
"""Octets of a line at the most; a longer one is a fault of ours."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A session to be watched.

    Args:
        name: what the speaker calls it.
        peer: address in canonical text, without a zone.
        local: address that packets come from; None leaves it to the system.
        interface: that a single hop's packets go out of and come in by; None for any.
        multihop: whether routers may stand between (RFC 5883).
        least_ttl: that a packet over several hops may come with.
        settings: of the session.
        keep: seconds for which it goes on when the speaker is gone, for the next one to come; None
            leaves that as it was.
    """

    name: str
    peer: str
    local: str | None = None
    interface: str | None = None
    multihop: bool = False
    least_ttl: int = 1
    settings: Settings = Settings()  # noqa: RUF009  (frozen)
    keep: float | None = None

    @property
    def place(self) -> tuple[str, str | None, str | None, bool]:
        """What a session cannot change while it lives."""
        return self.peer, self.local, self.interface, self.multihop


def encode_line(word: str, **more: Any) -> bytes:
    """Write a line."""
    return json.dumps({"word": word, **more}, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """Read a line.

    Raises:
        ValueError: it is no JSON.
    """
    read: dict[str, Any] = json.loads(line)
    return read


def watch_as_json(watch: Watch) -> dict[str, Any]:
    """Write what is to be watched."""
    ours = watch.settings
    auth = ours.authentication
    return {
        "name": watch.name,
        "peer": watch.peer,
        "local": watch.local,
        "interface": watch.interface,
        "multihop": watch.multihop,
        "leastTTL": watch.least_ttl,
        "keep": watch.keep,
        "tx": ours.desired_min_tx_us,
        "rx": ours.required_min_rx_us,
        "multiplier": ours.detect_mult,
        "idleTx": ours.idle_tx_us,
        "echoRx": ours.required_min_echo_rx_us,
        "auth": None
        if auth is None
        else {
            "type": int(auth.kind),
            "key": auth.key_id,
            "keys": {str(number): key.hex() for number, key in auth.keys.items()},
        },
    }


def watch_of(read: dict[str, Any]) -> Watch:
    """Read what `watch_as_json` wrote."""
    told = read["auth"]
    auth = None
    if told is not None:
        keys = {int(number): bytes.fromhex(key) for number, key in told["keys"].items()}
        auth = Authentication(AuthType(told["type"]), keys, told["key"])
    settings = Settings(
        read["tx"],
        read["rx"],
        read["multiplier"],
        read["idleTx"],
        read["echoRx"],
        authentication=auth,
    )
    return Watch(
        read["name"],
        read["peer"],
        read["local"],
        read["interface"],
        read["multihop"],
        read["leastTTL"],
        settings,
        read["keep"],
    )
