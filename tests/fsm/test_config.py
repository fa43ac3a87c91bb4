from __future__ import annotations

import pytest

from fsm.capabilities import (
    AddPath,
    BfdStrict,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Fqdn,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RoleCapability,
    RouteRefreshCapability,
    SendReceive,
    SoftwareVersion,
    UnknownCapability,
)
from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from fsm.messages import Open
from tests.support.duet import config


def test_capabilities_stand_in_ascending_order_of_their_codes() -> None:
    graceful = GracefulRestart(False, False, 120, ())
    long_lived = LongLivedGracefulRestart(())
    next_hops = ((IPV4_UNICAST, Afi.IPV6),)
    add_path = ((IPV4_UNICAST, SendReceive.BOTH),)
    unknown = UnknownCapability(3)
    of = config(
        families=(IPV6_UNICAST, IPV4_UNICAST),
        extended_message=True,
        extended_next_hop=next_hops,
        role=Role.PEER,
        graceful_restart=graceful,
        long_lived=long_lived,
        add_path=add_path,
        hostname="wren",
        software_version="wren 1",
        bfd_strict=True,
        extra_capabilities=(unknown,),
    )
    assert of.capabilities() == (
        Multiprotocol(IPV6_UNICAST),
        Multiprotocol(IPV4_UNICAST),
        RouteRefreshCapability(),
        unknown,
        ExtendedNextHop(next_hops),
        ExtendedMessage(),
        RoleCapability(Role.PEER),
        graceful,
        FourOctetAs(64512),
        AddPath(add_path),
        EnhancedRouteRefresh(),
        long_lived,
        Fqdn("wren"),
        BfdStrict(),
        SoftwareVersion("wren 1"),
    )


def test_an_open_says_what_the_configuration_says() -> None:
    of = config(hold_time=30, route_refresh=False, four_octet_as=False)
    assert of.open_message() == Open(64512, 30, 0x0A000001, (Multiprotocol(IPV4_UNICAST),))
    assert of.open_message(with_capabilities=False) == Open(64512, 30, 0x0A000001)


@pytest.mark.parametrize(
    "changes",
    [
        {"local_asn": 0},
        {"bfd_hold_down": -1.0},
        {"peer_asn": 0},
        {"peer_asn": 1 << 32},
        {"router_id": 0},
        {"families": ()},
        {"hold_time": 2},
        {"hold_time": 65536},
        {"keepalive_time": 0},
        {"connect_retry_time": 0},
        {"delay_open_time": -1},
        {"idle_hold": (0, 5)},
        {"idle_hold": (6, 5)},
        {"open_hold_time": 0},
        {"accepted_open_hold_time": 0},
        {"send_hold_time": -1},
        {"add_path": ((IPV6_UNICAST, SendReceive.BOTH),)},
        {"extended_next_hop": ((IPV6_UNICAST, Afi.IPV4),)},
        {"role": Role.PEER, "peer_asn": 64512},
        {"strict_role": True},
        {"hostname": "ü" * 33},
        {"software_version": "x" * 65},
        {"required": frozenset({6})},
    ],
)
def test_an_impossible_session_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(LocalError, match="impossible session"):
        config(**changes)


def test_without_capabilities_only_small_as_numbers_and_ipv4_make_a_session() -> None:
    """RFC 5492 §3."""
    assert config().works_without_capabilities
    assert not config(families=(IPV6_UNICAST,)).works_without_capabilities
    assert not config(local_asn=70000).works_without_capabilities
    assert not config(required=frozenset({65})).works_without_capabilities


def test_a_session_within_one_as_is_internal() -> None:
    assert config(peer_asn=64512).is_internal
    assert not config().is_internal
