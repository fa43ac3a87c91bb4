"""Keys of the TCP Authentication Option: how they are written, and what is planned of them.

The key ``wren.bgp/tcpAO`` of a BGPPeer is a list of master keys (MKTs, RFC 5925 §3.1), the one to
be used first. Each has an identifier in either direction, an algorithm, and its octets in a Secret,
which is named here by ``SECRET/KEY`` and looked up by `speaker.config.peers`.

Standards: RFC 5925 §3.1; RFC 5926 §3.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from speaker.config.scalars import ScalarError
from speaker.config.secrets import Secret


class Algorithm(StrEnum):
    """How a segment is signed: the MAC, and how many bits of it are sent (RFC 5926 §3.2)."""

    HMAC_SHA_1_96 = "hmac-sha-1-96"
    AES_128_CMAC_96 = "aes-128-cmac-96"
    HMAC_SHA_256_128 = "hmac-sha-256-128"


@dataclass(frozen=True, slots=True)
class KeyReference:
    """A key as it is written.

    Attributes:
        send_id: stands in the segments that we sign by it, 0–255.
        receive_id: stands in those of the peer, whose send_id it is.
        secret: name of the Secret.
        key: within the Secret.
        algorithm: that both ends use.
    """

    send_id: int
    receive_id: int
    secret: str
    key: str
    algorithm: Algorithm = Algorithm.HMAC_SHA_1_96

    @property
    def turned(self) -> KeyReference:
        """The same as the other end has it."""
        return replace(self, send_id=self.receive_id, receive_id=self.send_id)

    @property
    def ids(self) -> str:
        """Both identifiers in short, as they may be written."""
        return _ids(self.send_id, self.receive_id)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key as it is used.

    Attributes:
        send_id: stands in the segments that we sign by it.
        receive_id: stands in those of the peer.
        algorithm: that both ends use.
        octets: of the key.
    """

    send_id: int
    receive_id: int
    algorithm: Algorithm
    octets: Secret

    @property
    def ids(self) -> str:
        """Both identifiers in short, as they may be written."""
        return _ids(self.send_id, self.receive_id)


def _ids(send: int, receive: int) -> str:
    return str(send) if send == receive else f"{send}:{receive}"


_KEY = re.compile(
    r"(?P<send>[0-9]{1,3})(?::(?P<receive>[0-9]{1,3}))?"
    r"\s+(?P<secret>[a-z0-9][a-z0-9.-]*)/(?P<key>[A-Za-z0-9._-]+)(?:\s+(?P<algorithm>\S+))?\Z"
)
_MOST = 255


def parse_tcp_ao(text: str) -> tuple[KeyReference, ...]:
    """Read the value of the key.

    Raises:
        ScalarError: it makes no sense, or two keys have an identifier in common.
    """
    found = tuple(_parse_one(word.strip()) for word in text.split(","))
    for direction, ids in (
        ("send", [each.send_id for each in found]),
        ("receive", [each.receive_id for each in found]),
    ):
        twice = _first_twice(ids)
        if twice is not None:
            raise ScalarError("value", f"two keys have the {direction} id {twice}")
    return found


def _parse_one(word: str) -> KeyReference:
    found = _KEY.match(word)
    if found is None:
        raise ScalarError("value", f"{word!r} is not ID SECRET/KEY [ALGORITHM]")
    send = int(found["send"])
    receive = int(found["receive"] or send)
    if max(send, receive) > _MOST:
        raise ScalarError("value", f"{word!r}: ids are 0–{_MOST}")
    try:
        algorithm = Algorithm((found["algorithm"] or Algorithm.HMAC_SHA_1_96).lower())
    except ValueError:
        known = ", ".join(Algorithm)
        raise ScalarError("value", f"{found['algorithm']!r} is none of {known}") from None
    return KeyReference(send, receive, found["secret"], found["key"], algorithm)


def _first_twice(ids: Sequence[int]) -> int | None:
    return next((one for number, one in enumerate(ids) if one in ids[:number]), None)
