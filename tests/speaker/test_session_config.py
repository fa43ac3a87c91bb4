"""From a plan to the configuration of a session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.capabilities import GracefulRestart, SendReceive
from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES, Afi, Family, Safi
from speaker.config.add_path import parse_add_path
from speaker.config.plan import PeerKind, PeerPlan, RestartMode
from speaker.session_config import session_config

PLAN = PeerPlan(
    name="a",
    address="192.0.2.1",
    local_asn=64512,
    peer_asn=65001,
    families=(IPV4_UNICAST, IPV6_UNICAST),
    kind=PeerKind.NODE,
    hold_time=30,
    keepalive_time=7,
    connect_retry=3.0,
    idle_hold=(1.0, 9.0),
    passive=True,
)


def test_every_value_of_the_session_comes_from_the_plan() -> None:
    config = session_config(PLAN, 0x0A000001)
    assert (config.local_asn, config.peer_asn, config.router_id) == (64512, 65001, 0x0A000001)
    assert config.families == (IPV4_UNICAST, IPV6_UNICAST)
    assert (config.hold_time, config.keepalive_time) == (30, 7)
    assert (config.connect_retry_time, config.idle_hold) == (3.0, (1.0, 9.0))
    assert config.passive


def test_the_words_of_a_plan_do_not_matter_to_the_session() -> None:
    named = replace(PLAN, name="b", resource="r", kind=PeerKind.GLOBAL, bfd=True)
    assert session_config(named, 1) == session_config(PLAN, 1)


def test_graceful_restart_names_what_is_forwarded_here() -> None:
    """RFC 4724 §3, RFC 8538 §2: the bits for a restart are for one that is under way."""
    families = (IPV4_UNICAST, IPV6_UNICAST, Family(Afi.IPV4, Safi.MPLS_VPN))
    offered = session_config(replace(PLAN, families=families, restart_time=77), 1)
    unicast = ((IPV4_UNICAST, False), (IPV6_UNICAST, False))
    assert offered.graceful_restart == GracefulRestart(False, True, 77, unicast)
    assert offered.long_lived is None
    assert session_config(replace(PLAN, graceful_restart=False), 1).graceful_restart is None


def test_in_long_lived_mode_the_time_of_the_plan_is_the_stale_time() -> None:
    """RFC 9494 §3.1."""
    long = replace(PLAN, restart_mode=RestartMode.LONG_LIVED, restart_time=9000)
    offered = session_config(long, 1)
    assert offered.graceful_restart is not None
    assert offered.graceful_restart.restart_time == 120
    assert offered.long_lived is not None
    assert offered.long_lived.families[0] == (IPV4_UNICAST, False, 9000)
    assert session_config(replace(long, graceful_restart=False), 1).long_lived is None


def test_ipv6_next_hops_of_ipv4_routes_are_offered_where_the_plan_says() -> None:
    assert session_config(PLAN, 1).extended_next_hop == ()
    config = session_config(replace(PLAN, extended_next_hop=True), 1)
    assert config.extended_next_hop == ((IPV4_UNICAST, Afi.IPV6),)


def test_a_family_that_nobody_relays_cannot_be_negotiated() -> None:
    families = (IPV4_UNICAST, Family(Afi.IPV4, Safi.SR_POLICY))
    with pytest.raises(LocalError, match="a: routes of ipv4 sr-policy cannot be exchanged"):
        session_config(replace(PLAN, families=families), 1)


def test_ipv6_next_hops_are_offered_for_what_is_passed_on_as_it_is() -> None:
    families = (IPV4_UNICAST, NAMES["ipv4-vpn"], NAMES["l2vpn-evpn"], NAMES["ipv6-vpn"])
    config = session_config(replace(PLAN, families=families), 1)
    assert config.extended_next_hop == ((NAMES["ipv4-vpn"], Afi.IPV6),)


def test_an_impossible_plan_is_refused() -> None:
    with pytest.raises(LocalError, match="hold time"):
        session_config(replace(PLAN, hold_time=2), 1)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("off", None),
        ("receive", SendReceive.RECEIVE),
        ("both", SendReceive.BOTH),
        ("send", SendReceive.SEND),
    ],
)
def test_several_paths_are_offered_in_each_family(text: str, offered: SendReceive | None) -> None:
    """RFC 7911 §4."""
    config = session_config(replace(PLAN, add_path=parse_add_path(text).mode), 1)
    assert config.add_path == tuple((family, offered) for family in PLAN.families if offered)
