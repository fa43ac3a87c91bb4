"""The cluster as the plan sees it: nodes with their addresses and AS, and settings for all.

`Cluster.of` reads Nodes and BGPConfigurations once; the computation of peers then asks it simple
questions: who has this address, which nodes does a selector choose, on which port does a node
listen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from operator import attrgetter
from typing import Self

from fsm.family import Afi
from speaker.config.annotations import ConfigurationOptions, configuration_options
from speaker.config.census import Census, members_of
from speaker.config.keys import PolicyMode
from speaker.config.resources import (
    BGPConfiguration,
    BGPConfigurationSpec,
    BGPPeer,
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
        number: its place among all nodes, sorted by name.
        texts: its addresses, canonical and without length.
    """

    number: int
    name: str
    labels: Mapping[str, str]
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    asn: int | None
    cluster_id: int | None
    listen_port: int | None
    wireguard: bool
    texts: tuple[tuple[Afi, str], ...]

    def address(self, afi: Afi) -> str | None:
        """Give its address of a family, canonical and without length."""
        return next((text for found, text in self.texts if found is afi), None)

    def addresses(self) -> tuple[tuple[Afi, str], ...]:
        """Give all its addresses."""
        return self.texts


@dataclass(frozen=True, slots=True)
class Cluster:
    """All nodes, sorted by name, and the settings.

    Attributes:
        census: which of the members a selector chooses, by their numbers.
        holders: the members that have an address.
    """

    members: tuple[Member, ...]
    census: Census
    holders: Mapping[str, tuple[Member, ...]]
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
            _member(number, node, resources.configurations, default)
            for number, (_, node) in enumerate(sorted(resources.nodes.items()))
        )
        census = Census([member.labels for member in members])
        holders: dict[str, tuple[Member, ...]] = {}
        for member in members:
            for _, address in member.texts:
                holders[address] = (*holders.get(address, ()), member)
        return cls(members, census, holders, default, options, resources.configurations)

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
        number = bisect_left(self.members, name, key=attrgetter("name"))
        found = self.members[number] if number < len(self.members) else None
        return found if found is not None and found.name == name else None

    def selected(self, selector: Selector) -> tuple[Member, ...]:
        """Give the nodes whose labels a selector matches."""
        return tuple(self.members[number] for number in members_of(self.census.chosen(selector)))

    def concerns(self, peer: BGPPeer, member: Member) -> bool:
        """Tell whether a node is among those that a BGPPeer is for."""
        if peer.spec.node is not None:
            return peer.spec.node == member.name
        selector = peer.spec.node_selector
        return selector is None or self.chooses(selector, member)

    def concerned(self, peer: BGPPeer) -> tuple[Member, ...]:
        """Give the nodes that a BGPPeer is for."""
        if peer.spec.node is not None:
            member = self.member(peer.spec.node)
            return (member,) if member else ()
        selector = peer.spec.node_selector
        return self.members if selector is None else self.selected(selector)

    def chooses(self, selector: Selector, member: Member) -> bool:
        """Tell whether a selector matches a node."""
        return bool(self.census.chosen(selector) >> member.number & 1)

    def owners(self, address: str) -> tuple[Member, ...]:
        """Give the nodes that have an address."""
        return self.holders.get(address, ())

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
            always_compare_med=own.always_compare_med
            if own.always_compare_med is not None
            else self.default_options.always_compare_med is True,
            reject_invalid=own.reject_invalid
            if own.reject_invalid is not None
            else self.default_options.reject_invalid is True,
            networks=own.networks
            if own.networks is not None
            else self.default_options.networks or (),
            external_networks=own.external_networks
            if own.external_networks is not None
            else self.default_options.external_networks or (),
            resilient_groups=own.resilient_groups
            if own.resilient_groups is not None
            else self.default_options.resilient_groups or False,
            selection_deferral=own.selection_deferral or self.default_options.selection_deferral,
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
    number: int,
    node: Node,
    configurations: Mapping[str, BGPConfiguration],
    default: BGPConfigurationSpec,
) -> Member:
    bgp, wireguard = node.spec.bgp, node.spec.wireguard
    own = configurations.get(f"node.{node.name}")
    cluster_id = bgp.route_reflector_cluster_id if bgp else None
    ipv4, ipv6 = (bgp.ipv4_address, bgp.ipv6_address) if bgp else (None, None)
    texts = ((Afi.IPV4, ipv4), (Afi.IPV6, ipv6))
    return Member(
        number=number,
        name=node.name,
        labels=node.metadata.labels,
        ipv4=ipv4,
        ipv6=ipv6,
        texts=tuple((afi, str(found.ip)) for afi, found in texts if found),
        asn=bgp.as_number if bgp else None,
        cluster_id=int(IPv4Address(cluster_id)) if cluster_id else None,
        listen_port=(own and own.spec.listen_port) or default.listen_port,
        wireguard=bool(
            wireguard and (wireguard.interface_ipv4_address or wireguard.interface_ipv6_address)
        ),
    )
