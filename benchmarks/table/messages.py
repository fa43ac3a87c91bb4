"""UPDATEs of the generator: put together here, so that no speaker's own packer is trusted.

`announcements` and `withdrawals` make whole messages; `messages`, `split` and `attributes_of` take
them apart again, for counting and checking. Everything is octets, nothing is judged.

Standards: RFC 4271 §4.3; RFC 4760 §3, §4; RFC 4724 §2 (End-of-RIB).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.table.attributes import NEXT_HOP_6

MARKER: Final = b"\xff" * 16
MAX_LENGTH: Final = 4096
UPDATE: Final = 2

END_OF_RIB: Final = {
    4: MARKER + b"\x00\x17\x02\x00\x00\x00\x00",
    6: MARKER + b"\x00\x1d\x02\x00\x00\x00\x06\x80\x0f\x03\x00\x02\x01",
}
"""By family."""

WIDTHS: Final = tuple((length + 7 >> 3) + 1 for length in range(256))
"""By first octet of a prefix: how many octets it has in all."""


def announcements(attributes: bytes, prefixes: Sequence[bytes], family: int) -> Iterator[bytes]:
    """Make the UPDATEs that announce prefixes with an attribute set."""
    beside = 0 if family == 4 else 4 + len(NEXT_HOP_6) + 1
    for block in _blocks(prefixes, MAX_LENGTH - 23 - len(attributes) - beside):
        if family == 4:
            octets, nlri = attributes, block
        else:
            value = NEXT_HOP_6 + b"\0" + block
            octets, nlri = b"\x90\x0e" + struct.pack("!H", len(value)) + value + attributes, b""
        size = 23 + len(octets) + len(nlri)
        yield MARKER + struct.pack("!HBHH", size, UPDATE, 0, len(octets)) + octets + nlri


def withdrawals(prefixes: Sequence[bytes], family: int) -> Iterator[bytes]:
    """Make the UPDATEs that withdraw prefixes."""
    for block in _blocks(prefixes, MAX_LENGTH - (23 if family == 4 else 30)):
        if family == 4:
            head = struct.pack("!HBH", 23 + len(block), UPDATE, len(block))
            yield MARKER + head + block + b"\0\0"
        else:
            octets = b"\x90\x0f" + struct.pack("!H", 3 + len(block)) + b"\x00\x02\x01" + block
            yield MARKER + struct.pack("!HBHH", 23 + len(octets), UPDATE, 0, len(octets)) + octets


def _blocks(prefixes: Iterable[bytes], room: int) -> Iterator[bytes]:
    """Join prefixes into blocks that fit."""
    block: list[bytes] = []
    size = 0
    for prefix in prefixes:
        if size + len(prefix) > room:
            yield b"".join(block)
            block, size = [], 0
        block.append(prefix)
        size += len(prefix)
    if block:
        yield b"".join(block)


def bodies(blob: bytes) -> Iterator[bytes]:
    """Give the bodies of whole messages."""
    at = 0
    while at < len(blob):
        after = at + (blob[at + 16] << 8 | blob[at + 17])
        yield blob[at + 19 : after]
        at = after


def fields(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Give withdrawn routes, attributes and NLRI of an UPDATE's body."""
    at = 2 + (body[0] << 8 | body[1])
    after = at + 2 + (body[at] << 8 | body[at + 1])
    return body[2:at], body[at + 2 : after], body[after:]


def split(block: bytes) -> Iterator[bytes]:
    """Cut a block of prefixes."""
    at = 0
    while at < len(block):
        after = at + WIDTHS[block[at]]
        yield block[at:after]
        at = after


def attributes_of(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut an attribute set: type and value."""
    at = 0
    while at + 3 <= len(octets):
        kind = octets[at + 1]
        if octets[at] & 0x10:
            start = at + 4
            after = start + (octets[at + 2] << 8 | octets[at + 3])
        else:
            start = at + 3
            after = start + octets[at + 2]
        yield kind, octets[start:after]
        at = after
