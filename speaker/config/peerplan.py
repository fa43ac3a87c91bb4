"""The plan of one peer: everything a session needs to know, settled.

`PeerPlan` has no references into the resources; two plans that are equal lead to the same
session. Each field declares beside its type what a change of it costs (`OnChange`):
`speaker.config.changes` computes with it, and the manual's table is made from it.
"""

# ruff: noqa: RUF009  (`planned` is dataclasses.field, with a word on changes)
from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from enum import Flag, StrEnum
from typing import Any

from fsm.family import Afi, Family
from policy.roles import Role
from policy.rules import Rule
from speaker.config.add_path import AddPathMode
from speaker.config.bfd_keys import BfdAuthentication, BfdTimers
from speaker.config.key_values import AigpMode, BlackholeMode
from speaker.config.limits import Limits
from speaker.config.requirements import Requirement
from speaker.config.resources import GatewayMode, NextHopMode, RestartMode
from speaker.config.secrets import Secret
from speaker.config.tcp_ao import MasterKey


class OnChange(Flag):
    """What has to happen to a session when a field of its plan changes.

    A field may ask for several things; a reset makes all others needless.
    """

    NOTHING = 0
    NEXT_SESSION = 1
    """The next session is made with it; the one that stands is left alone."""
    REFILTER_IN = 2
    """What the peer told us is judged anew."""
    REFILTER_OUT = 4
    """What we tell the peer is judged anew."""
    REGROUP = 8
    """The peer joins another export group and hears everything again."""
    RESET = 16
    """The session is closed and opened again."""
    REBALANCE = 32
    """The kernel's routes share the traffic anew."""


class PeerKind(StrEnum):
    """Where a peering comes from, in the words of the status table."""

    MESH = "node-to-node mesh"
    GLOBAL = "global"
    NODE = "node specific"
    LOCAL_WORKLOAD = "local workload"


def planned(on_change: OnChange, default: Any = MISSING) -> Any:
    """Declare a field of a plan together with what its change costs."""
    return field(default=default, metadata={"on_change": on_change})


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """One session, ready to be run.

    Attributes:
        name: ``Mesh_10_0_0_2``, ``Global_…``, ``Node_…_port_179``.
        resource: the BGPPeer it comes from, empty for the mesh.
        address: canonical text, a link-local one with its zone (``fe80::2%eth0``).
        range: of which it is, if it was accepted from one and nobody names it; else empty.
        families: what the session carries.
        source_address: the local address the connection is bound to, or None.
        cluster_id: our own cluster id, for clients only (RFC 4456 §7).
        password: of the TCP connection (RFC 2385); the first one costs a reset.
        tcp_ao: keys of the TCP connection, the one to be used first (RFC 5925); the first ones cost
            a reset, and those that follow roll over on the connection that stands.
        ttl_security: how many hops away the peer may be (RFC 5082); 0 is off.
        allow_local_as: how often our own AS may stand in a received path.
        connect_retry: seconds between attempts.
        connect_delay: seconds before the first attempt.
        idle_hold: the shortest and the longest wait after a session fell, seconds.
        send_hold_time: seconds for which the peer may take nothing, 0 for ever; None is the rule of
            RFC 9687 §6.
        delay_open: seconds for which the peer may say its OPEN first.
        add_path: which way several paths to a prefix may travel (RFC 7911).
        best_paths: how many of them are sent where several may be; None is all.
        four_octet_as: whether AS numbers of four octets are offered (RFC 6793).
        require: capabilities that the peer must have, of those that are offered.
        max_prefixes: what the peer may tell, by family; where it tells several paths, each counts.
        max_prefixes_out: what the peer may be told, by family; each of several paths counts.
        graceful_shutdown: whether that community is honoured (RFC 8326).
        blackhole: for which routes that community is honoured (RFC 7999).
        enforce_first_as: whether an AS_PATH must begin with the peer's AS (RFC 4271 §6.3).
        as_sets: whether sets may stand in an AS_PATH (RFC 9774).
        aigp: whether AIGP is read and told, and given to routes made here; None: it is read and
            told inside the AS (RFC 7311 §3.3).
        role: ours on the session, between two ASes only (RFC 9234 §4).
        strict_role: a peer that does not tell its own is refused.
        fqdn: the name that the peer is told, empty for none.
        software_version: whether the peer is told what we run.
        weight: how much of the traffic its next hops take where several share it, 1–256.
        bfd: whether BFD watches the peer.
        bfd_hops: how far away it may be then; 0 for a peer that is on a link (RFC 5881).
        bfd_timers: that stand in place of those of the BFDConfiguration.
        bfd_auth: what authenticates its packets (RFC 5880 §6.7).
        bfd_strict: seconds for which BFD has to be up before a session is tried; None for no wait.
        bfd_lacks: why it cannot be watched as it is to be, for which it is not; empty if it can.
        extended_next_hop: IPv4 routes may have IPv6 next hops (RFC 8950 §4).
        restart_time: of graceful restart (RFC 4724), or the stale time of LLGR (RFC 9494).
        llgr_partial_deployment: whether an internal peer that does not speak RFC 9494 is told
            long-lived stale routes, as a last choice (§4.6).
        table: of the kernel, that routes of an external network go into; None is the node's own.
        extensions: keys and values that mean nothing to the protocol, but to others perhaps.
        import_rules: of all filters in their order, by family.
    """

    name: str = planned(OnChange.NOTHING)
    address: str = planned(OnChange.RESET)
    local_asn: int = planned(OnChange.RESET)
    peer_asn: int = planned(OnChange.RESET)
    families: tuple[Family, ...] = planned(OnChange.RESET)
    kind: PeerKind = planned(OnChange.NOTHING)
    resource: str = planned(OnChange.NOTHING, "")
    range: str = planned(OnChange.NOTHING, "")
    port: int = planned(OnChange.RESET, 179)
    passive: bool = planned(OnChange.NEXT_SESSION, False)
    source_address: str | None = planned(OnChange.RESET, None)
    rr_client: bool = planned(OnChange.REGROUP | OnChange.REFILTER_IN, False)
    cluster_id: int | None = planned(OnChange.REGROUP | OnChange.REFILTER_IN, None)
    password: Secret | None = planned(OnChange.NEXT_SESSION, None)
    tcp_ao: tuple[MasterKey, ...] = planned(OnChange.NOTHING, ())
    ttl_security: int = planned(OnChange.RESET, 0)
    allow_local_as: int = planned(OnChange.REFILTER_IN, 0)
    next_hop_mode: NextHopMode = planned(OnChange.REGROUP, NextHopMode.AUTO)
    hold_time: int = planned(OnChange.RESET, 240)
    keepalive_time: int | None = planned(OnChange.RESET, None)
    connect_retry: float = planned(OnChange.NEXT_SESSION, 5.0)
    connect_delay: float = planned(OnChange.NEXT_SESSION, 2.0)
    idle_hold: tuple[float, float] = planned(OnChange.NEXT_SESSION, (5.0, 30.0))
    send_hold_time: float | None = planned(OnChange.NEXT_SESSION, None)
    delay_open: float = planned(OnChange.NEXT_SESSION, 0.0)
    restart_time: int = planned(OnChange.NEXT_SESSION, 120)
    restart_mode: RestartMode = planned(OnChange.NEXT_SESSION, RestartMode.GRACEFUL)
    graceful_restart: bool = planned(OnChange.NEXT_SESSION, True)
    llgr_partial_deployment: bool = planned(OnChange.REGROUP, False)
    add_path: AddPathMode = planned(OnChange.RESET, AddPathMode.OFF)
    best_paths: int | None = planned(OnChange.REGROUP, None)
    enhanced_refresh: bool = planned(OnChange.NEXT_SESSION, True)
    extended_messages: bool = planned(OnChange.RESET, False)
    extended_next_hop: bool = planned(OnChange.RESET, False)
    four_octet_as: bool = planned(OnChange.RESET, True)
    require: tuple[Requirement, ...] = planned(OnChange.NEXT_SESSION, ())
    max_prefixes: Limits = planned(OnChange.REFILTER_IN, ())
    max_prefixes_out: Limits = planned(OnChange.REGROUP, ())
    graceful_shutdown: bool = planned(OnChange.REFILTER_IN, False)
    blackhole: BlackholeMode = planned(OnChange.REFILTER_IN, BlackholeMode.OFF)
    enforce_first_as: bool = planned(OnChange.REFILTER_IN, False)
    as_sets: bool = planned(OnChange.REFILTER_IN, True)
    aigp: AigpMode | None = planned(OnChange.REFILTER_IN | OnChange.REGROUP, None)
    role: Role | None = planned(OnChange.RESET, None)
    strict_role: bool = planned(OnChange.NEXT_SESSION, False)
    fqdn: str = planned(OnChange.NEXT_SESSION, "")
    software_version: bool = planned(OnChange.NEXT_SESSION, False)
    weight: int = planned(OnChange.REBALANCE, 1)
    bfd: bool = planned(OnChange.NOTHING, False)
    bfd_hops: int = planned(OnChange.NOTHING, 0)
    bfd_timers: BfdTimers = planned(OnChange.NOTHING, BfdTimers())
    bfd_auth: BfdAuthentication | None = planned(OnChange.NOTHING, None)
    bfd_strict: float | None = planned(OnChange.NEXT_SESSION, None)
    bfd_lacks: str = planned(OnChange.NOTHING, "")
    gateway_mode: GatewayMode = planned(OnChange.REFILTER_IN, GatewayMode.RECURSIVE)
    table: int | None = planned(OnChange.RESET, None)
    extensions: tuple[tuple[str, str], ...] = planned(OnChange.NOTHING, ())
    filters: tuple[str, ...] = planned(OnChange.NOTHING, ())
    import_rules: tuple[tuple[Family, tuple[Rule, ...]], ...] = planned(OnChange.REFILTER_IN, ())
    export_rules: tuple[tuple[Family, tuple[Rule, ...]], ...] = planned(OnChange.REFILTER_OUT, ())

    @property
    def afi(self) -> Afi:
        """Tell the family of the session itself."""
        return Afi.IPV6 if ":" in self.address else Afi.IPV4

    @property
    def is_internal(self) -> bool:
        """Tell whether this is iBGP (RFC 4271 §1)."""
        return self.local_asn == self.peer_asn
