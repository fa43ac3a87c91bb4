from __future__ import annotations

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from fsm.messages import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Keepalive,
    Message,
    Multiprotocol,
    Open,
    RefreshSubtype,
    RouteRefresh,
    RouteRefreshCapability,
    UnknownCapability,
)


@pytest.mark.parametrize(
    ("capability", "code"),
    [
        (Multiprotocol(IPV6_UNICAST), 1),
        (RouteRefreshCapability(), 2),
        (ExtendedNextHop(((IPV4_UNICAST, Afi.IPV6),)), 5),
        (ExtendedMessage(), 6),
        (GracefulRestart(False, False, 120, ((IPV4_UNICAST, True),)), 64),
        (FourOctetAs(4200000000), 65),
        (AddPath(((IPV4_UNICAST, 3),)), 69),
        (EnhancedRouteRefresh(), 70),
        (UnknownCapability(71, b"\x00"), 71),
    ],
)
def test_a_capability_knows_its_number_and_is_a_value(capability: Capability, code: int) -> None:
    assert capability.code == code
    assert capability in {capability}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Open(64512, 90, 1), "OPEN as=64512 hold=90"),
        (Keepalive(), "KEEPALIVE"),
        (RouteRefresh(IPV4_UNICAST), "ROUTE-REFRESH ipv4 unicast subtype=0"),
        (RouteRefresh(IPV6_UNICAST, RefreshSubtype.END), "ROUTE-REFRESH ipv6 unicast subtype=2"),
    ],
)
def test_a_message_is_a_line_of_a_transcript(message: Message, text: str) -> None:
    assert str(message) == text
