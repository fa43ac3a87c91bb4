"""Ranges of service addresses: who announces them, and what never goes into a kernel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.prefix import parse_prefix
from speaker.config.plan import Origination, OriginationKind, Plan
from speaker.config.services import EXCLUDED
from speaker.config.views import plan_json
from speaker.errors import ConfigError
from tests.support.resources import document, plan, settings

BGP = {"ipv4Address": "10.0.0.1/24", "ipv6Address": "fd00::1/64"}
A = document("Node", "a", {"bgp": BGP})
EXCLUDED_A = document("Node", "a", {"bgp": BGP}, labels={EXCLUDED: "true"})


def blocks(*cidrs: str) -> list[dict[str, str]]:
    return [{"cidr": cidr} if cidr else {} for cidr in cidrs]


ALL: dict[str, Any] = {
    "serviceClusterIPs": blocks("10.96.0.0/12", "", "fd96::/108"),
    "serviceExternalIPs": blocks("198.51.100.0/24", "198.51.100.7/32"),
    "serviceLoadBalancerIPs": blocks("203.0.113.0/24", "fd97::1/128"),
}


def nlris(*texts: str) -> tuple[bytes, ...]:
    return tuple(parse_prefix(text)[1] for text in texts)


def announced(found: Plan) -> list[str]:
    ranges: list[str] = plan_json(found)["serviceRanges"]
    return ranges


def networks(found: Plan) -> set[bytes]:
    return {o.nlri for o in found.originated if o.kind is OriginationKind.NETWORK}


WHOLE = ["10.96.0.0/12", "198.51.100.0/24", "203.0.113.0/24", "fd96::/108"]


def test_ranges_are_announced_and_never_installed_and_single_addresses_are_left_out() -> None:
    found = plan("a", A, settings(**ALL))
    assert announced(found) == WHOLE
    assert networks(found) == set(nlris(*WHOLE))
    assert found.static_routes == ()
    ipv4, ipv6 = found.policies[IPV4_UNICAST], found.policies[IPV6_UNICAST]
    assert ipv4.kernel_reject == ipv4.service_routes == nlris(*WHOLE[:3])
    assert ipv6.kernel_reject == ipv6.service_routes == nlris("fd96::/108")
    assert ipv4.reflector_cidrs == nlris("203.0.113.0/24", "198.51.100.0/24", "198.51.100.7/32")
    assert ipv6.reflector_cidrs == nlris("fd97::1/128")


def test_load_balancer_ranges_are_announced_only_with_aggregation() -> None:
    found = plan("a", A, settings(**ALL, serviceLoadBalancerAggregation="Disabled"))
    assert announced(found) == [cidr for cidr in WHOLE if cidr != "203.0.113.0/24"]
    assert found.policies[IPV4_UNICAST].kernel_reject == nlris("10.96.0.0/12", "198.51.100.0/24")


def test_an_excluded_node_announces_nothing_and_installs_nothing() -> None:
    found = plan("a", EXCLUDED_A, settings(**ALL))
    assert announced(found) == []
    assert networks(found) == set()
    assert found.policies[IPV4_UNICAST].kernel_reject == nlris(*WHOLE[:3])


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ("10.112.0.0/12, fd98::/108", ["10.112.0.0/12", "fd98::/108"]),
        ("", ["10.96.0.0/12"]),
        (None, ["10.96.0.0/12"]),
    ],
)
def test_the_environment_stands_for_the_cluster_range(
    env: str | None, wanted: Iterable[str]
) -> None:
    configured: dict[str, Any] = {"serviceClusterIPs": blocks("10.96.0.0/12")}
    assert announced(plan("a", A, settings(**configured), cluster_ips_env=env)) == wanted


def test_an_environment_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"CALICO_ADVERTISE_CLUSTER_IPS is '10.96.0.0/12,10.1'"):
        plan("a", A, cluster_ips_env="10.96.0.0/12,10.1")


def test_with_the_plain_policy_ranges_are_announced_without_a_route() -> None:
    plain = {"wren.bgp/policy": "plain", "wren.bgp/networks": "10.96.0.0/12"}
    found = plan("a", A, settings(**ALL, annotations=plain))
    assert (
        Origination(IPV4_UNICAST, nlris("10.96.0.0/12")[0], OriginationKind.NETWORK)
        in found.originated
    )
    assert networks(found) == set(nlris(*WHOLE))
