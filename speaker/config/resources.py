"""Calico's resources as models: BGPPeer, BGPConfiguration, Node, IPPool, BlockAffinity, Secret;
BGPFilter is `speaker.config.filter_resources`, CalicoNodeStatus `speaker.config.status_resources`,
our own RoutePolicy `speaker.config.policy_resources`, and RPKICache
`speaker.config.cache_resources`.

One class per kind and per part of it, with the fields of the newest Calico and of the Enterprise
documents. What one field accepts is said by its type; what fields demand of each other is said in
`speaker.config.rules`, which works on the tree of the document, so that a mistake in one field
does not hide the mistakes in others. The door from a document to these classes is
`speaker.config.reading`.
"""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from policy.calico import ClusterRoutes, Encap
from speaker.config.bfd_resources import BFDConfiguration
from speaker.config.cache_resources import RPKICache
from speaker.config.filter_resources import BGPFilter
from speaker.config.kinds import Kind
from speaker.config.models import (
    AsNumber,
    CommunityText,
    Duration,
    InterfacePattern,
    Ip,
    Ipv4,
    Ipv4Interface,
    Ipv6,
    Ipv6Interface,
    LongNetwork,
    MaskedNetwork,
    Model,
    Name,
    Network,
    PeerIp,
    Port,
    Priority,
    Resource,
    SelectorText,
    TextMap,
    word_of,
)
from speaker.config.policy_resources import RoutePolicy
from speaker.config.problems import show_value
from speaker.config.scalars import ScalarError
from speaker.config.secrets import Secret
from speaker.config.status_resources import CalicoNodeStatus


class NextHopMode(StrEnum):
    """When NEXT_HOP is rewritten on export."""

    AUTO = "Auto"
    SELF = "Self"
    KEEP = "Keep"


class SourceAddress(StrEnum):
    """Whether a session is bound to the node's own address."""

    USE_NODE_IP = "UseNodeIP"
    NONE = "None"


class RestartMode(StrEnum):
    """RFC 4724 graceful restart, or RFC 9494 on top of it."""

    GRACEFUL = "GracefulRestart"
    LONG_LIVED = "LongLivedGracefulRestart"


class FailureDetectionMode(StrEnum):
    """Whether BFD watches the peer."""

    NONE = "None"
    BFD = "BFDIfDirectlyConnected"


class GatewayMode(StrEnum):
    """How the immediate next hop of a route is found."""

    RECURSIVE = "Recursive"
    DIRECT = "DirectIfDirectlyConnected"


class ReversePeering(StrEnum):
    """Whether the other ends of a BGPPeer get their half of the peering by themselves."""

    AUTO = "Auto"
    MANUAL = "Manual"


class SecretKeyRef(Model):
    """A key within a Secret."""

    name: str = ""
    key: str
    optional: bool = False


class Password(Model):
    """Where a TCP-MD5 key comes from."""

    secret_key_ref: SecretKeyRef | None = None


class BGPPeerSpec(Model):
    """Who peers with whom, and how."""

    node: Name | None = None
    node_selector: SelectorText | None = None
    peer_ip: PeerIp | None = None
    as_number: AsNumber = 0
    local_as_number: AsNumber | None = None
    peer_selector: SelectorText | None = None
    keep_original_next_hop: bool = False
    next_hop_mode: Annotated[NextHopMode, word_of(NextHopMode)] | None = None
    password: Password | None = None
    source_address: Annotated[SourceAddress, word_of(SourceAddress)] = SourceAddress.USE_NODE_IP
    max_restart_time: Duration | None = None
    keepalive_time: Duration | None = None
    num_allowed_local_as_numbers: int = Field(default=0, ge=-(2**31), le=2**31 - 1)
    ttl_security: int = Field(default=0, ge=0, le=255)
    reachable_by: Ip | None = None
    filters: list[Name] = Field(default_factory=list)
    local_workload_selector: SelectorText | None = None
    reverse_peering: Annotated[ReversePeering, word_of(ReversePeering)] = ReversePeering.AUTO
    extensions: TextMap = Field(default_factory=dict)
    failure_detection_mode: Annotated[FailureDetectionMode, word_of(FailureDetectionMode)] = (
        FailureDetectionMode.NONE
    )
    restart_mode: Annotated[RestartMode, word_of(RestartMode)] = RestartMode.GRACEFUL
    bird_gateway_mode: Annotated[GatewayMode, word_of(GatewayMode)] = GatewayMode.RECURSIVE
    external_network: Name | None = None


class BGPPeer(Resource):
    """A peering: of every node, one node, or the selected nodes, with an address or with nodes."""

    spec: BGPPeerSpec = BGPPeerSpec()


class Severity(StrEnum):
    """How much is logged."""

    TRACE = "Trace"
    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"
    FATAL = "Fatal"


def read_severity(value: object) -> Severity:
    """Read a log severity in any case."""
    for severity in Severity:
        if severity.lower() == str(value).lower():
            return severity
    raise ScalarError("enum", f"{show_value(value)} is none of {', '.join(Severity)}")


class BindMode(StrEnum):
    """Where the speaker listens."""

    NONE = "None"
    NODE_IP = "NodeIP"


class Aggregation(StrEnum):
    """Whether load-balancer CIDRs are advertised as a whole."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class ServiceBlock(Model):
    """One CIDR of service addresses."""

    cidr: LongNetwork | None = None


class NamedCommunity(Model):
    """A name for a community."""

    name: str = Field(min_length=1, max_length=253)
    value: CommunityText


class PrefixAdvertisement(Model):
    """Communities for the routes inside a CIDR: names or values."""

    cidr: Network
    communities: list[str] = Field(default=[], max_length=50)


class BGPConfigurationSpec(Model):
    """Settings of the cluster (``default``) or of one node (``node.<name>``)."""

    log_severity_screen: Annotated[Severity, PlainValidator(read_severity)] | None = None
    node_to_node_mesh_enabled: bool | None = None
    as_number: AsNumber | None = None
    service_cluster_ips: list[ServiceBlock] = Field(default_factory=list)
    service_external_ips: list[ServiceBlock] = Field(default_factory=list)
    service_load_balancer_ips: list[ServiceBlock] = Field(default_factory=list)
    service_load_balancer_aggregation: Annotated[Aggregation, word_of(Aggregation)] = (
        Aggregation.ENABLED
    )
    listen_port: Port | None = None
    bind_mode: Annotated[BindMode, word_of(BindMode)] = BindMode.NONE
    communities: list[NamedCommunity] = Field(default=[], max_length=500)
    prefix_advertisements: list[PrefixAdvertisement] | None = Field(default=None, max_length=500)
    node_mesh_password: Password | None = None
    node_mesh_max_restart_time: Duration | None = None
    ignored_interfaces: list[InterfacePattern] = Field(default_factory=list)
    local_workload_peering_ipv4: Ipv4 | None = Field(default=None, alias="localWorkloadPeeringIPV4")
    local_workload_peering_ipv6: Ipv6 | None = Field(default=None, alias="localWorkloadPeeringIPV6")
    program_cluster_routes: Annotated[ClusterRoutes, word_of(ClusterRoutes)] = (
        ClusterRoutes.ENABLED_NO_ENCAP_ONLY
    )
    ipv4_normal_route_priority: Priority = 1024
    ipv6_normal_route_priority: Priority = 1024


class BGPConfiguration(Resource):
    """Settings of the cluster, or of one node."""

    spec: BGPConfigurationSpec = BGPConfigurationSpec()


class NodeBGPSpec(Model):
    """What a node's speaker is: addresses, AS, cluster id."""

    as_number: AsNumber | None = None
    ipv4_address: Ipv4Interface | None = None
    ipv6_address: Ipv6Interface | None = None
    ipv4_ipip_tunnel_addr: Ipv4 | None = None
    route_reflector_cluster_id: Ipv4 | None = None


class WireguardSpec(Model):
    """Addresses of a node's WireGuard devices."""

    interface_ipv4_address: Ipv4 | None = None
    interface_ipv6_address: Ipv6 | None = None


class NodeSpec(Model):
    """A node; what is not about BGP is accepted and left alone."""

    bgp: NodeBGPSpec | None = None
    wireguard: WireguardSpec | None = None
    ipv4_vxlan_tunnel_addr: Ipv4 | None = None
    ipv6_vxlan_tunnel_addr: Ipv6 | None = None
    vxlan_tunnel_mac_addr: str | None = None
    vxlan_tunnel_mac_addr_v6: str | None = None
    addresses: list[dict[str, Any]] | None = None
    interfaces: list[dict[str, Any]] | None = None
    orch_refs: list[dict[str, Any]] | None = None


class Node(Resource):
    """A machine of the cluster."""

    spec: NodeSpec = NodeSpec()
    status: dict[str, Any] | None = None


class IPPoolSpec(Model):
    """A range of workload addresses and how packets to them travel."""

    cidr: MaskedNetwork
    ipip_mode: Annotated[Encap, word_of(Encap)] = Encap.NEVER
    vxlan_mode: Annotated[Encap, word_of(Encap)] = Encap.NEVER
    nat_outgoing: bool = False
    disabled: bool = False
    disable_bgp_export: bool = False
    block_size: int | None = None
    node_selector: SelectorText | None = None
    namespace_selector: SelectorText | None = None
    allowed_uses: list[str] | None = None
    assignment_mode: str | None = None


class IPPool(Resource):
    """A range of workload addresses."""

    spec: IPPoolSpec
    status: dict[str, Any] | None = None


class BlockState(StrEnum):
    """How far the claim of a block has come; empty is old data and means confirmed."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    PENDING_DELETION = "pendingDeletion"
    UNKNOWN = ""


def read_deleted(value: object) -> bool:
    """Read Calico's ``deleted``, which is text there."""
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise ScalarError("enum", f"{show_value(value)} is neither true nor false")


class BlockAffinitySpec(Model):
    """A block and the node it belongs to."""

    node: Name
    cidr: MaskedNetwork
    state: Annotated[BlockState, word_of(BlockState)] = BlockState.UNKNOWN
    type: str | None = None
    deleted: Annotated[bool, PlainValidator(read_deleted)] = False


class BlockAffinity(Resource):
    """A claim of a node to a block of addresses."""

    spec: BlockAffinitySpec


def decode_base64(value: object) -> Secret:
    """Read what stands in ``data`` of a Secret.

    Raises:
        ScalarError: it is not base64.
    """
    try:
        return Secret(base64.b64decode(str(value), validate=True))
    except (binascii.Error, ValueError):
        raise ScalarError("base64", "not base64") from None


def encode_text(value: object) -> Secret:
    """Read what stands in ``stringData`` of a Secret.

    Raises:
        ScalarError: it is not text.
    """
    if not isinstance(value, str):
        raise ScalarError("type", "must be text; quote it")
    return Secret(value.encode())


class SecretResource(Resource):
    """A Kubernetes Secret: passwords by key."""

    data: dict[str, Annotated[Secret, PlainValidator(decode_base64)]] = Field(default_factory=dict)
    string_data: dict[str, Annotated[Secret, PlainValidator(encode_text)]] = Field(
        default_factory=dict
    )
    type: str | None = None
    immutable: bool | None = None

    def get(self, key: str) -> Secret | None:
        """Give the value of a key; ``stringData`` overrides ``data`` as in Kubernetes."""
        return self.string_data.get(key) or self.data.get(key)


MODELS: dict[Kind, type[Resource]] = {
    Kind.BGP_PEER: BGPPeer,
    Kind.BGP_FILTER: BGPFilter,
    Kind.ROUTE_POLICY: RoutePolicy,
    Kind.BGP_CONFIGURATION: BGPConfiguration,
    Kind.NODE: Node,
    Kind.IP_POOL: IPPool,
    Kind.BLOCK_AFFINITY: BlockAffinity,
    Kind.SECRET: SecretResource,
    Kind.CALICO_NODE_STATUS: CalicoNodeStatus,
    Kind.RPKI_CACHE: RPKICache,
    Kind.BFD_CONFIGURATION: BFDConfiguration,
}
"""The model of each kind."""
