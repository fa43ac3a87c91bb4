"""The packed prefix: one form for table key, log value and output.

An NLRI is kept exactly as it travels (RFC 4271 §4.3): one octet of length in bits, then the
significant octets, host bits zero. Equal prefixes are equal bytes, so a table is a plain ``dict``
on them, a block of an UPDATE is ``b"".join(nlris)``, and no object per prefix exists anywhere. The
family does not stand in the bytes; it always travels beside them.

`split` is the hot way in: one compiled regular expression per family cuts a block into canonical
prefixes. What the expression does not take (host bits set, a length that is too long, an octet
missing) is looked at one by one by `split_slowly`, which repairs the first and refuses the rest.

Standards: RFC 4271 §4.3 (encoding), §6.3 (errors); RFC 4760 §5 (the same for other families).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

from fsm.family import Afi, Family

Nlri: TypeAlias = bytes

WIDTH = {Afi.IPV4: 32, Afi.IPV6: 128}
"""Bits of an address, per address family."""


class PrefixError(ValueError):
    """A block of NLRI that no prefix can be read from."""


class PrefixLengthError(PrefixError):
    """A prefix that is longer than an address of its family."""


def _canonical_prefixes(width: int) -> re.Pattern[bytes]:
    """Build the expression that matches one NLRI whose host bits are zero."""
    branches = [rb"\x00"]
    for length in range(1, width + 1):
        whole, bits = divmod(length, 8)
        octets = b"." * whole
        if bits:
            step = 1 << (8 - bits)
            octets += b"[" + b"".join(b"\\x%02x" % value for value in range(0, 256, step)) + b"]"
        branches.append(b"\\x%02x" % length + octets)
    # The usual lengths first: alternatives are tried in order.
    branches.sort(key=_by_likelihood)
    return re.compile(b"(?s:" + b"|".join(branches) + b")")


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


_CUT = {afi: _canonical_prefixes(width).findall for afi, width in WIDTH.items()}


# hot: per prefix
def split(afi: Afi, data: bytes, start: int = 0, end: int | None = None) -> list[Nlri]:
    """Cut ``data[start:end]`` into canonical prefixes.

    Raises:
        PrefixError: a length above the family's width, or octets are missing (RFC 4271 §6.3).
    """
    if end is None:
        end = len(data)
    nlris: list[Nlri] = _CUT[afi](data, start, end)
    # findall passes over what it cannot match; then something is missing from the sum.
    if sum(map(len, nlris)) != end - start:
        return split_slowly(afi, data, start, end)
    return nlris


def split_slowly(afi: Afi, data: bytes, start: int, end: int) -> list[Nlri]:
    """Do what `split` does, octet by octet, clearing host bits on the way.

    RFC 4271 §4.3: the value of trailing bits is irrelevant, so they are cleared rather than
    refused.
    """
    width, nlris, at = WIDTH[afi], [], start
    while at < end:
        length = data[at]
        if length > width:
            raise PrefixLengthError(f"prefix length {length} is above {width}")
        after = at + 1 + (length + 7 >> 3)
        if after > end:
            raise PrefixError(f"a prefix of length {length} is cut off")
        nlris.append(canonical(data[at:after]))
        at = after
    return nlris


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
