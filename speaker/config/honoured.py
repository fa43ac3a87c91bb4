"""Which fields of a BGPPeer hold for a peering of which kind, as Calico has it.

A field may be set and not be asked: a BGPPeer that selects nodes speaks for both ends, so what
makes sense at one end only (a local AS, how often the own AS may come back) holds where the BGPPeer
names the address itself. A local workload's session comes from wherever the workload connects to
and has little to be chosen. The mesh has no BGPPeer at all; its password and restart time stand in
BGPConfiguration.
"""

from __future__ import annotations

from speaker.config.peerings import Peering
from speaker.config.peerplan import PeerKind
from speaker.config.resources import BGPPeerSpec, SourceAddress

_MESH = BGPPeerSpec()

_BOTH_ENDS: dict[str, int | None] = {"local_as_number": None, "num_allowed_local_as_numbers": 0}
"""What is left out where a BGPPeer speaks for both ends."""

_OF_WORKLOADS = ("as_number", "local_as_number", "filters", "extensions", "bird_gateway_mode")
"""All that holds for a local workload."""


def honoured(peering: Peering) -> BGPPeerSpec:
    """Give the fields that hold for a peering; the others have their defaults."""
    if peering.peer is None:
        return _MESH
    spec = peering.peer.spec
    if peering.kind is PeerKind.LOCAL_WORKLOAD:
        kept = {name: getattr(spec, name) for name in _OF_WORKLOADS}
        return _MESH.model_copy(update={**kept, "source_address": SourceAddress.NONE})
    if peering.by_address or _says_nothing_of_one_end(spec):
        return spec
    return spec.model_copy(update=_BOTH_ENDS)


def _says_nothing_of_one_end(spec: BGPPeerSpec) -> bool:
    return all(getattr(spec, name) == default for name, default in _BOTH_ENDS.items())
