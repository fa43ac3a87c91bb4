"""Link-local peers: which link they are on.

Calico's peerIP has no zone, so that of a link-local address stands in ``wren.bgp/interface``. From
the plan on the two are one text, ``fe80::2%eth0`` (RFC 4007 §11), because the address alone says
nothing: the same one may be a peer on several links.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from speaker.config.annotations import peer_options
from speaker.config.resources import BGPPeer


def is_link_local(address: str) -> bool:
    """Tell whether an address, with a zone or without, is an IPv6 one of a link."""
    return ":" in address and IPv6Address(address).is_link_local


def accepts_range(peer: BGPPeer) -> bool:
    """Tell whether a BGPPeer is for whoever connects from a range."""
    options = peer_options(peer.metadata.annotations, peer.spec.extensions)
    return options.listen_range is not None


def peer_address(peer: BGPPeer) -> str:
    """Give the address of a BGPPeer that has a peerIP, with its zone if it needs one."""
    endpoint = peer.spec.peer_ip
    assert endpoint is not None
    zone = peer_options(peer.metadata.annotations, peer.spec.extensions).interface
    return f"{endpoint.address}%{zone}" if zone else endpoint.address
