from __future__ import annotations

import pytest

from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from fsm.messages import (
    AddPath,
    EnhancedRouteRefresh,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
    Open,
    RouteRefreshCapability,
)
from tests.support.duet import config


def test_capabilities_stand_in_ascending_order_of_their_codes() -> None:
    graceful = GracefulRestart(False, False, 120, ())
    add_path = AddPath(((IPV4_UNICAST, 3),))
    of = config(
        families=(IPV6_UNICAST, IPV4_UNICAST),
        enhanced_route_refresh=True,
        extra_capabilities=(add_path, graceful),
    )
    assert of.capabilities() == (
        Multiprotocol(IPV6_UNICAST),
        Multiprotocol(IPV4_UNICAST),
        RouteRefreshCapability(),
        graceful,
        FourOctetAs(64512),
        add_path,
        EnhancedRouteRefresh(),
    )


def test_an_open_says_what_the_configuration_says() -> None:
    of = config(hold_time=30, route_refresh=False, four_octet_as=False)
    assert of.open_message() == Open(64512, 30, 0x0A000001, (Multiprotocol(IPV4_UNICAST),))
    assert of.open_message(with_capabilities=False) == Open(64512, 30, 0x0A000001)


@pytest.mark.parametrize(
    "changes",
    [
        {"local_asn": 0},
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


def test_a_session_within_one_as_is_internal() -> None:
    assert config(peer_asn=64512).is_internal
    assert not config().is_internal
