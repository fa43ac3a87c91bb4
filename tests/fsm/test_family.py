from __future__ import annotations

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi


@pytest.mark.parametrize(
    ("family", "text"),
    [
        (IPV4_UNICAST, "ipv4 unicast"),
        (IPV6_UNICAST, "ipv6 unicast"),
        (Family(Afi.IPV4, Safi.MPLS_VPN), "ipv4 mpls-vpn"),
        (Family(Afi.L2VPN, Safi.EVPN), "l2vpn evpn"),
    ],
)
def test_a_family_is_printed_as_people_write_it(family: Family, text: str) -> None:
    assert str(family) == text


def test_families_are_keys_by_value() -> None:
    assert {IPV4_UNICAST: 1}[Family(Afi(1), Safi(1))] == 1
