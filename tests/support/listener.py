"""A peer that only listens: it reads UPDATEs by the letter of the RFCs, without our own parser."""

from __future__ import annotations

from typing import NamedTuple

from policy.prefix import Nlri


class Told(NamedTuple):
    """What a peer was told of one prefix: attributes without MP_REACH_NLRI, and its next hop."""

    attributes: bytes
    next_hop: bytes


class Listener:
    """Keep what an UPDATE stream says.

    Args:
        path_ids: an identifier stands before each prefix, and is taken as part of it (RFC 7911 §3).

    Attributes:
        routes: what is announced and not withdrawn.
        ever: every prefix that was ever announced.
        withdrawn: every prefix that was withdrawn, in order.
        vain: those of them that had never been announced.
        ended: how many End-of-RIB markers came.
    """

    def __init__(self, *, path_ids: bool = False) -> None:
        self._before = 4 if path_ids else 0
        self.routes: dict[Nlri, Told] = {}
        self.ever: set[Nlri] = set()
        self.withdrawn: list[Nlri] = []
        self.vain: set[Nlri] = set()
        self.ended = 0

    def hear(self, messages: list[bytes]) -> None:
        """Take whole messages."""
        for message in messages:
            assert message[:16] == b"\xff" * 16
            assert int.from_bytes(message[16:18], "big") == len(message)
            assert message[18] == 2
            self._update(message[19:])

    def _update(self, body: bytes) -> None:
        at = 2 + int.from_bytes(body[:2], "big")
        gone = self._prefixes(body[2:at])
        after = at + 2 + int.from_bytes(body[at : at + 2], "big")
        attributes, nlri = body[at + 2 : after], self._prefixes(body[after:])
        rest, next_hop, ended = b"", b"", not gone and not attributes and not nlri
        while attributes:
            flags, code, length, head = *attributes[:3], 3
            if flags & 0x10:
                length, head = int.from_bytes(attributes[2:4], "big"), 4
            whole, attributes = attributes[: head + length], attributes[head + length :]
            value = whole[head:]
            if code == 14:
                next_hop = value[4 : 4 + value[3]]
                nlri += self._prefixes(value[5 + value[3] :])
            elif code == 15:
                gone += self._prefixes(value[3:])
                ended = len(value) == 3
            else:
                rest += whole
        self.ended += ended
        for prefix in gone:
            self.withdrawn.append(prefix)
            if prefix not in self.ever:
                self.vain.add(prefix)
            self.routes.pop(prefix, None)
        for prefix in nlri:
            self.ever.add(prefix)
            self.routes[prefix] = Told(rest, next_hop)

    def _prefixes(self, block: bytes) -> list[Nlri]:
        found = []
        while block:
            size = self._before + 1 + (block[self._before] + 7) // 8
            found.append(block[:size])
            block = block[size:]
        return found
