"""The packed prefix: one form for table key, log value and output.

An NLRI is kept exactly as it travels (RFC 4271 §4.3): one octet of length in bits, then the
significant octets, host bits zero. Equal prefixes are equal bytes, so a table is a plain ``dict``
on them, a block of an UPDATE is ``b"".join(nlris)``, and no object per prefix exists anywhere. The
family does not stand in the bytes; it always travels beside them.

`split` is the hot way in: one compiled regular expression per family cuts a block into canonical
prefixes. What the expression does not take (host bits set, a prefix that leads nowhere, a length
that is too long, an octet missing) is looked at by `split_slowly`, which repairs the first, sets
the second aside and refuses the rest.

Where a session tells several paths to a prefix, a path identifier of four octets stands before each
NLRI (RFC 7911 §3). `split_with_ids` cuts such blocks; what it gives are the keys of a table of
paths, and the prefix is the key without its first `ID_LENGTH` octets.

Standards: RFC 4271 §4.3 (encoding), §6.3 (errors); RFC 4760 §5 (the same for other families); RFC
7911 §3 (path identifiers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

from fsm.family import Afi, Family

Nlri: TypeAlias = bytes

PathIdNlri: TypeAlias = bytes
"""A path identifier and the NLRI behind it."""

ID_LENGTH = 4
"""Octets of a path identifier."""

WIDTH = {Afi.IPV4: 32, Afi.IPV6: 128}
"""Bits of an address, per address family."""


class PrefixError(ValueError):
    """A block of NLRI that no prefix can be read from."""


class PrefixLengthError(PrefixError):
    """A prefix that is longer than an address of its family."""


class UnroutableError(PrefixError):
    """A block in which there are prefixes that lead nowhere, but nothing else is wrong.

    Args:
        routable: the other prefixes of the block, with the identifiers before them.
        unroutable: those that lead nowhere.
    """

    def __init__(self, routable: list[Nlri], unroutable: list[Nlri]) -> None:
        super().__init__(f"{len(unroutable)} prefixes that lead nowhere")
        self.routable = routable
        self.unroutable = unroutable


_FIRST_OCTETS = {32: rb"[\x01-\x7e\x80-\xdf\xf0-\xff]", 128: rb"[^\xfe\xff]"}
"""Those of a first octet that are routable whatever follows."""


def _canonical_prefixes(width: int, id_length: int = 0) -> re.Pattern[bytes]:
    """Build the expression that matches one NLRI whose host bits are zero, and an identifier.

    It matches nothing that leads nowhere; of IPv6 it leaves out fe00::/8 as a whole, of which
    hardly anything is ever announced.
    """
    afi = Afi.IPV4 if width == WIDTH[Afi.IPV4] else Afi.IPV6
    branches = [rb"\x00"]
    for length in range(1, width + 1):
        whole, bits = divmod(length, 8)
        octets = _FIRST_OCTETS[width] + b"." * (whole - 1) if whole else b""
        if bits:
            values: Iterable[int] = range(0, 256, 1 << (8 - bits))
            if not whole:
                values = [each for each in values if is_routable(afi, bytes((length, each)))]
            octets += b"[" + b"".join(b"\\x%02x" % value for value in values) + b"]"
        if length == WIDTH[Afi.IPV6]:
            octets = rb"(?!\x00{15}[\x00\x01])" + octets
        branches.append(b"\\x%02x" % length + octets)
    # The usual lengths first: alternatives are tried in order.
    branches.sort(key=_by_likelihood)
    return re.compile(b"(?s:" + b"." * id_length + b"(?:" + b"|".join(branches) + b"))")


def _any_prefixes(width: int, id_length: int = 0) -> re.Pattern[bytes]:
    """Build the expression that matches one NLRI whatever it says, and an identifier."""
    sizes = range(1, (width >> 3) + 1)
    branches = [rb"\x00", *(b"[\\x%02x-\\x%02x].{%d}" % (8 * n - 7, 8 * n, n) for n in sizes)]
    return re.compile(b"(?s:" + b"." * id_length + b"(?:" + b"|".join(branches) + b"))")


def _by_likelihood(branch: bytes) -> tuple[int, bytes]:
    usual = [
        b"\\x18",
        b"\\x16",
        b"\\x17",
        b"\\x15",
        b"\\x14",
        b"\\x13",
        b"\\x30",
        b"\\x20",
        b"\\x40",
    ]
    head = branch[:4]
    return (usual.index(head) if head in usual else len(usual), branch)


class _Cutters(dict[Afi, Callable[[bytes, int, int], list[bytes]]]):
    """What cuts blocks, per address family; compiled when the first block comes.

    Most routers never see paths with identifiers, many no IPv6; together they take as long to
    compile as a twentieth of the start.
    """

    def __init__(self, build: Callable[[int, int], re.Pattern[bytes]], id_length: int) -> None:
        super().__init__()
        self._build = build
        self._id_length = id_length

    def __missing__(self, afi: Afi) -> Callable[[bytes, int, int], list[bytes]]:
        cut = self[afi] = self._build(WIDTH[afi], self._id_length).findall
        return cut


_CUT = _Cutters(_canonical_prefixes, 0)
_CUT_WITH_IDS = _Cutters(_canonical_prefixes, ID_LENGTH)
_CUT_ANY = {id_length: _Cutters(_any_prefixes, id_length) for id_length in (0, ID_LENGTH)}


# hot: per prefix
def split(afi: Afi, data: bytes, start: int = 0, end: int | None = None) -> list[Nlri]:
    """Cut ``data[start:end]`` into canonical prefixes.

    Raises:
        UnroutableError: some of them lead nowhere.
        PrefixError: a length above the family's width, or octets are missing (RFC 4271 §6.3).
    """
    if end is None:
        end = len(data)
    nlris: list[Nlri] = _CUT[afi](data, start, end)
    # findall passes over what it cannot match; then something is missing from the whole.
    if len(b"".join(nlris)) != end - start:
        return split_slowly(afi, data, start, end)
    return nlris


# hot: per prefix
def split_with_ids(
    afi: Afi, data: bytes, start: int = 0, end: int | None = None
) -> list[PathIdNlri]:
    """Cut ``data[start:end]`` into canonical prefixes, each with the identifier before it.

    Raises:
        PrefixError: as `split`; or an identifier has no NLRI behind it (RFC 7911 §3).
    """
    if end is None:
        end = len(data)
    keys: list[PathIdNlri] = _CUT_WITH_IDS[afi](data, start, end)
    if len(b"".join(keys)) != end - start:
        return split_slowly(afi, data, start, end, ID_LENGTH)
    return keys


def split_slowly(afi: Afi, data: bytes, start: int, end: int, id_length: int = 0) -> list[Nlri]:
    """Do what `split` and `split_with_ids` do, clearing host bits on the way.

    RFC 4271 §4.3: the value of trailing bits is irrelevant, so they are cleared rather than
    refused. What comes many times is looked at once, so that the longest message does not take long
    whatever is in it.
    """
    found = _CUT_ANY[id_length][afi](data, start, end)
    if len(b"".join(found)) != end - start:
        raise _first_error(afi, data, start, end, id_length)
    made = {each: each[:id_length] + canonical(each[id_length:]) for each in set(found)}
    nowhere = {each for each, key in made.items() if not is_routable(afi, key[id_length:])}
    if not nowhere:
        return [made[each] for each in found]
    raise UnroutableError(
        [made[each] for each in found if each not in nowhere],
        [made[each] for each in found if each in nowhere],
    )


def _first_error(afi: Afi, data: bytes, start: int, end: int, id_length: int) -> PrefixError:
    """Say what is wrong with a block that is not made of whole prefixes."""
    width, at = WIDTH[afi], start
    while True:
        behind = at + id_length
        if behind >= end:
            return PrefixError("a path identifier has no prefix behind it")
        length = data[behind]
        if length > width:
            return PrefixLengthError(f"prefix length {length} is above {width}")
        at = behind + 1 + (length + 7 >> 3)
        if at > end:
            return PrefixError(f"a prefix of length {length} is cut off")


def is_routable(afi: Afi, nlri: Nlri) -> bool:
    """Tell whether a prefix may lead anywhere; addresses that mean a group or a place do not.

    RFC 4271 §6.3 names multicast. Network 0, loopback and IPv6's link-local addresses are no more
    for a neighbour to announce: a route to fe80::/64 would take the links' own traffic away.
    """
    length = nlri[0]
    first = nlri[1] if length else 0
    if afi == Afi.IPV4:
        return not (length >= 8 and first in (0, 127)) and not (length >= 4 and first >> 4 == 0xE)
    is_multicast = length >= 8 and first == 0xFF
    is_link_local = length >= 10 and first == 0xFE and nlri[2] & 0xC0 == 0x80
    is_here = length == 128 and not any(nlri[1:16]) and nlri[16] <= 1
    return not (is_multicast or is_link_local or is_here)


def canonical(nlri: bytes) -> Nlri:
    """Clear the bits behind the prefix length."""
    spare = -nlri[0] % 8
    if not spare:
        return nlri
    return nlri[:-1] + bytes((nlri[-1] >> spare << spare,))


def pack(afi: Afi, address: bytes, length: int) -> Nlri:
    """Make the NLRI of an address (4 or 16 octets) and a length; host bits are cleared."""
    if length > WIDTH[afi]:
        raise PrefixLengthError(f"prefix length {length} is above {WIDTH[afi]}")
    return canonical(bytes((length,)) + address[: length + 7 >> 3])


def address_of(afi: Afi, nlri: Nlri) -> bytes:
    """Give the network address of a prefix in full, 4 or 16 octets."""
    return nlri[1:].ljust(WIDTH[afi] >> 3, b"\0")


def parse_prefix(text: str) -> tuple[Afi, Nlri]:
    """Read ``10.0.0.0/8`` or ``2001:db8::/32``; a bare address is a host prefix.

    Raises:
        PrefixError: no prefix, or host bits are set.
    """
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise PrefixError(str(error)) from error
    afi = Afi.IPV6 if isinstance(network, IPv6Network) else Afi.IPV4
    return afi, pack(afi, network.network_address.packed, network.prefixlen)


def host_prefix(address: bytes) -> Nlri:
    """Give the /32 or /128 of an address of 4 or 16 octets."""
    return bytes((len(address) * 8,)) + address


def afi_of_address(address: bytes) -> Afi:
    """Tell the family of an address by its size."""
    return Afi.IPV4 if len(address) == 4 else Afi.IPV6


def show_address(address: bytes) -> str:
    """Print an address of 4 or 16 octets."""
    return str(IPv4Address(address)) if len(address) == 4 else str(IPv6Address(address))


def show(afi: Afi, nlri: Nlri) -> str:
    """Print a prefix, ``10.0.0.0/8``."""
    return f"{show_address(address_of(afi, nlri))}/{nlri[0]}"


def covers(outer: Nlri, inner: Nlri) -> bool:
    """Tell whether ``inner`` is ``outer`` or more specific (same family)."""
    length = outer[0]
    if inner[0] < length:
        return False
    whole, bits = divmod(length, 8)
    if inner[1 : 1 + whole] != outer[1 : 1 + whole]:
        return False
    return not bits or inner[1 + whole] >> (8 - bits) == outer[1 + whole] >> (8 - bits)


def show_all(family: Family, nlris: Iterable[Nlri]) -> list[str]:
    """Print many prefixes."""
    return [show(family.afi, nlri) for nlri in nlris]
