"""How a next hop was resolved, step by step, for people.

`speaker.rib.next_hops` resolves in the same way whether somebody looks on or not. A `Step` says
what was found at an address; the last one says how it ended. They are made only where somebody
wants to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policy.prefix import afi_of_address, show, show_address
from speaker.rib.underlay import KernelRoute


class Resolving(StrEnum):
    """What resolution finds at an address."""

    TRUSTED = "{address} counts as reachable: there is no kernel to ask"
    OWN = "{address} is an address of this node"
    NONE = "there is no address"
    TOO_DEEP = "{address} is behind too many gateways, or behind itself"
    NO_ROUTE = "the kernel has no route to {address}"
    DEAD_END = "{address} is behind {route}, which is {kind}"
    LINK_DOWN = "{address} would leave by {interface}, which is down"
    NO_LINK = "{address} is a link-local address, and its link is not known"
    ON_LINK = "{address} is on the link {interface}"
    BY_GATEWAY = "{address} is behind {gateway} on {interface}, by the route {route}"
    RECURSIVE = "{address} is behind {gateway}, by the route {route}"
    PEER = "{address} is behind the peer {gateway} on {interface}, as its gatewayMode says"
    BESIDE = "the link-local address beside it is taken"


@dataclass(frozen=True, slots=True)
class Step:
    """What was found at one address; `str` is the sentence."""

    found: Resolving
    address: bytes = b""
    route: KernelRoute | None = None
    gateway: bytes = b""
    interface: str = ""

    def __str__(self) -> str:
        route = self.route
        return self.found.value.format(
            address=show_address(self.address) if self.address else "",
            gateway=show_address(self.gateway) if self.gateway else "",
            interface=self.interface or "a link that is gone",
            route="" if route is None else show(afi_of_address(self.address), route.nlri),
            kind="" if route is None else route.kind.name.lower(),
        )
