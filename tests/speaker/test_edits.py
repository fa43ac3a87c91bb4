"""Edits of live sessions cost what the fields declare, and cost nobody else anything."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from fsm.bfd.authentication import AuthType
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.calico import Pool
from policy.matching import MatchOperator
from policy.operations import AddCommunity
from policy.roles import Role
from policy.rules import Action, Rule
from speaker.config.add_path import AddPathMode
from speaker.config.bfd_keys import BfdAuthentication, BfdTimers
from speaker.config.changes import ON_CHANGE, RenamePeer, SetListen, SetMode, SetPolicy
from speaker.config.key_values import AigpMode, BlackholeMode
from speaker.config.limits import LimitAction, PrefixLimit
from speaker.config.plan import (
    GatewayMode,
    NextHopMode,
    OnChange,
    Origination,
    OriginationKind,
    PeerKind,
    PeerPlan,
    Plan,
    PolicyMode,
    RestartMode,
    Secret,
    Severity,
)
from speaker.config.requirements import Requirement
from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.errors import TransportError
from speaker.speaker import Speaker
from tests.support.ao_kernel import AoKernel
from tests.support.routers import (
    AS,
    Town,
    best,
    free_port,
    home,
    is_up,
    on_both_loops,
    on_uvloop,
    peer_at,
    until,
    uptimes,
)
from tests.support.routes import nlri
from tests.support.scripted_peer import ROUTE_REFRESH, ScriptedPeer

REFUSED = Rule(Action.REJECT, nlri("10.2.0.0/16"), MatchOperator.EQUAL)
MARKED = Rule(
    Action.ACCEPT, nlri("10.1.0.0/16"), MatchOperator.EQUAL, operations=(AddCommunity(7 << 16 | 7),)
)


@dataclass(frozen=True)
class Edit:
    """One change of one field, made to the peer at `home` 11.

    Attributes:
        value: what the field becomes.
        shows: True once the change shows at the scripted peers; None where nothing shows.
        before: fields that have to have a value first.
    """

    value: object
    shows: Callable[[Speaker, ScriptedPeer, ScriptedPeer], bool] | None = None
    before: Mapping[str, object] | None = None


def _reflected(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return "10.1.0.0/16" in other.table and "10.3.0.0/16" in edited.table


def _other_cluster(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return edited.table["10.3.0.0/16"].cluster_list == ("0.0.0.99",)


def _asked_again(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return ROUTE_REFRESH in edited.messages


def _fewer(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return len(edited.table) == 1


def _own_next_hop(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return edited.table["10.4.0.0/16"].next_hop == home(1)


def _last_choice(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return "10.5.0.0/16" in edited.table and edited.table["10.5.0.0/16"].local_pref == 0


def _filtered_in(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return "10.2.0.0/16" not in best(router)


def _filtered_out(router: Speaker, edited: ScriptedPeer, other: ScriptedPeer) -> bool:
    return "10.4.0.0/16" not in edited.table


LLGR_STALE = (65535, 6)

KEY, ANOTHER = (
    MasterKey(number, number, Algorithm.HMAC_SHA_1_96, Secret(b"hush")) for number in (1, 2)
)

EDITS: dict[str, Edit] = {
    "name": Edit("Renamed"),
    "address": Edit(home(15)),
    "local_asn": Edit(64999),
    "peer_asn": Edit(64998),
    "families": Edit((IPV4_UNICAST, IPV6_UNICAST)),
    "kind": Edit(PeerKind.GLOBAL),
    "resource": Edit("another"),
    "range": Edit("127.0.0.0/24"),
    "port": Edit(4711),
    "passive": Edit(False),
    "source_address": Edit(home(9)),
    "rr_client": Edit(True, _reflected),
    "cluster_id": Edit(99, _other_cluster, {"rr_client": True}),
    "password": Edit(Secret(b"hush"), before={"password": Secret(b"used")}),
    "tcp_ao": Edit((KEY, ANOTHER), before={"tcp_ao": (KEY,)}),
    "ttl_security": Edit(1),
    "allow_local_as": Edit(2, _asked_again),
    "next_hop_mode": Edit(NextHopMode.SELF, _own_next_hop),
    "hold_time": Edit(77),
    "keepalive_time": Edit(11),
    "connect_retry": Edit(9.0),
    "connect_delay": Edit(9.0),
    "idle_hold": Edit((1.0, 2.0)),
    "send_hold_time": Edit(99.0),
    "delay_open": Edit(3.0),
    "restart_time": Edit(300),
    "restart_mode": Edit(RestartMode.LONG_LIVED),
    "graceful_restart": Edit(False),
    "llgr_partial_deployment": Edit(True, _last_choice),
    "add_path": Edit(AddPathMode.BOTH),
    "best_paths": Edit(2),
    "enhanced_refresh": Edit(False),
    "extended_messages": Edit(True),
    "extended_next_hop": Edit(True),
    "four_octet_as": Edit(False),
    "require": Edit((Requirement.ROUTE_REFRESH,)),
    "max_prefixes": Edit(((IPV4_UNICAST, PrefixLimit(1000)),)),
    "max_prefixes_out": Edit(
        ((IPV4_UNICAST, PrefixLimit(1, action=LimitAction.DROP)),), _fewer, {"rr_client": True}
    ),
    "graceful_shutdown": Edit(False, _asked_again),
    "blackhole": Edit(BlackholeMode.ANY, _asked_again),
    "enforce_first_as": Edit(False, _asked_again),
    "as_sets": Edit(True, _asked_again),
    "aigp": Edit(AigpMode.OFF, _asked_again),
    "role": Edit(Role.PEER),
    "strict_role": Edit(True),
    "fqdn": Edit("a.example"),
    "software_version": Edit(True),
    "weight": Edit(3),
    "bfd": Edit(True),
    "bfd_hops": Edit(3),
    "bfd_timers": Edit(BfdTimers(send=0.3)),
    "bfd_auth": Edit(BfdAuthentication(AuthType.KEYED_SHA1, ((1, Secret(b"hush")),))),
    "bfd_strict": Edit(30.0),
    "bfd_lacks": Edit("its key is nowhere"),
    "gateway_mode": Edit(GatewayMode.DIRECT, _asked_again),
    "table": Edit(500),
    "extensions": Edit((("colour", "green"),)),
    "filters": Edit(("in-words-only",)),
    "import_rules": Edit(((IPV4_UNICAST, (REFUSED,)),), _filtered_in),
    "export_rules": Edit(
        ((IPV4_UNICAST, (Rule(Action.REJECT, nlri("10.4.0.0/16"), MatchOperator.EQUAL),)),),
        _filtered_out,
    ),
}


def changed(plan: Plan, number: int = 11, **values: Any) -> Plan:
    """Give a plan in which the peer at an address has other values."""
    peers: dict[str, PeerPlan] = {}
    for peer in plan.peers.values():
        new = replace(peer, **values) if peer.address == home(number) else peer
        peers[new.name] = new
    return replace(plan, peers=peers)


@pytest.fixture
def ao_kernel() -> Iterator[AoKernel]:
    """Keys of TCP-AO can be set, whatever the kernel."""
    kernel = AoKernel()
    with kernel.installed():
        yield kernel


def test_every_field_of_a_peers_plan_is_edited_here() -> None:
    assert set(EDITS) == {field.name for field in fields(PeerPlan)}
    assert set(EDITS) == set(ON_CHANGE)


@on_both_loops
@pytest.mark.parametrize("name", [field.name for field in fields(PeerPlan)])
async def test_a_changed_field_costs_what_it_declares(name: str, ao_kernel: AoKernel) -> None:
    """p11 is edited; p12 is a client in our AS, p13 is in another AS."""
    edit, cost = EDITS[name], ON_CHANGE[name]
    async with Town() as town:
        plan = changed(town.plan_for_strangers(2, asn=AS), 11, **dict(edit.before or {}))
        plan = with_external(town, plan)
        router = await town.run(plan)
        password = peer_at(router, 11).plan.password
        edited = await town.join(11, asn=AS, password=password)
        other = await town.join(12, asn=AS)
        external = await town.join(13)
        edited.announce("10.1.0.0/16", "10.2.0.0/16", path=(), local_pref=100)
        other.announce("10.3.0.0/16", path=(), local_pref=100)
        external.announce("10.4.0.0/16")
        external.announce("10.5.0.0/16", communities=[LLGR_STALE])
        await until(lambda: len(best(router)) == 5)
        await edited.until(lambda: "10.4.0.0/16" in edited.table)
        if "rr_client" in (edit.before or {}):
            await edited.until(lambda: "10.3.0.0/16" in edited.table)
        assert edit.shows is None or not edit.shows(router, edited, other)
        shell, before = peer_at(router, 11), uptimes(router)
        session, since = shell.session, shell.session.established_since

        await router.apply(changed(plan, 11, **{name: edit.value}))

        if cost & OnChange.RESET:
            await edited.until_closed()
            assert edited.notification == (6, 6, b"")
        else:
            assert shell.session is session
            assert session.established_since == since
            assert router.peers[shell.name] is shell
            if edit.shows is not None:
                await until(lambda: edit.shows is None or edit.shows(router, edited, other))
            else:
                await nothing_happens(router, edited, external)
            assert getattr(shell.plan, name) == edit.value
            assert edited.notification is None
        after = uptimes(router)
        for number in (12, 13):
            untouched = peer_at(router, number).name
            assert after[untouched] == before[untouched]


def with_external(town: Town, plan: Plan) -> Plan:
    """Add p13, an eBGP peer, to a plan of iBGP peers."""
    [strange] = [p for p in town.plan_for_strangers(3).peers.values() if p.address == home(13)]
    return replace(plan, peers={**plan.peers, strange.name: strange})


async def nothing_happens(router: Speaker, edited: ScriptedPeer, teller: ScriptedPeer) -> None:
    """Send one more route through and see that nothing but it was told."""
    told = edited.announced + edited.withdrawn
    teller.announce("10.99.0.0/16")
    await edited.until(lambda: "10.99.0.0/16" in edited.table)
    assert edited.announced + edited.withdrawn == told + 1
    assert ROUTE_REFRESH not in edited.messages


@on_uvloop
@pytest.mark.parametrize(
    "name", [name for name in EDITS if ON_CHANGE[name] & OnChange.RESET and name != "address"]
)
async def test_a_reset_peer_is_served_by_a_new_session_with_the_new_value(name: str) -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        first = peer_at(router, 11)
        await router.apply(changed(router.plan, 11, **{name: EDITS[name].value}))
        await peer.until_closed()
        second = peer_at(router, 11)
        assert second is not first
        assert getattr(second.plan, name) == EDITS[name].value
        assert first.session.deadline is None
        assert second.session.would_accept()


@on_both_loops
async def test_a_peer_that_cannot_refresh_is_reset_where_its_routes_must_come_again() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join(refresh=False)
        await router.apply(changed(router.plan, allow_local_as=1))
        await peer.until_closed()
        assert peer.notification == (6, 6, b"")


@on_both_loops
async def test_paths_with_our_as_come_in_once_they_are_allowed() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce("10.1.0.0/16", path=(65011, AS))
        peer.announce("10.2.0.0/16")
        await until(lambda: set(best(router)) == {"10.2.0.0/16"})
        await router.apply(changed(router.plan, allow_local_as=1))
        await peer.until(lambda: ROUTE_REFRESH in peer.messages)
        peer.announce("10.1.0.0/16", path=(65011, AS))
        peer.announce("10.2.0.0/16")
        await until(lambda: set(best(router)) == {"10.1.0.0/16", "10.2.0.0/16"})
        await router.apply(changed(router.plan, allow_local_as=0))
        peer.announce("10.1.0.0/16", path=(65011, AS))
        await until(lambda: set(best(router)) == {"10.2.0.0/16"})


@on_both_loops
async def test_import_rules_work_on_what_was_heard_before_and_after() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peer, other = await town.join(11), await town.join(12)
        peer.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
        await other.until(lambda: len(other.table) == 3)
        rules = ((IPV4_UNICAST, (REFUSED, MARKED)),)
        await router.apply(changed(router.plan, import_rules=rules))
        await other.until(lambda: set(other.table) == {"10.1.0.0/16", "10.3.0.0/16"})
        await other.until(lambda: (7, 7) in other.table["10.1.0.0/16"].communities)
        peer.announce("10.2.0.0/16", med=9)
        peer.announce("10.4.0.0/16")
        await other.until(lambda: "10.4.0.0/16" in other.table)
        assert "10.2.0.0/16" not in other.table
        await router.apply(changed(router.plan, import_rules=()))
        await other.until(lambda: "10.2.0.0/16" in other.table)
        await other.until(lambda: not other.table["10.1.0.0/16"].communities)
        assert is_up(router)


@on_both_loops
async def test_export_rules_withdraw_and_tell_again_to_that_peer_alone() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(3)
        teller, edited, other = [await town.join(n) for n in (12, 11, 13)]
        teller.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(edited.table) == len(other.table) == 2)
        heard = other.announced
        await router.apply(changed(router.plan, export_rules=((IPV4_UNICAST, (REFUSED, MARKED)),)))
        await edited.until(lambda: set(edited.table) == {"10.1.0.0/16"})
        await edited.until(lambda: (7, 7) in edited.table["10.1.0.0/16"].communities)
        await router.apply(changed(router.plan, export_rules=()))
        await edited.until(lambda: len(edited.table) == 2)
        await edited.until(lambda: not edited.table["10.1.0.0/16"].communities)
        assert (other.announced, other.withdrawn) == (heard, 0)


@on_both_loops
async def test_a_renamed_peer_keeps_its_session_and_its_routes_have_the_new_name() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce("10.1.0.0/16")
        await until(lambda: best(router))
        shell, before = peer_at(router, 11), peer_at(router, 11).session.established_since
        done = await router.apply(changed(router.plan, name="Global_anew"))
        assert isinstance(done[0], RenamePeer)
        assert router.peers == {"Global_anew": shell}
        assert shell.session.established_since == before
        assert best(router) == {"10.1.0.0/16": "Global_anew"}
        peer.close()
        await until(lambda: town.said.of("session_down"))
        assert town.said.of("session_down")[0]["peer"] == "Global_anew"


@on_both_loops
async def test_a_field_of_the_next_session_is_taken_when_this_one_ends() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        shell, first = peer_at(router, 11), peer_at(router, 11).session
        await router.apply(changed(router.plan, idle_hold=(1.0, 2.0)))
        assert shell.session is first
        peer.close()
        await until(lambda: shell.session is not first)
        assert shell.session.config.idle_hold == (1.0, 2.0)
        await town.join()
        assert is_up(router)


@on_both_loops
async def test_a_field_of_words_alone_leaves_an_attempt_alone() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        shell, session = peer_at(router, 11), peer_at(router, 11).session
        caller = await town.call()
        await caller.until(lambda: caller.open)
        await router.apply(changed(router.plan, resource="another", bfd=True))
        assert shell.session is session
        await caller.establish()
        assert caller.is_open


# The node.


@on_both_loops
async def test_peers_come_and_go_and_nobody_else_notices() -> None:
    async with Town() as town:
        three, two = town.plan_for_strangers(3), town.plan_for_strangers(2)
        router = await town.run(two)
        first, second = await town.join(11), await town.join(12)
        first.announce("10.1.0.0/16")
        await second.until(lambda: second.table)
        before = uptimes(router)
        await router.apply(three)
        third = await town.join(13)
        await third.until(lambda: set(third.table) == {"10.1.0.0/16"})
        await router.apply(changed(two, 11))
        await third.until_closed()
        assert third.notification == (6, 3, b"")
        assert uptimes(router) == before
        stranger = await town.call(13)
        await stranger.until_closed()
        assert stranger.messages == []


@on_both_loops
async def test_originations_follow_the_plan() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(settings={"networks": "10.1.0.0/16 10.2.0.0/16"})
        peer = await town.join()
        await peer.until(lambda: len(peer.table) == 2)
        await router.apply(
            town.plan_for_strangers(settings={"networks": "10.2.0.0/16 10.3.0.0/16"})
        )
        await peer.until(lambda: set(peer.table) == {"10.2.0.0/16", "10.3.0.0/16"})
        assert peer.announced == 3
        await router.apply(replace(router.plan, originated=()))
        await peer.until(lambda: peer.table == {})
        assert is_up(router)


@on_both_loops
async def test_static_routes_follow_the_plan() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        static = replace(
            router.plan,
            originated=(Origination(IPV4_UNICAST, nlri("10.5.0.0/26"), OriginationKind.BLACKHOLE),),
        )
        peer = await town.join()
        await router.apply(static)
        await peer.until(lambda: set(peer.table) == {"10.5.0.0/26"})
        await router.apply(replace(static, originated=()))
        await peer.until(lambda: peer.table == {})


@on_both_loops
async def test_the_port_moves_and_sessions_stay() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join()
        before = uptimes(router)
        port = free_port()
        done = await router.apply(replace(router.plan, listen_port=port))
        assert [type(change) for change in done] == [SetListen]
        assert uptimes(router) == before
        stranger = await ScriptedPeer.connect(home(1), port, source=home(77))
        await stranger.until_closed()
        with pytest.raises(ConnectionRefusedError):
            await ScriptedPeer.connect(home(1), town.port, source=home(77))


@on_both_loops
async def test_a_busy_port_leaves_the_old_one_open_and_the_rest_is_done() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        busy = free_port()
        plan = town.plan_for_strangers(2, settings={"networks": "10.1.0.0/16"})
        with socket.create_server((home(1), busy)), pytest.raises(TransportError, match="in use"):
            await router.apply(replace(plan, listen_port=busy))
        await peer.until(lambda: peer.table)
        await town.join(12)
        await router.apply(plan)
        assert is_up(router)


@on_both_loops
async def test_another_router_id_resets_every_session() -> None:
    """RFC 4271 §4.2: the BGP Identifier is the same on every session."""
    async with Town() as town:
        router = await town.run_for_strangers(2)
        peers = [await town.join(11), await town.join(12)]
        await router.apply(replace(router.plan, router_id=0x0A0B0C0D))
        for peer in peers:
            await peer.until_closed()
            assert peer.notification == (6, 6, b"")
        again = await town.join(11)
        assert again.open is not None
        assert again.open.router_id == "10.11.12.13"


@on_both_loops
async def test_calicos_policy_and_bgps_own_can_be_exchanged_under_live_sessions() -> None:
    """Under Calico's policy an eBGP peer hears own blocks and pools alone."""
    async with Town() as town:
        plain = town.plan_for_strangers(2)
        calico = town.plan_for_strangers(2, settings={"policy": "calico"})
        calico = replace(calico, peers=plain.peers)
        router = await town.run(plain)
        one, two = await town.join(11), await town.join(12)
        before = uptimes(router)
        one.announce("10.1.0.0/16")
        await two.until(lambda: two.table)
        done = await router.apply(calico)
        assert {type(change) for change in done} >= {SetMode, SetPolicy}
        assert router.plan.mode is PolicyMode.CALICO
        await two.until(lambda: two.table == {})
        pools = {
            family: replace(policy, pools=(Pool(nlri("10.1.0.0/16")),))
            for family, policy in calico.policies.items()
        }
        await router.apply(replace(calico, policies={**calico.policies, **_of_ipv4(pools)}))
        await until(lambda: uptimes(router) == before)
        await router.apply(plain)
        await two.until(lambda: set(two.table) == {"10.1.0.0/16"})
        assert uptimes(router) == before


def _of_ipv4(policies: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return {IPV4_UNICAST: policies[IPV4_UNICAST]}


@on_both_loops
async def test_med_may_be_compared_between_all_ases_from_now_on() -> None:
    """RFC 4271 §9.1.2.2 c: it is not, unless somebody says so."""
    async with Town() as town:
        router = await town.run_for_strangers(3)
        one, two, other = [await town.join(n) for n in (11, 12, 13)]
        one.announce("10.1.0.0/16", med=9)
        two.announce("10.1.0.0/16", med=1)
        await other.until(lambda: other.table)
        names = {n: peer_at(router, n).name for n in (11, 12)}
        await until(lambda: best(router) == {"10.1.0.0/16": names[11]})
        before = uptimes(router)
        await router.apply(replace(router.plan, always_compare_med=True))
        await other.until(lambda: other.table["10.1.0.0/16"].as_path == (AS, 65012))
        assert best(router) == {"10.1.0.0/16": names[12]}
        one.announce("10.1.0.0/16", med=0)
        await other.until(lambda: other.table["10.1.0.0/16"].as_path == (AS, 65011))
        one.announce("10.1.0.0/16", med=2)
        await other.until(lambda: other.table["10.1.0.0/16"].as_path == (AS, 65012))
        await router.apply(replace(router.plan, always_compare_med=False))
        await other.until(lambda: other.table["10.1.0.0/16"].as_path == (AS, 65011))
        assert uptimes(router) == before


@on_both_loops
async def test_the_log_level_follows_the_plan() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        await router.apply(replace(router.plan, log_severity=Severity.ERROR))
        await town.join()
        assert town.said.of("session_established") == []
        await router.apply(replace(router.plan, log_severity=Severity.DEBUG))
        assert town.said.of("change_applied")


@on_both_loops
async def test_ten_edits_at_once_are_one_edit() -> None:
    async with Town() as town:
        start = town.plan_for_strangers(5, settings={"networks": "10.1.0.0/16"})
        router = await town.run(start)
        peers = {n: await town.join(n) for n in range(11, 16)}
        peers[15].announce("10.2.0.0/16", "10.4.0.0/16")
        for n in range(11, 15):
            await peers[n].until(lambda n=n: len(peers[n].table) == 3)  # type: ignore[misc]
        before = {n: peer_at(router, n).session.established_since for n in peers}

        plan = town.plan_for_strangers(6, settings={"networks": "10.3.0.0/16"})
        plan = changed(plan, 11, export_rules=((IPV4_UNICAST, (REFUSED,)),), idle_hold=(1.0, 2.0))
        plan = changed(plan, 12, next_hop_mode=NextHopMode.KEEP, name="Twelve")
        plan = changed(plan, 13, hold_time=33, connect_retry=8.0)
        plan = changed(plan, 15, import_rules=((IPV4_UNICAST, (MARKED, REFUSED)),), bfd=True)
        plan = replace(
            plan,
            listen_port=free_port(),
            peers={name: peer for name, peer in plan.peers.items() if peer.address != home(14)},
        )
        done = await router.apply(plan)

        assert len(done) >= 10
        await peers[13].until_closed()
        await peers[14].until_closed()
        assert peers[13].notification == (6, 6, b"")
        assert peers[14].notification == (6, 3, b"")
        wanted = {"10.3.0.0/16", "10.4.0.0/16"}
        await peers[11].until(lambda: set(peers[11].table) == wanted)
        await peers[12].until(lambda: set(peers[12].table) == wanted)
        await peers[12].until(lambda: peers[12].table["10.4.0.0/16"].next_hop == home(15))
        for n in (11, 12, 15):
            assert peer_at(router, n).session.established_since == before[n]
        assert await router.apply(plan) == []
