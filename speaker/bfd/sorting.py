"""The kernel sorts packets before they take room: a few instructions for each, of classic BPF.

Several sockets share a port (SO_REUSEPORT), and the program says which of them gets a packet. Those
with a discriminator of ours are apart from all others, so that no flood of others fills the buffer
that they wait in. Others that may be a peer's first ones are apart from those that are no good by
themselves: they fail a check of RFC 5880 §6.8.6, have made a hop (RFC 5881 §5), or have a
discriminator that nobody here has.

The upper half of our discriminators is a *tag*, the same for all, and by chance: nobody guesses it
who sees no packets of ours. It needs no privilege; where the kernel refuses, there is one socket
for all.

Standards: RFC 5880 §6.8.6; RFC 5881 §5.
"""

from __future__ import annotations

import socket
from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum
from struct import Struct

from fsm.bfd.packet import LENGTH, MULTIPOINT, VERSION

TAG_BITS = 16
"""How many bits of a discriminator are below its tag."""

TTL = 255
"""Of a packet from the link."""

MOST_TAGS = 8
"""Above so many any discriminator counts as ours."""

_ATTACH = 51  # SO_ATTACH_REUSEPORT_CBPF, asm-generic/socket.h
_INSTRUCTION = Struct("@HBBI")
_PROGRAM = Struct("@HP")

# linux/bpf_common.h
_LOAD_LENGTH, _LOAD_WORD, _LOAD_OCTET, _RETURN = 0x80, 0x20, 0x30, 0x06
_AND, _SHIFT_RIGHT = 0x54, 0x74
_IS_EQUAL, _IS_LEAST, _HAS_BITS = 0x15, 0x35, 0x45
_NETWORK = 0xFFF00000
"""SKF_NET_OFF of linux/filter.h: where the IP header is."""

_TTL_AT = {socket.AF_INET: 8, socket.AF_INET6: 7}


class Kind(IntEnum):
    """What a packet is at first sight; the number of the socket it goes to."""

    OURS = 0
    FIRST = 1
    JUNK = 2


def program(
    family: socket.AddressFamily, tags: Iterable[int], *, multihop: bool
) -> Sequence[tuple[int, int, int, int]]:
    """Write the program: operation, jumps if true and if false, operand.

    Args:
        family: of the sockets.
        tags: of our discriminators.
        multihop: the TTL is not looked at.
    """
    # Each check goes on where it holds, and to the end, which is junk, where it does not.
    checks: list[tuple[int, int, bool]] = [(_LOAD_LENGTH, 0, True), (_IS_LEAST, LENGTH, True)]
    if not multihop:
        checks += [(_LOAD_OCTET, _NETWORK + _TTL_AT[family], True), (_IS_EQUAL, TTL, True)]
    checks += [(_LOAD_OCTET, 0, True), (_AND, 0xE0, True), (_IS_EQUAL, VERSION << 5, True)]
    checks += [(_LOAD_OCTET, 2, True), (_IS_EQUAL, 0, False)]
    checks += [(_LOAD_OCTET, 1, True), (_HAS_BITS, MULTIPOINT, False)]
    checks += [(_LOAD_WORD, 4, True), (_IS_EQUAL, 0, False)]
    # No discriminator of ours: the first packet of somebody, who is Down or AdminDown.
    known = sorted(set(tags))
    end: list[tuple[int, int, int, int]] = [(_LOAD_WORD, 0, 0, 8), (_IS_EQUAL, 0, 4, 0)]
    end += [(_LOAD_OCTET, 0, 0, 1), (_IS_LEAST, 1, 0, 0x80)]
    end += [(_RETURN, 0, 0, Kind.FIRST), (_RETURN, 0, 0, Kind.JUNK)]
    if len(known) > MOST_TAGS:
        end.append((_RETURN, 0, 0, Kind.OURS))
    else:
        end.append((_SHIFT_RIGHT, 0, 0, TAG_BITS))
        end += [(_IS_EQUAL, len(known) - number, 0, tag) for number, tag in enumerate(known)]
        end += [(_RETURN, 0, 0, Kind.JUNK), (_RETURN, 0, 0, Kind.OURS)]
    junk = len(checks) + 5
    written = []
    for at, (operation, operand, goes_on) in enumerate(checks):
        away = junk - at - 1 if operation & 0x07 == 0x05 else 0
        jumps = (0, away) if goes_on else (away, 0)
        written.append((operation, *jumps, operand))
    return [*written, *end]


def sort(
    group: socket.socket, family: socket.AddressFamily, tags: Iterable[int], *, multihop: bool
) -> None:
    """Have the kernel sort the packets of sockets that share a port, from now on.

    Args:
        group: one of the sockets; packets go to them by `Kind` in the order in which they were
            bound.
        family: see `program`.
        tags: see `program`.
        multihop: see `program`.

    Raises:
        OSError: the kernel does not.
    """
    lines = program(family, tags, multihop=multihop)
    written = array("B", b"".join(_INSTRUCTION.pack(*line) for line in lines))
    told = _PROGRAM.pack(len(lines), written.buffer_info()[0])
    group.setsockopt(socket.SOL_SOCKET, _ATTACH, told)
