"""From which addresses peers are accepted that nobody names one by one.

The text of the key ``wren.bgp/listenRange`` is a list of prefixes, of either family:

    10.1.0.0/24, fd00:1::/64

Of several ranges that have an address the longest prefix has the say, whatever BGPPeer it is of.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from speaker.config.scalars import ScalarError, parse_masked_network

Network: TypeAlias = IPv4Network | IPv6Network

MOST_PEERS = 65535
"""More could not be told apart by their sockets."""


def parse_listen_range(text: str) -> tuple[Network, ...]:
    """Read the value of the key.

    Raises:
        ScalarError: it makes no sense, or a part of it is in another part.
    """
    found: list[Network] = []
    for word in filter(None, re.split(r"[,\s]+", text)):
        network = parse_masked_network(word)
        if network.is_multicast:
            raise ScalarError("value", f"{network} is multicast; nobody connects from there")
        for other in found:
            if network.version == other.version and network.overlaps(other):
                raise ScalarError("value", f"{network} overlaps with {other}; write the wider one")
        found.append(network)
    if not found:
        raise ScalarError("value", f"{text!r} has no prefix")
    return tuple(found)


def read_peer_limit(text: str) -> int:
    """Read how many peers there may be at once."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PEERS:
        return int(text)
    raise ScalarError("value", f"{text!r} is no number of peers (1–{MOST_PEERS})")


def holds(network: Network, address: str) -> bool:
    """Tell whether an address, with a zone or without, is in a range."""
    return ip_address(address.partition("%")[0]) in network
