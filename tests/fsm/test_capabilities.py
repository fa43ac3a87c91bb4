from __future__ import annotations

import pytest

from fsm.capabilities import (
    AddPath,
    BfdStrict,
    Capability,
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
    SoftwareVersion,
    UnknownCapability,
    tlv,
)
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi

WRITTEN: list[tuple[Capability, str]] = [
    (Multiprotocol(IPV6_UNICAST), "01 04 0002 00 01"),
    (RouteRefreshCapability(), "02 00"),
    (ExtendedNextHop(((IPV4_UNICAST, Afi.IPV6),)), "05 06 0001 0001 0002"),
    (ExtendedMessage(), "06 00"),
    (RoleCapability(Role.PEER), "09 01 04"),
    (GracefulRestart(True, True, 120, ((IPV4_UNICAST, True),)), "40 06 c078 0001 01 80"),
    (GracefulRestart(False, True, 120, ()), "40 02 4078"),
    (FourOctetAs(4200000000), "41 04 fa56ea00"),
    (AddPath(((IPV4_UNICAST, 3),)), "45 04 0001 01 03"),
    (EnhancedRouteRefresh(), "46 00"),
    (LongLivedGracefulRestart(((IPV4_UNICAST, True, 3600),)), "47 07 0001 01 80 000e10"),
    (Fqdn("tor-1"), "49 07 05 746f722d31 00"),
    (BfdStrict(), "4a 00"),
    (SoftwareVersion("w 1"), "4b 04 03 772031"),
    (UnknownCapability(240, b"\x00"), "f0 01 00"),
]


@pytest.mark.parametrize(("capability", "octets"), WRITTEN)
def test_a_capability_is_a_value_and_knows_its_octets(capability: Capability, octets: str) -> None:
    assert tlv(capability) == bytes.fromhex(octets)
    assert tlv(capability)[0] == capability.code
    assert capability in {capability}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Role.PROVIDER, Role.CUSTOMER),
        (Role.ROUTE_SERVER, Role.ROUTE_SERVER_CLIENT),
        (Role.PEER, Role.PEER),
    ],
)
def test_roles_go_in_pairs(ours: Role, theirs: Role) -> None:
    """RFC 9234 §4.2."""
    assert (ours.counterpart, theirs.counterpart) == (theirs, ours)


def test_names_for_people_do_no_harm_to_a_terminal() -> None:
    assert str(Fqdn("tor-1", "lab.test")) == "tor-1.lab.test"
    assert str(Fqdn("a\x1b[2J")) == "a\\x1b[2J"
    assert str(SoftwareVersion("v1\n")) == "v1\\n"
    assert str(Role.ROUTE_SERVER_CLIENT) == "route server client"
