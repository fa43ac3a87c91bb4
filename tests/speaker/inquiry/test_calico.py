"""Situations of Calico's policy and of the kernel: what goes out, what goes in, what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fsm.family import IPV4_UNICAST, Afi
from policy.calico import ClusterRoutes, Encap, ExportReason, KernelReason, Pool
from policy.operations import local_pref_of
from policy.path import Hop
from speaker.config.plan import Plan
from speaker.inquiry.answer import Verdict
from speaker.inquiry.reasons import Absence, Arrival, Choice, InKernel, Note
from speaker.kernel.fib import Fib
from speaker.kernel.foreign import ForeignRoutes
from speaker.kernel.routes import Forwarding, Forwardings, RouteKind
from speaker.recovery import PeersUp
from speaker.rib.resolving import Resolving
from tests.speaker.inquiry.test_plain import heard, row
from tests.support.resources import block, document
from tests.support.routers import AS, Town, on_uvloop, until
from tests.support.routes import address, nlri
from tests.support.scripted_peer import end_of_rib
from tests.support.stories import Line, ask, check, tell
from tests.support.tabletop import KERNEL_ITSELF, TabletopKernel, TabletopSpeaker, Underlay, route

C = "Calico's policy: "
CALICO = {"policy": "calico", "networks": ""}


def pool(name: str, cidr: str, **spec: Any) -> dict[str, Any]:
    return document("IPPool", name, {"cidr": cidr, **spec})


def underlay(*names: str) -> Underlay:
    """Give a node with foreign routes, and interfaces of these names besides."""
    made = Underlay()
    for number, name in enumerate(names, 10):
        to = route(f"10.200.{number}.0/24", number, protocol=KERNEL_ITSELF, name=name)
        made.routes[to.nlri] = (to,)
    return made


POOLS = [
    pool("plain", "10.20.0.0/16"),
    pool("quiet", "10.21.0.0/16", disableBGPExport=True),
    block("10.20.1.0/26", "r1"),
]
SERVICES = {
    "serviceClusterIPs": [{"cidr": "10.96.0.0/16"}],
    "serviceExternalIPs": [{"cidr": "192.0.2.0/24"}],
    "serviceLoadBalancerIPs": [{"cidr": "203.0.113.0/24"}],
    "serviceLoadBalancerAggregation": "Disabled",
}

EXPORTED = [
    Line(
        ExportReason.OWN_BLOCK,
        "10.20.1.0/26",
        f"p12: {C}a block of this node (10.20.1.0/26)\n",
    ),
    Line(
        ExportReason.INSIDE_BLOCK,
        "10.20.1.5/32",
        "which is advertised as a whole (10.20.1.0/26)",
    ),
    Line(
        ExportReason.URGENT,
        "10.20.1.6/32",
        f"p12: {C}inside a block of this node, with a better priority than normal (10",
    ),
    Line(
        ExportReason.POOL,
        "10.20.9.0/26",
        f"p12: {C}inside an IP pool (10.20.0.0/16)\n      sent      ",
    ),
    Line(
        ExportReason.POOL_NOT_EXPORTED,
        "10.21.1.0/26",
        f"p12, p13: {C}inside an IP pool with BGP export disabled (10.21.0.0/16)",
    ),
    Line(
        ExportReason.SERVICE,
        "10.96.0.0/16",
        f"p12: {C}a service route of this node (10.96.0.0/16)\n",
    ),
    Line(
        ExportReason.REFLECTED,
        "203.0.113.7/32",
        f"p12: {C}a service address, which a route reflector passes on (203.0.113.0/24)\n",
    ),
    Line(
        ExportReason.NOT_OURS,
        "172.20.0.0/16",
        f"p12, p13: {C}in no IP pool, block or service range",
    ),
    Line(
        ExportReason.TUNNEL,
        "10.200.10.0/24",
        f"p11, p12: {C}its interface is a tunnel of Calico's, and the peer is internal",
    ),
    Line(
        ExportReason.DATA_PLANE,
        "10.200.11.0/24",
        f"p13: {C}its interface belongs to Calico's eBPF data plane",
    ),
    Line(
        Note.URGENT,
        "10.20.1.6/32",
        "note      its priority is better than normal: protocol preference 200",
    ),
    Line(
        Arrival.BLOCK,
        "10.20.1.0/26",
        "10.20.1.0/26 is used: a block of this node, by BlockAffinity/r1-10-20-1-0-26,"
        " in the kernel as blackhole, announced to 3 of 3 peers",
    ),
    Line(
        Arrival.CONNECTED,
        "10.0.2.0/24",
        "10.0.2.0/24 is used: a connected subnet of eth2, in the kernel already, announced to 0",
    ),
    Line(
        Arrival.FOREIGN,
        "172.30.0.0/16",
        "a kernel route of somebody else: via 10.0.2.9 dev eth2 proto static",
    ),
    Line(
        KernelReason.OWN,
        "10.0.2.0/24",
        f"{C}it is the kernel's own\n    dev eth2 proto kernel",
    ),
    Line(
        KernelReason.SERVICE_CIDR,
        "192.0.2.7/32",
        "not in the kernel, announced to 2 of 3 peers",
    ),
    Line(
        KernelReason.SERVICE_CIDR,
        "192.0.2.7/32",
        f"kernel\n  {C}inside a service CIDR (192.0.2.0/24)\n",
    ),
    Line(
        KernelReason.POOL,
        "10.20.9.0/26",
        f"kernel\n  in the kernel; {C}inside a pool without encapsulation (10.20.0.0/16)\n"
        "    via 10.0.2.9 dev eth2 metric 2147483547 (ours)",
    ),
    Line(
        KernelReason.NOTHING_AGAINST,
        "172.20.0.0/16",
        "kernel\n  in the kernel\n",
    ),
    Line(
        InKernel.INSTALLED, "172.20.0.0/16", "via 10.0.2.9 from 127.0.0.11 (iBGP AS 64512), in the"
    ),
    Line(InKernel.BLACKHOLE, "10.20.1.0/26", "  in the kernel as blackhole"),
    Line(Resolving.ON_LINK, "172.20.0.0/16", "next hop  10.0.2.9 is on the link eth2"),
    Line(InKernel.UNREACHABLE, "172.21.0.0/16", "in the kernel as unreachable, announced to"),
    Line(
        Choice.KEPT_UNREACHABLE,
        "172.21.0.0/16",
        "used though its next hop is unreachable: none can be reached",
    ),
    Line(Resolving.NO_ROUTE, "172.21.0.0/16", "next hop  the kernel has no route to 198.51.100.1"),
    Line(
        Absence.LINK_SCOPE,
        "169.254.0.0/16",
        "kernel: dev eth2 proto static: it means something on its link only",
    ),
    Line(Absence.IGNORED, "10.200.12.0/24", "dev cali1 proto kernel: its interface is left out"),
]


async def start(
    town: Town,
    plan: Plan,
    kernel: TabletopKernel | None = None,
    before: PeersUp | None = None,
) -> tuple[TabletopSpeaker, TabletopKernel]:
    router = TabletopSpeaker(plan, kernel, before=before)
    await town.start(router)
    return router, router.tabletop


@on_uvloop
async def test_calicos_policy_on_the_way_out_and_into_the_kernel() -> None:
    async with Town() as town:
        found = underlay("vxlan.calico", "bpfout.cali", "cali1")
        for each in (
            route("172.30.0.0/16", 2, "10.0.2.9"),
            route("169.254.0.0/16", 2),
        ):
            found.routes[each.nlri] = (each,)
        plan = row(
            town,
            *(11, 12, 13),
            settings={**CALICO, **SERVICES},
            more=POOLS,
            p11={"asn": AS},
            p12={"asn": AS},
        )
        policies = {
            family: replace(policy, is_reflector=True) for family, policy in plan.policies.items()
        }
        peers = {name: replace(peer, rr_client=True) for name, peer in plan.peers.items()}
        router, _ = await start(
            town, replace(plan, policies=policies, peers=peers), TabletopKernel(found)
        )
        first = await town.join(11, asn=AS)
        await town.join(12, asn=AS)
        await town.join(13)
        ordinary: dict[str, Any] = {"path": [7], "local_pref": 100, "next_hop": "10.0.2.9"}
        first.announce(
            *("10.20.1.5/32", "10.20.9.0/26", "10.21.1.0/26", "192.0.2.7/32", "172.20.0.0/16"),
            "203.0.113.7/32",
            **ordinary,
        )
        urgent = local_pref_of(512)
        first.announce("10.20.1.6/32", path=[7], local_pref=urgent, next_hop="10.0.2.9")
        first.announce("172.21.0.0/16", path=[7], local_pref=100, next_hop="198.51.100.1")
        await heard(router, (11, "172.21.0.0/16"))
        check(router, EXPORTED)


def encapsulated(town: Town, routes: ClusterRoutes, *, wireguard: bool = False) -> Plan:
    """Give a plan with a pool of each kind of encapsulation; peers' next hops are far, or near."""
    plan = row(town, 11, settings=CALICO, p11={"asn": AS})
    policy = replace(
        plan.policies[IPV4_UNICAST],
        pools=(
            Pool(nlri("10.30.0.0/16"), vxlan=Encap.ALWAYS),
            Pool(nlri("10.31.0.0/16"), ipip=Encap.ALWAYS),
            Pool(nlri("10.32.0.0/16"), ipip=Encap.CROSS_SUBNET),
            Pool(nlri("10.33.0.0/16")),
        ),
        own_network=nlri("10.0.3.0/24"),
        cluster_routes=routes,
        has_wireguard=wireguard,
        wireguard_peers=frozenset([address("10.0.2.7")]) if wireguard else frozenset(),
    )
    return replace(plan, policies={**plan.policies, IPV4_UNICAST: policy})


async def told(
    town: Town, plan: Plan, kernel: TabletopKernel | None = None
) -> tuple[TabletopSpeaker, TabletopKernel]:
    """Start a router, and have a peer announce a prefix in each pool."""
    router, tabletop = await start(town, plan, kernel)
    peer = await town.join(11, asn=AS)
    for second in (30, 31, 32, 33):
        peer.announce(f"10.{second}.1.0/26", path=[], local_pref=100, next_hop="10.0.2.9")
    peer.announce("10.32.2.0/26", path=[], local_pref=100, next_hop="10.0.3.9")
    peer.announce("10.34.1.0/26", path=[], local_pref=100, next_hop="10.0.2.7")
    await heard(router, (11, "10.34.1.0/26"))
    return router, tabletop


ENABLED = [
    Line(KernelReason.VXLAN, "10.30.1.0/26", "inside a VXLAN pool, which Felix programs"),
    Line(
        InKernel.NO_TUNNEL,
        "10.31.1.0/26",
        f"it would go through tunl0, which is not there; {C}inside an IPIP pool (10.31.0.0/16)",
    ),
    Line(
        KernelReason.SAME_SUBNET,
        "10.32.2.0/26",
        f"in the kernel; {C}inside an IPIP pool, and in our own subnet (10.32.0.0/16)",
    ),
]
TUNNELLED = [
    Line(
        InKernel.TUNNELLED,
        "10.31.1.0/26",
        f"in the kernel, through the IPIP tunnel; {C}inside an IPIP pool (10.31.0.0/16)\n"
        "    via 10.0.2.9 dev tunl0 onlink metric 2147483547 (ours)",
    ),
    Line(KernelReason.TUNNEL, "10.32.1.0/26", "in the kernel, through the IPIP tunnel"),
]
FELIXS = [
    Line(KernelReason.FELIX_IPIP, "10.31.1.0/26", "inside an IPIP pool, which Felix programs"),
    Line(KernelReason.FELIX_PLAIN, "10.33.1.0/26", "inside a pool that Felix programs"),
    Line(KernelReason.WIREGUARD, "10.34.1.0/26", "Felix routes it through WireGuard"),
]


@on_uvloop
async def test_pools_whose_routes_are_ours_to_program() -> None:
    async with Town() as town:
        router, _ = await told(town, encapsulated(town, ClusterRoutes.ENABLED))
        check(router, ENABLED)


@on_uvloop
async def test_routes_through_the_ipip_tunnel() -> None:
    async with Town() as town:
        plan = encapsulated(town, ClusterRoutes.ENABLED)
        router, _ = await told(town, plan, TabletopKernel(underlay("tunl0")))
        check(router, TUNNELLED)


@on_uvloop
async def test_routes_that_felix_programs() -> None:
    async with Town() as town:
        plan = encapsulated(town, ClusterRoutes.DISABLED, wireguard=True)
        router, _ = await told(town, plan)
        check(router, FELIXS)


IN_THE_WAY = [
    Line(
        InKernel.CONFLICT,
        "10.1.0.0/16",
        "10.1.0.0/16 is used: via 10.0.2.9 from 127.0.0.11 (eBGP AS 65011), not in the kernel,",
    ),
    Line(
        InKernel.CONFLICT,
        "10.1.0.0/16",
        "kernel\n  a route of protocol 4 holds its place; it is installed when that goes\n"
        "    via 10.0.3.9 dev eth3 proto static",
    ),
    Line(
        InKernel.REFUSED,
        "10.2.0.0/16",
        "the kernel refuses it (Network is unreachable); it is tried again",
    ),
    Line(
        InKernel.UNCLEAR,
        "10.3.0.0/16",
        "not clear (the kernel's answer was lost); the next scan will tell",
    ),
    Line(InKernel.PENDING, "10.4.0.0/16", "kernel\n  about to be installed\n"),
    Line(InKernel.ADOPTED, "10.5.0.0/16", "a route of an earlier run is still there"),
    Line(InKernel.NOT_USED, "10.6.0.0/16", "no path is used, so there is nothing to install"),
    Line(InKernel.ANNOUNCED_ONLY, "10.9.0.0/16", "announced only: no packets are to go that way"),
    Line(
        Absence.PLAIN_MODE,
        "10.0.3.0/24",
        "kernel: dev eth3 proto kernel: routes of the kernel take no part in plain mode",
    ),
    Line(
        Arrival.REACHABLE_BY,
        "127.0.0.12/32",
        "a static route by way of 10.0.2.254, by BGPPeer/p12 reachableBy",
    ),
]


@on_uvloop
async def test_what_is_in_the_way_of_a_route() -> None:
    async with Town() as town:
        kernel = TabletopKernel(adopted=["10.5.0.0/16"])
        plan = row(town, 11, 12, p12={"reachableBy": "10.0.2.254"})
        # What the kernel has of somebody without graceful restart waits for him; nothing else does.
        before = {name: {IPV4_UNICAST: False} for name in plan.peers}
        router, _ = await start(town, plan, kernel, before)
        peer = await town.join(11)
        kernel.troubles = {
            nlri("10.1.0.0/16"): "conflict: a route of protocol 4 holds its place",
            nlri("10.2.0.0/16"): "refused: Network is unreachable",
            nlri("10.3.0.0/16"): "unclear: the kernel's answer was lost",
        }
        kernel.set_route("10.1.0.0/16", route("10.1.0.0/16", 3, "10.0.3.9"))
        prefixes = [f"10.{n}.0.0/16" for n in (1, 2, 3, 4)]
        peer.announce(*prefixes, next_hop="10.0.2.9")
        await heard(router, *((11, each) for each in prefixes))
        for each in prefixes:
            kernel.table.pop((Afi.IPV4, nlri(each)))
        check(router, IN_THE_WAY)
        await router.stop()
        words = "the kernel thread has ended; what it had installed stays"
        check(router, [Line(InKernel.STOPPED, "10.9.0.0/16", words)])


def test_troubles_of_a_real_table_are_read_as_they_are_told() -> None:
    """The sentences above are those of `speaker.kernel.fib`."""
    foreign = ForeignRoutes(Afi.IPV4)
    fib = Fib(Afi.IPV4, 254, foreign, Forwardings())
    one = nlri("10.1.0.0/16")
    foreign.replace_all({one: [route("10.1.0.0/16", 3, "10.0.3.9")]})
    wanted = Forwarding(RouteKind.UNICAST, (Hop(2, address("10.0.2.9"), "eth2"),))
    fib.want([(wanted, [one])])
    assert fib.take(10, 0.0) == []
    assert fib.why(one) == "conflict: a route of protocol 4 holds its place"


@on_uvloop
async def test_routes_that_share_the_traffic_and_a_link_that_falls() -> None:
    async with Town() as town:
        plan = row(town, 11, 12, p11={"asn": 65001}, p12={"asn": 65001})
        router, kernel = await start(town, plan)
        one, two = [await town.join(number, asn=65001) for number in (11, 12)]
        one.announce("10.1.0.0/16", next_hop="10.0.2.9")
        two.announce("10.1.0.0/16", next_hop="10.0.3.9")
        await heard(router, (11, "10.1.0.0/16"), (12, "10.1.0.0/16"))
        words = "+ p12 (eBGP AS 65001): shares the traffic with the best"
        text = tell(ask(router, "10.1.0.0/16"))
        assert "    via 10.0.2.9 dev eth2, via 10.0.3.9 dev eth3 (ours)" in text
        check(router, [Line(Choice.SHARES, "10.1.0.0/16", words)])
        kernel.set_link(2, up=False)
        kernel.set_link(3, up=False)
        await until(lambda: ask(router, "10.1.0.0/16").verdict is Verdict.UNUSED)
        await until(lambda: router.is_idle)
        text = tell(ask(router, "10.1.0.0/16"))
        assert text.startswith(
            "10.1.0.0/16 is known and not used: p11 tells it, but 10.0.2.9 cannot be reached;"
            " packets to it have no route\n"
        )
        assert "next hop  10.0.2.9 would leave by eth2, which is down" in text


@on_uvloop
async def test_an_address_stands_for_the_route_that_its_packets_take() -> None:
    async with Town() as town:
        router, kernel = await start(town, row(town, 11))
        peer = await town.join(11)
        peer.announce("10.1.0.0/16", "10.0.0.0/8", next_hop="10.0.2.9")
        await heard(router, (11, "10.0.0.0/8"))
        text = tell(ask(router, "10.1.2.3"))
        assert text.startswith("10.1.2.3: 10.1.0.0/16 is used: via 10.0.2.9 from 127.0.0.11")
        assert tell(ask(router, "10.0.2.77")).startswith(
            "10.0.2.77: 10.0.2.0/24 is not there: the kernel has it from somebody else, and no peer"
            " has told it\n"
        )
        own = tell(ask(router, "10.0.2.1"))
        assert own.startswith("10.0.2.1 is an address of this node; 10.0.2.0/24 is not there: ")
        assert "  packets to 10.0.2.1 stay here: it is an address of this node" in own
        missing = ask(router, "10.7.0.0/16")
        assert missing.around.taken == missing.around.less_specific == "10.0.0.0/8"
        assert "; packets take 10.0.0.0/8" in missing.summary
        assert "more specific routes, 2: 10.1.0.0/16, 10.9.0.0/16\n" in tell(
            ask(router, "10.0.0.0/8")
        )
        kernel.table.clear()
        assert "; packets to it have no route" in ask(router, "10.7.0.0/16").summary


@on_uvloop
async def test_a_peer_that_went_and_whose_routes_are_being_taken_out() -> None:
    async with Town() as town:
        router, kernel = await start(town, row(town, 11))
        peer = await town.join(11)
        peer.announce("10.1.0.0/16", next_hop="10.0.2.9")
        peer.send(end_of_rib())
        await heard(router, (11, "10.1.0.0/16"))
        await until(lambda: router.recovery.is_over)
        kernel.table[Afi.IPV4, nlri("10.2.0.0/16")] = Forwarding(RouteKind.BLACKHOLE)
        gone = "no path is used any more, and ours is about to be taken out"
        check(router, [Line(InKernel.LEAVING, "10.2.0.0/16", gone)])
        [shell] = router.peers.values()
        shell.stop()
        words = "its session has ended, and its routes are being taken out"
        check(router, [Line(Arrival.LEAVING, "10.1.0.0/16", words)])
        await until(lambda: ask(router, "10.1.0.0/16").verdict is Verdict.ABSENT)
        assert "(1 of 1 peers down)" in ask(router, "10.1.0.0/16").summary


COVERED = [
    *(line.reason for line in (*EXPORTED, *ENABLED, *TUNNELLED, *FELIXS, *IN_THE_WAY)),
    InKernel.STOPPED,
    InKernel.LEAVING,
    Choice.SHARES,
    Arrival.LEAVING,
]
"""Reasons that are looked for here."""
