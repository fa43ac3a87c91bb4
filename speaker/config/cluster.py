"""The cluster as the plan sees it: nodes with their addresses and AS, and settings for all.

`Cluster.of` reads Nodes and BGPConfigurations once; the computation of peers then asks it simple
questions: who has this address, which nodes does a selector choose, on which port does a node
listen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Self

from fsm.family import Afi
from speaker.config.annotations import ConfigurationOptions, PolicyMode, configuration_options
from speaker.config.resources import (
    BGPConfiguration,
    BGPConfigurationSpec,
    Node,
    PrefixAdvertisement,
    Severity,
)
from speaker.config.scalars import Community, ScalarError, parse_community
from speaker.config.selectors import Selector
from speaker.config.store import Resources

DEFAULT_AS = 64512
BGP_PORT = 179


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the cluster.

    Attributes:
        asn: its own AS; None where the cluster's default holds.
        listen_port: from ``node.<name>`` or ``default``; None where neither says one.
    """

    name: str
    labels: Mapping[str, str]
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    asn: int | None
    cluster_id: int | None
    listen_port: int | None
    wireguard: bool

    def address(self, afi: Afi) -> str | None:
        """Give its address of a family, canonical and without length."""
        found = self.ipv4 if afi is Afi.IPV4 else self.ipv6
        return str(found.ip) if found else None

    def addresses(self) -> Iterator[tuple[Afi, str]]:
        """Give all its addresses."""
        for afi in (Afi.IPV4, Afi.IPV6):
            address = self.address(afi)
            if address:
                yield afi, address


@dataclass(frozen=True, slots=True)
class Cluster:
    """All nodes, sorted by name, and the settings."""

    members: tuple[Member, ...]
    default: BGPConfigurationSpec
    default_options: ConfigurationOptions
    configurations: Mapping[str, BGPConfiguration]

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Read the cluster from the resources."""
        configuration = resources.configurations.get("default")
        default = configuration.spec if configuration else BGPConfigurationSpec()
        options = ConfigurationOptions()
        if configuration:
            options = configuration_options(configuration.metadata.annotations)
        members = tuple(
            _member(node, resources.configurations, default)
            for _, node in sorted(resources.nodes.items())
        )
        return cls(members, default, options, resources.configurations)

    @property
    def default_asn(self) -> int:
        """Give the AS of nodes that have none of their own."""
        return self.default.as_number or DEFAULT_AS

    @property
    def mesh(self) -> bool:
        """Tell whether every node peers with every other."""
        return self.default.node_to_node_mesh_enabled is not False

    def asn_of(self, member: Member) -> int:
        """Give a node's effective AS."""
        return member.asn or self.default_asn

    def member(self, name: str) -> Member | None:
        """Find a node."""
        return next((member for member in self.members if member.name == name), None)

    def selected(self, selector: Selector) -> tuple[Member, ...]:
        """Give the nodes whose labels a selector matches."""
        return tuple(member for member in self.members if selector.matches(member.labels))

    def owners(self, address: str) -> tuple[Member, ...]:
        """Give the nodes that have an address."""
        afi = Afi.IPV6 if ":" in address else Afi.IPV4
        return tuple(member for member in self.members if member.address(afi) == address)

    def spec_of(self, node: str) -> BGPConfigurationSpec | None:
        """Give the settings of ``node.<name>``."""
        found = self.configurations.get(f"node.{node}")
        return found.spec if found else None

    def options_of(self, node: str) -> ConfigurationOptions:
        """Give the keys ``wren.bgp/…`` that hold for a node; its own win over the cluster's."""
        found = self.configurations.get(f"node.{node}")
        own = configuration_options(found.metadata.annotations) if found else ConfigurationOptions()
        return ConfigurationOptions(
            policy=own.policy or self.default_options.policy or PolicyMode.CALICO,
            networks=own.networks
            if own.networks is not None
            else self.default_options.networks or (),
        )

    def severity_of(self, node: str) -> Severity:
        """Give how much a node logs."""
        own = self.spec_of(node)
        return (
            (own and own.log_severity_screen) or self.default.log_severity_screen or Severity.INFO
        )

    def advertisements_of(
        self, node: str
    ) -> list[tuple[PrefixAdvertisement, tuple[Community, ...]]]:
        """Give a node's prefix advertisements with their communities resolved.

        A list on ``node.<name>`` replaces the default's entirely, names included. Values are
        de-duplicated and sorted as text, as Calico does.
        """
        own = self.spec_of(node)
        spec = own if own is not None and own.prefix_advertisements is not None else self.default
        names = {entry.name: entry.value for entry in spec.communities}
        return [
            (entry, _communities(entry.communities, names))
            for entry in spec.prefix_advertisements or ()
        ]


def _communities(words: list[str], names: Mapping[str, Community]) -> tuple[Community, ...]:
    found: dict[Community, None] = {}
    for word in sorted(words):
        try:
            found[names[word] if word in names else parse_community(word)] = None
        except ScalarError:
            # Refused by validation; what came around it costs this one value only.
            continue
    return tuple(found)


def _member(
    node: Node, configurations: Mapping[str, BGPConfiguration], default: BGPConfigurationSpec
) -> Member:
    bgp, wireguard = node.spec.bgp, node.spec.wireguard
    own = configurations.get(f"node.{node.name}")
    cluster_id = bgp.route_reflector_cluster_id if bgp else None
    return Member(
        name=node.name,
        labels=node.metadata.labels,
        ipv4=bgp.ipv4_address if bgp else None,
        ipv6=bgp.ipv6_address if bgp else None,
        asn=bgp.as_number if bgp else None,
        cluster_id=int(IPv4Address(cluster_id)) if cluster_id else None,
        listen_port=(own and own.spec.listen_port) or default.listen_port,
        wireguard=bool(
            wireguard and (wireguard.interface_ipv4_address or wireguard.interface_ipv6_address)
        ),
    )
