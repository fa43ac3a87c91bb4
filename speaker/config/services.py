"""Ranges of service addresses that every node announces as a whole.

The kernel has no route to a service address: kube-proxy rewrites packets to it before they are
routed. So a range is announced and never installed, neither by the node itself nor where another
node tells it. A range that is a single address stands for one Service, not for all nodes, and is
left out; so are load-balancer ranges whose aggregation is disabled. A node that is excluded from
external load balancers announces nothing of it, and installs nothing all the same.

Standards: Calico's service advertisement, as far as it follows from BGPConfiguration alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from fsm.family import Afi
from policy.prefix import Nlri
from speaker.config.cluster import Member
from speaker.config.filters import afi_of, packed
from speaker.config.resources import Aggregation, BGPConfigurationSpec, ServiceBlock
from speaker.config.scalars import ScalarError, parse_masked_network
from speaker.errors import ConfigError

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
"""The label of a node that takes no part; its value is ``true``."""

_Network = IPv4Network | IPv6Network

_SETTINGS = "BGPConfiguration/default "
_CLUSTER = f"{_SETTINGS}serviceClusterIPs"
_ENVIRONMENT = "CALICO_ADVERTISE_CLUSTER_IPS in the environment"


@dataclass(frozen=True, slots=True)
class ServiceRanges:
    """What a node does with service addresses.

    Attributes:
        announced: what this node announces.
        reflected: ranges whose single addresses a route reflector passes on.
        never_installed: what goes into no kernel.
        settings: which setting names a range, in words.
    """

    announced: tuple[_Network, ...] = ()
    reflected: tuple[_Network, ...] = ()
    never_installed: tuple[_Network, ...] = ()
    settings: Mapping[_Network, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, default: BGPConfigurationSpec, me: Member, cluster_ips_env: str | None) -> Self:
        """Read them from the settings of the cluster.

        Args:
            default: the settings.
            me: the node.
            cluster_ips_env: the value of ``CALICO_ADVERTISE_CLUSTER_IPS``; None or empty leaves it
                to ``serviceClusterIPs``.

        Raises:
            ConfigError: the value is no list of CIDRs.
        """
        cluster = tuple(
            _of_text(cluster_ips_env) if cluster_ips_env else _of(default.service_cluster_ips)
        )
        external = tuple(_of(default.service_external_ips))
        balanced = tuple(_of(default.service_load_balancer_ips))
        whole = [*cluster, *(cidr for cidr in external if not is_single(cidr))]
        if default.service_load_balancer_aggregation is Aggregation.ENABLED:
            whole += [cidr for cidr in balanced if not is_single(cidr)]
        ranges = tuple(dict.fromkeys(whole))
        is_excluded = me.labels.get(EXCLUDED) == "true"
        return cls(
            announced=() if is_excluded else ranges,
            reflected=tuple(dict.fromkeys((*balanced, *external))),
            never_installed=ranges,
            settings={
                **dict.fromkeys(balanced, f"{_SETTINGS}serviceLoadBalancerIPs"),
                **dict.fromkeys(external, f"{_SETTINGS}serviceExternalIPs"),
                **dict.fromkeys(cluster, _ENVIRONMENT if cluster_ips_env else _CLUSTER),
            },
        )


def of_family(networks: Iterable[_Network], afi: Afi) -> tuple[Nlri, ...]:
    """Pick the networks of a family, as NLRI."""
    return tuple(packed(network) for network in networks if afi_of(network) is afi)


def is_single(network: _Network) -> bool:
    """Tell whether a network is one address."""
    return network.prefixlen == network.max_prefixlen


def _of(blocks: Iterable[ServiceBlock]) -> Iterator[_Network]:
    return (block.cidr for block in blocks if block.cidr is not None)


def _of_text(text: str) -> Iterator[_Network]:
    for word in filter(None, (word.strip() for word in text.split(","))):
        try:
            yield parse_masked_network(word)
        except ScalarError as error:
            raise ConfigError(
                f"CALICO_ADVERTISE_CLUSTER_IPS is {text!r}: {word}: {error}",
                hint="set it to CIDRs separated by commas",
            ) from None
