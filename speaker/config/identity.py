"""The BGP Identifier of a node (RFC 4271 §1, RFC 6286).

Calico's rule: the environment says nothing, and the node's IPv4 address is it; it says ``hash``,
and it is made from the node's name; or it says the identifier itself. A node with IPv6 alone and
an empty environment gets the hash as well, where Calico's speaker would not start.
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Address

from speaker.config.cluster import Member
from speaker.config.conditions import Conditions
from speaker.errors import ConfigError


def hashed_router_id(node: str) -> int:
    """Make an identifier of a node's name, below the multicast addresses."""
    first, *rest = sha256(node.encode()).digest()[:4]
    return int.from_bytes(bytes([first - 32 if first > 223 else first, *rest]), "big")


def router_id_of(me: Member, router_id_env: str | None, conditions: Conditions) -> int:
    """Give a node's BGP Identifier.

    Args:
        me: the node.
        conditions: takes a warning when the node's name has to serve.
        router_id_env: the value of ``CALICO_ROUTER_ID``, None or empty when it is not set.

    Raises:
        ConfigError: the value is neither ``hash`` nor an identifier.
    """
    if router_id_env == "hash":
        return hashed_router_id(me.name)
    if router_id_env:
        try:
            return int(IPv4Address(router_id_env))
        except ValueError:
            raise ConfigError(
                f"CALICO_ROUTER_ID is {router_id_env!r}", hint="set it to a.b.c.d or hash"
            ) from None
    if me.ipv4 is not None:
        return int(me.ipv4.ip)
    conditions.warn(
        f"Node/{me.name}",
        "NoRouterID",
        "no IPv4 address to take the router id from; it is made from the node's name",
    )
    return hashed_router_id(me.name)
