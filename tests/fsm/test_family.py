from __future__ import annotations

import pytest

from fsm.family import (
    IPV4_UNICAST,
    IPV6_UNICAST,
    NAMES,
    RELAYED,
    SYNONYMS,
    Afi,
    Family,
    Safi,
    name_of,
    parse_family,
)


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


def test_a_family_has_one_name_and_is_found_by_it() -> None:
    assert len(set(NAMES.values())) == len(NAMES)
    assert {name_of(parse_family(name)) for name in NAMES} == set(NAMES)
    assert {IPV4_UNICAST, IPV6_UNICAST} | RELAYED == set(NAMES.values())


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_what_other_daemons_call_a_family_names_one_that_there_is(synonym: str) -> None:
    assert synonym not in NAMES
    assert parse_family(synonym) == NAMES[SYNONYMS[synonym]]


@pytest.mark.parametrize("text", ["IPv4 flowspec", "ipv4_flow", "ipv4/flow", " ipv4-flow "])
def test_a_family_may_be_written_in_several_ways(text: str) -> None:
    assert parse_family(text) == Family(Afi.IPV4, Safi.FLOW)


@pytest.mark.parametrize("family", NAMES.values())
def test_what_prints_a_family_can_be_read_again(family: Family) -> None:
    assert parse_family(str(family)) == family


def test_a_family_that_nobody_relays_has_a_clear_error() -> None:
    with pytest.raises(ValueError, match="'ipv4-sr-policy' is no address family; there are ipv4, "):
        parse_family("ipv4-sr-policy")
    assert name_of(Family(Afi.IPV4, Safi.SR_POLICY)) == "ipv4 sr-policy"
