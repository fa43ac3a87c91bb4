"""What stands behind the A bit: passwords and digests.

An `Authentication` is what a session was configured with: a type and the keys by their numbers. A
`Signer` remembers the sequence numbers of one session. Keys never show in a `repr`.

Where RFC and we differ:

- RFC: the first sequence number is believed before its digest is looked at (RFC 5880 §6.7.3).
- Ours: nothing is believed of a packet whose digest is wrong; a forged one cannot lock a peer out.

Standards: RFC 5880 §4.2, §4.3, §4.4, §6.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hmac import compare_digest
from struct import Struct

from fsm.bfd.packet import LENGTH, ControlPacket, encode
from fsm.errors import LocalError

_DIGEST_HEAD = Struct("!BBBBI")
_SEQUENCE = 1 << 32


class AuthType(IntEnum):
    """How packets are authenticated. RFC 5880 §4.1."""

    SIMPLE_PASSWORD = 1
    KEYED_MD5 = 2
    METICULOUS_KEYED_MD5 = 3
    KEYED_SHA1 = 4
    METICULOUS_KEYED_SHA1 = 5

    @property
    def is_meticulous(self) -> bool:
        """Each packet has a new sequence number."""
        return self in (AuthType.METICULOUS_KEYED_MD5, AuthType.METICULOUS_KEYED_SHA1)

    @property
    def digest_size(self) -> int:
        """Octets of the digest; 0 for a password."""
        return (0, 0, 16, 16, 20, 20)[self]

    @property
    def has_sequence(self) -> bool:
        """Packets are numbered."""
        return self is not AuthType.SIMPLE_PASSWORD

    @property
    def longest_key(self) -> int:
        """Octets that a key may have."""
        return self.digest_size or 16


@dataclass(frozen=True, slots=True)
class Authentication:
    """How a session authenticates its packets.

    Args:
        kind: the same at both ends.
        keys: by their numbers, 0 to 255; each of them is taken from the peer.
        key_id: of the key that signs ours.

    Raises:
        LocalError: a key is empty or too long, or there is none of that number.
    """

    kind: AuthType
    keys: Mapping[int, bytes] = field(repr=False)
    key_id: int

    def __post_init__(self) -> None:
        if self.key_id not in self.keys:
            raise LocalError(f"BFD has no key {self.key_id} to sign with")
        longest = self.kind.longest_key
        for number, key in self.keys.items():
            if not 0 <= number <= 255:
                raise LocalError(f"BFD key number {number} is not between 0 and 255")
            if not 0 < len(key) <= longest:
                raise LocalError(f"BFD key {number} has not between 1 and {longest} octets")


class Signer:
    """Signs the packets of one session and judges those of its peer. RFC 5880 §6.7.

    Args:
        authentication: what is configured.
        sequence: bfd.XmitAuthSeq to begin with; by chance.

    Attributes:
        sequence: bfd.XmitAuthSeq, of the next packet.
        heard: bfd.RcvAuthSeq; None while it is not known.
    """

    __slots__ = ("_authentication", "heard", "sequence")

    def __init__(self, authentication: Authentication, sequence: int) -> None:
        self._authentication = authentication
        self.sequence = sequence % _SEQUENCE
        self.heard: int | None = None

    def follow(self, former: Signer, sequence: int | None = None) -> None:
        """Count on where a signer of other keys stopped. RFC 5880 §6.7.3, §6.8.1.

        Numbers belong to the session, not to its keys: a peer that has ours in mind drops any other
        one, and a packet of the past is not to be taken again.

        Args:
            former: which had the numbers.
            sequence: of our next packet, where that is known better.
        """
        if self._authentication.kind.has_sequence and former._authentication.kind.has_sequence:
            self.sequence = former.sequence if sequence is None else sequence
            self.heard = former.heard

    def sign(self, packet: ControlPacket) -> bytes:
        """Write a packet, which has its A bit set, with its authentication section."""
        ours = self._authentication
        key = ours.keys[ours.key_id]
        if ours.kind is AuthType.SIMPLE_PASSWORD:
            size = 3 + len(key)
            return encode(packet, LENGTH + size) + bytes((ours.kind, size, ours.key_id)) + key
        size = _DIGEST_HEAD.size + ours.kind.digest_size
        head = _DIGEST_HEAD.pack(ours.kind, size, ours.key_id, 0, self.sequence)
        self.sequence = (self.sequence + 1) % _SEQUENCE
        covered = encode(packet, LENGTH + size) + head
        return covered + _digest(ours.kind, covered, key)

    def accepts(self, octets: bytes, detect_mult: int) -> bool:
        """Tell whether a packet is the peer's, and remember its sequence number if so.

        Args:
            octets: of a packet that was decoded and has its A bit set.
            detect_mult: of that packet; it bounds how far sequence numbers may jump.
        """
        ours = self._authentication
        section = octets[LENGTH : octets[3]]
        if len(section) < 3 or section[0] != ours.kind or section[1] != len(section):
            return False
        key = ours.keys.get(section[2])
        if key is None:
            return False
        if ours.kind is AuthType.SIMPLE_PASSWORD:
            return compare_digest(section[3:], key)
        if len(section) != _DIGEST_HEAD.size + ours.kind.digest_size:
            return False
        sequence = _DIGEST_HEAD.unpack_from(section)[4]
        if not self._is_next(sequence, detect_mult):
            return False
        start = LENGTH + _DIGEST_HEAD.size
        if not compare_digest(
            section[_DIGEST_HEAD.size :], _digest(ours.kind, octets[:start], key)
        ):
            return False
        self.heard = sequence
        return True

    def _is_next(self, sequence: int, detect_mult: int) -> bool:
        if self.heard is None:
            return True
        ahead = (sequence - self.heard) % _SEQUENCE
        return self._authentication.kind.is_meticulous <= ahead <= 3 * detect_mult


def _digest(kind: AuthType, covered: bytes, key: bytes) -> bytes:
    """Digest a packet up to its digest, in whose place the padded key stands."""
    text = covered + key.ljust(kind.digest_size, b"\0")
    if kind.digest_size == 16:
        return hashlib.md5(text, usedforsecurity=False).digest()
    return hashlib.sha1(text, usedforsecurity=False).digest()
