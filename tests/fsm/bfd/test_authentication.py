"""Passwords, digests and sequence numbers (RFC 5880 §6.7)."""

from __future__ import annotations

import hashlib

import pytest

from fsm.bfd.authentication import Authentication, AuthType, Signer
from fsm.bfd.packet import BfdState, ControlPacket, Discard, decode
from fsm.errors import LocalError

PACKET = ControlPacket(BfdState.UP, 7, 9, authenticated=True)
DIGESTS = [kind for kind in AuthType if kind.digest_size]


def signer(kind: AuthType, key: bytes = b"secret", sequence: int = 5) -> Signer:
    return Signer(Authentication(kind, {1: key}, 1), sequence)


@pytest.mark.parametrize("kind", list(AuthType))
def test_a_packet_with_our_key_is_taken(kind: AuthType) -> None:
    octets = signer(kind).sign(PACKET)
    assert decode(octets) == PACKET
    assert signer(kind).accepts(octets, 3)


@pytest.mark.parametrize("kind", list(AuthType))
def test_a_packet_with_another_key_is_not(kind: AuthType) -> None:
    octets = signer(kind, b"Secret").sign(PACKET)
    assert not signer(kind).accepts(octets, 3)


@pytest.mark.parametrize("kind", list(AuthType))
def test_a_key_of_another_number_is_not_taken(kind: AuthType) -> None:
    other = Signer(Authentication(kind, {2: b"secret"}, 2), 5)
    assert not signer(kind).accepts(other.sign(PACKET), 3)


@pytest.mark.parametrize("kind", list(AuthType))
def test_another_kind_is_not_taken(kind: AuthType) -> None:
    octets = signer(kind).sign(PACKET)
    for other in set(AuthType) - {kind}:
        assert not signer(other).accepts(octets, 3)


def test_the_digest_covers_the_packet_with_the_padded_key() -> None:
    octets = signer(AuthType.KEYED_SHA1).sign(PACKET)
    assert len(octets) == octets[3] == 52
    covered = octets[:32] + b"secret".ljust(20, b"\0")
    assert octets[32:] == hashlib.sha1(covered, usedforsecurity=False).digest()


@pytest.mark.parametrize("kind", DIGESTS)
def test_a_packet_that_was_changed_on_the_way_is_not_taken(kind: AuthType) -> None:
    octets = bytearray(signer(kind).sign(PACKET))
    octets[7] ^= 1
    assert not signer(kind).accepts(bytes(octets), 3)


@pytest.mark.parametrize("kind", DIGESTS)
def test_numbers_go_on_within_a_window(kind: AuthType) -> None:
    ours = signer(kind)
    first = signer(kind, sequence=2**32 - 1).sign(PACKET)
    assert ours.accepts(first, 3)
    assert ours.accepts(first, 3) is not kind.is_meticulous
    assert ours.accepts(signer(kind, sequence=8).sign(PACKET), 3)
    assert not ours.accepts(signer(kind, sequence=18).sign(PACKET), 3)
    assert not ours.accepts(signer(kind, sequence=7).sign(PACKET), 3)
    assert ours.heard == 8


def test_a_forged_first_packet_locks_nobody_out() -> None:
    ours = signer(AuthType.METICULOUS_KEYED_SHA1)
    forged = signer(AuthType.METICULOUS_KEYED_SHA1, b"guess", 10_000).sign(PACKET)
    assert not ours.accepts(forged, 3)
    assert ours.accepts(signer(AuthType.METICULOUS_KEYED_SHA1).sign(PACKET), 3)


@pytest.mark.parametrize("kind", list(AuthType))
def test_a_section_that_is_cut_short_is_not_taken(kind: AuthType) -> None:
    octets = bytearray(signer(kind).sign(PACKET)[:-1])
    octets[3] -= 1
    assert not signer(kind).accepts(bytes(octets), 3)
    octets[25] -= 1
    assert not signer(kind).accepts(bytes(octets), 3)
    assert decode(bytes(octets)[:24] + b"") is Discard.LENGTH


@pytest.mark.parametrize(
    ("keys", "key_id", "words"),
    [
        ({1: b"x"}, 2, "no key 2"),
        ({1: b""}, 1, "key 1 has not"),
        ({1: b"x" * 17}, 1, "between 1 and 16"),
        ({256: b"x"}, 256, "number 256"),
    ],
)
def test_keys_that_cannot_be(keys: dict[int, bytes], key_id: int, words: str) -> None:
    with pytest.raises(LocalError, match=words):
        Authentication(AuthType.KEYED_MD5, keys, key_id)


def test_keys_do_not_show() -> None:
    assert "secret" not in repr(Authentication(AuthType.KEYED_MD5, {1: b"secret"}, 1))
