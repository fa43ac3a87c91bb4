"""The table of keys ``wren.bgp/…``."""

from __future__ import annotations

from dataclasses import fields

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES
from policy.roles import Role
from speaker.config.add_path import AddPath, AddPathMode
from speaker.config.annotations import ConfigurationOptions, PeerOptions, peer_options
from speaker.config.keys import KEYS, Key
from speaker.config.kinds import Kind
from speaker.config.limits import LimitAction, Limits, PrefixLimit, parse_limits
from speaker.config.requirements import Requirement
from speaker.config.scalars import ScalarError


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_is_documented(key: Key) -> None:
    assert key.full_name == f"wren.bgp/{key.name}"
    assert key.sentence.endswith(".")
    assert key.values


def test_every_option_has_a_key() -> None:
    assert len([key for key in KEYS if key.kind is Kind.BGP_PEER]) == len(fields(PeerOptions))
    assert len([key for key in KEYS if key.kind is Kind.BGP_CONFIGURATION]) == len(
        fields(ConfigurationOptions)
    )


def test_other_keys_are_left_alone() -> None:
    assert peer_options({"example.org/x": "y"}, {"anything": "goes"}) == PeerOptions()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", AddPath(AddPathMode.BOTH)),
        ("true", AddPath(AddPathMode.BOTH)),
        ("off", AddPath()),
        ("false", AddPath()),
        ("Send", AddPath(AddPathMode.SEND)),
        ("send 2", AddPath(AddPathMode.SEND, 2)),
        (" both  4 ", AddPath(AddPathMode.BOTH, 4)),
    ],
)
def test_add_path_takes_switches_directions_and_a_number(text: str, value: AddPath) -> None:
    assert peer_options({}, {"wren.bgp/addPath": text}).add_path == value


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("1000", tuple((family, PrefixLimit(1000)) for family in sorted(NAMES.values()))),
        ("vpnv4 7", ((NAMES["ipv4-vpn"], PrefixLimit(7)),)),
        (
            "IPv6 5 drop, ipv4 10 80% restart 300",
            (
                (IPV4_UNICAST, PrefixLimit(10, 80, LimitAction.RESTART, 300)),
                (IPV6_UNICAST, PrefixLimit(5, 0, LimitAction.DROP)),
            ),
        ),
    ],
)
def test_limits_are_told_by_family(text: str, limits: Limits) -> None:
    assert peer_options({}, {"wren.bgp/maxPrefixes": text}).max_prefixes == limits


@pytest.mark.parametrize(
    "text",
    [
        *("", "many", "0", "5 0%", "5 101%", "5 restart", "5 drop 7", "5,6", "ipv4 5, ipv4 6"),
        *("ipv5 1", str(1 << 32), "5 restart 65536", "5 drop 80%"),
    ],
)
def test_limits_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        parse_limits(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("on", "on"), ("off", ""), ("a", "a"), (" a-1.example.net ", "a-1.example.net")],
)
def test_a_name_is_the_nodes_or_none_or_another(text: str, name: str) -> None:
    assert peer_options({}, {"wren.bgp/fqdn": text}).fqdn == name


@pytest.mark.parametrize("text", ["", "a b", ".a", "a.", "a..b", "a" * 65, f"a.{'b' * 65}"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        peer_options({}, {"wren.bgp/fqdn": text})


def test_ipv6_next_hops_of_ipv4_routes_are_on_or_off() -> None:
    """RFC 8950 §4."""
    assert peer_options({}, {"wren.bgp/extendedNextHop": "on"}).extended_next_hop is True
    assert peer_options({}, {}).extended_next_hop is None
    with pytest.raises(ScalarError):
        peer_options({}, {"wren.bgp/extendedNextHop": "ipv6"})


def test_requirements_are_words_in_any_order_and_case() -> None:
    found = peer_options({}, {"wren.bgp/require": "AddPath, families routeRefresh"}).require
    assert found == (Requirement.FAMILIES, Requirement.ROUTE_REFRESH, Requirement.ADD_PATH)
    assert len({each.code for each in Requirement}) == len(Requirement)


@pytest.mark.parametrize("text", ["", ",", "everything", "families,more"])
def test_requirements_that_nobody_knows_are_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        peer_options({}, {"wren.bgp/require": text})


def test_a_role_is_one_of_five_words() -> None:
    assert peer_options({}, {"wren.bgp/role": "RS_Client"}).role is Role.ROUTE_SERVER_CLIENT
    with pytest.raises(ScalarError):
        peer_options({}, {"wren.bgp/role": "friend"})
