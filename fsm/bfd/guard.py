"""How one session signs its packets and judges those of its peer, also while keys change.

A `Guard` is there for every session, with authentication or without. What an operator changes is
used for our packets at once. The other end is changed sooner or later; until it uses the new, at
most for as long as either end could still hold the session, what was accepted before is accepted
besides. So a session stays Up if both ends are changed within the detection time, whoever is first,
and an old key is good for no longer than that.

Standards: RFC 5880 §6.7, §6.8.1.
"""

from __future__ import annotations

from fsm.bfd.authentication import Authentication, Signer
from fsm.bfd.packet import ControlPacket, Discard, encode


class Guard:
    """Signs and judges packets.

    Args:
        authentication: what is configured; None for packets that are not authenticated.
        sequence: of the first packet, by chance.
    """

    __slots__ = ("_forget_at", "_former", "_former_until", "_signer")

    def __init__(self, authentication: Authentication | None, sequence: int) -> None:
        self._signer = _signer(authentication, sequence)
        self._former: Signer | None = None
        self._former_until: float | None = None
        self._forget_at: float | None = None

    @property
    def signs(self) -> bool:
        """Whether packets are authenticated, so that no two of them need be the same."""
        return self._signer is not None

    @property
    def sequence(self) -> int | None:
        """bfd.XmitAuthSeq, of the next packet; None where packets have no authentication."""
        return None if self._signer is None else self._signer.sequence

    def change(
        self, authentication: Authentication | None, sequence: int, until: float | None
    ) -> None:
        """Sign otherwise from now on.

        Args:
            authentication: what is configured.
            sequence: of the next packet, if none had a number before.
            until: when the peer's former packets are no longer accepted; None for at once.
        """
        former, self._signer = self._signer, _signer(authentication, sequence)
        if former is not None and self._signer is not None:
            self._signer.follow(former)
        self._former = None if until is None else former
        self._former_until = until

    def sign(self, packet: ControlPacket) -> bytes:
        """Write a packet, which says itself whether it is authenticated."""
        return encode(packet) if self._signer is None else self._signer.sign(packet)

    def refuse(self, packet: ControlPacket, octets: bytes, now: float) -> Discard | None:
        """Say what is wrong with a packet's authentication, if anything is."""
        self.tick(now)
        wrong = _verdict(self._signer, packet, octets)
        if self._former_until is None:
            return wrong
        if wrong is None or self._former_until <= now:
            self._former = self._former_until = None
            return wrong
        if _verdict(self._former, packet, octets) is not None:
            return wrong
        if self._former is not None and self._signer is not None:
            # The peer numbers its packets on, whichever key they have.
            self._signer.follow(self._former, sequence=self._signer.sequence)
        return None

    def lose(self, now: float, patience: float) -> None:
        """The peer was silent for so long; after as long again its numbers are forgotten."""
        self._forget_at = now + patience if patience and self._signer is not None else None

    def hear(self) -> None:
        """The peer is not silent."""
        self._forget_at = None

    def tick(self, now: float) -> None:
        """Nothing came for twice the detection time: bfd.AuthSeqKnown is 0. RFC 5880 §6.8.1."""
        if self._forget_at is not None and self._forget_at <= now:
            self._forget_at = None
            if self._signer is not None:
                self._signer.heard = None


def _signer(authentication: Authentication | None, sequence: int) -> Signer | None:
    return None if authentication is None else Signer(authentication, sequence)


def _verdict(signer: Signer | None, packet: ControlPacket, octets: bytes) -> Discard | None:
    if signer is None:
        return Discard.UNEXPECTED_AUTH if packet.authenticated else None
    if not packet.authenticated:
        return Discard.MISSING_AUTH
    return None if signer.accepts(octets, packet.detect_mult) else Discard.BAD_AUTH
