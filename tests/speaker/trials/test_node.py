"""A node on trial judges as the router does that runs its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.calico import KernelAction
from policy.path import SourceKind
from policy.prefix import Nlri
from speaker.errors import ConfigError
from speaker.route_views import RouteViews
from speaker.speaker import Speaker
from speaker.trials.dumps import from_daemon
from speaker.trials.node import Heard, TrialNode
from tests.support import resources as documents
from tests.support.resources import document, node, peer
from tests.support.routers import AS, Town, on_uvloop, until
from tests.support.routes import attributes, nlri


def chain(name: str, **rules: Any) -> Mapping[str, Any]:
    return document("BGPFilter", name, rules)


def inside(cidr: str, action: str = "Accept", **more: Any) -> dict[str, Any]:
    return {"action": action, "matchOperator": "In", "cidr": cidr, **more}


ADD = [{"addCommunity": {"value": "65000:7"}}]
FILTERS = [
    chain("in", importV4=[inside("10.1.0.0/16", operations=ADD), inside("10.2.0.0/16", "Reject")]),
    chain("out", exportV4=[inside("10.3.0.0/16", "Reject"), inside("10.1.0.0/17", operations=ADD)]),
]
POOL = document("IPPool", "p", {"cidr": "10.0.0.0/9"})
PREFIXES = ("10.1.0.0/24", "10.1.128.0/24", "10.2.0.0/24", "10.3.0.0/24", "192.0.2.0/24")


async def furnished(town: Town, policy: str) -> Speaker:
    """Run a router with two tellers, inside and outside, and a listener."""
    peers = [
        town.peer(f"p{n}", n, asn, node="r1", filters=filters, keys={"passive": "on"})
        for n, asn, filters in (
            (11, 65011, ["in"]),
            (12, AS, ["in"]),
            (13, 65013, ["out"]),
            (14, AS, []),
        )
    ]
    settled = town.settings(policy=policy)
    router = await town.run(town.plan("r1", settled, town.node("r1", 1), *peers, POOL, *FILTERS))
    outside, within = await town.join(11), await town.join(12, asn=AS)
    await town.join(13)
    await town.join(14, asn=AS)
    outside.announce(*PREFIXES, path=[65011, 1])
    outside.announce("10.4.0.0/24", path=[65011, AS])
    within.announce("10.1.1.0/24", "172.16.0.0/12", path=[], local_pref=7)
    await until(lambda: len(router.loc_ribs[IPV4_UNICAST].best) >= 6 and router.is_idle)
    return router


@on_uvloop
@pytest.mark.parametrize("policy", ["plain", "calico"])
async def test_what_is_judged_on_trial_is_what_a_router_does(policy: str) -> None:
    async with Town() as town:
        router = await furnished(town, policy)
        trial = TrialNode(router.plan)
        looked = 0
        for told in from_daemon(RouteViews(router).heard()):
            if told.kind is not SourceKind.BGP:
                continue
            session = trial.session(told.source)
            for prefix in told.nlris:
                judged = session.judge(told.heard, told.family, prefix)
                rib = router.peers[told.source].exchange.inbound.ribs[IPV4_UNICAST]  # type: ignore[union-attr]
                used = {(p.attributes.raw, p.preference) for p in rib.used(prefix)}
                path = judged.path
                assert used == ({(path.attributes.raw, path.preference)} if path else set())
                if path is not None:
                    _same_for_listeners(router, trial, told.source, prefix, path)
                looked += 1
        assert looked == 7


def _same_for_listeners(
    router: Speaker, trial: TrialNode, source: str, prefix: Nlri, path: Any
) -> None:
    for name, session in trial.sessions.items():
        exchange = router.peers[name].exchange
        assert exchange is not None
        share = exchange.shares[IPV4_UNICAST]
        told = {(o.attributes, o.next_hop) for o in share.group.told(share.member, prefix)}
        # The path on trial comes from the session of its source, which hears nothing of it.
        sent = None if name == source else session.tell(path, IPV4_UNICAST, prefix).out
        assert told == (set() if sent is None else {(sent.raw, sent.next_hop + sent.link_local)})


ONE = [node("r1", "10.0.0.1/24", asn=65000), peer("a", peerIP="10.0.0.11", asNumber=65011)]


def trial(*more: Mapping[str, Any]) -> TrialNode:
    return TrialNode(documents.plan("r1", *ONE, *more))


@pytest.mark.parametrize("name", ["a", "10.0.0.11", "Global_10_0_0_11"])
def test_a_session_is_found_by_resource_address_or_name(name: str) -> None:
    assert trial().session(name).plan.name == "Global_10_0_0_11"


def test_a_name_of_no_session_or_of_several_is_an_error() -> None:
    with pytest.raises(ConfigError, match="has no peer b; its sessions are: Global_10_0_0_11"):
        trial().session("b")
    both = [peer("b", node="r1", peerSelector="has(x)"), node("r2", "10.0.0.2/24", asn=1, x="y")]
    two = TrialNode(documents.plan("r1", *ONE, *both, node("r3", "10.0.0.3/24", asn=1, x="y")))
    with pytest.raises(ConfigError, match="several sessions"):
        two.session("b")


def test_a_route_of_the_peer_itself_is_not_told_to_it() -> None:
    session = trial().session("a")
    made = attributes([65011], next_hop="10.0.0.11")
    judged = session.judge(Heard(made.raw, made.next_hop), IPV4_UNICAST, nlri("10.9.0.0/16"))
    assert judged.path is not None
    sent = session.tell(judged.path, IPV4_UNICAST, nlri("10.9.0.0/16"))
    assert (sent.out, sent.verdict.reason) == (None, "it came from there")


def test_a_loop_is_refused_before_any_rule() -> None:
    made = attributes([65011, 65000], next_hop="10.0.0.11")
    judged = (
        trial()
        .session("a")
        .judge(Heard(made.raw, made.next_hop), IPV4_UNICAST, nlri("10.9.0.0/16"))
    )
    assert (judged.path, judged.came) == (None, None)
    assert judged.verdict.reason.startswith("AS loop")


@pytest.mark.parametrize(
    ("kind", "blackhole", "action"),
    [
        (SourceKind.KERNEL, False, KernelAction.REJECT),
        (SourceKind.STATIC, True, KernelAction.ACCEPT),
        (SourceKind.STATIC, False, KernelAction.REJECT),
    ],
)
def test_own_routes_and_the_kernel(kind: SourceKind, blackhole: bool, action: KernelAction) -> None:
    on_trial = trial()
    path = on_trial.local(kind, blackhole=blackhole)
    assert on_trial.kernel(path, IPV4_UNICAST, nlri("10.9.0.0/16")).action is action


def test_own_routes_are_those_of_the_plan() -> None:
    found = trial(documents.block("10.65.0.0/26", "r1")).own_routes(IPV4_UNICAST)
    [(path, nlris)] = found.items()
    assert (path.blackhole, nlris) == (True, [nlri("10.65.0.0/26")])


def test_any_address_of_a_range_is_a_peer_of_the_node() -> None:
    keys = {"wren.bgp/listenRange": "10.9.0.0/24, fd09::/64", "wren.bgp/asRange": "64512-64600"}
    ranged = peer("rack", filters=["in"], extensions=keys)
    plan = documents.plan("r1", node("r1", "10.0.0.1/24", "fd00::1/64"), ranged, *FILTERS)
    found = TrialNode(plan)
    assert sorted(found.sessions) == [
        "Dynamic_rack_10_9_0_0",
        "Dynamic_rack_10_9_0_0_AS64512",
        "Dynamic_rack_fd09__",
        "Dynamic_rack_fd09___AS64512",
    ]
    session = found.session("10.9.0.7")
    assert session.plan.name == "Dynamic_rack_10_9_0_7"
    assert session.plan.peer_asn != plan.asn
    made = attributes([session.plan.peer_asn], next_hop="10.9.0.7")
    heard = Heard(made.raw, made.next_hop)
    for prefix, is_used in (("10.1.0.0/24", True), ("10.2.0.0/24", False)):
        assert bool(session.judge(heard, IPV4_UNICAST, nlri(prefix)).path) is is_used
    for unknown in ("10.9.1.7", "nobody"):
        with pytest.raises(ConfigError, match="has no peer"):
            found.session(unknown)
