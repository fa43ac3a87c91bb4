"""What Calico's resources say of one node, drawn at random, as documents and as a BIRD's filters.

A `World` is the node's surroundings: pools, blocks, service ranges, communities of prefixes,
whether it reflects. A chain is the rules of one BGPFilter. Each is written twice, once as the
resources that Wren reads and once as filters in BIRD's language, so that a BIRD does with routes
what Calico's BIRD does with them. The two know nothing of each other.

Where BIRD 2 lacks what Calico's own BIRD has, something else stands for it: ``krt_tunnel`` of the
IPIP device is the realm `TUNNELLED` of a kernel route.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.resources import block, document

Rule = dict[str, Any]

M = 2147483647
"""What a priority and the LOCAL_PREF that carries it add up to."""

AS = 64512
CLUSTER_ID = "10.9.9.9"
TUNNELLED = 77
URGENT_PREFERENCE = 200


@dataclass(frozen=True)
class Pool:
    """An IPPool."""

    cidr: str
    ipip: str = "Never"
    vxlan: str = "Never"
    exported: bool = True


@dataclass(frozen=True)
class World:
    """What the node's resources say for one address family.

    Attributes:
        version: 4 or 6.
        pools: of the cluster.
        blocks: of the node, by state.
        services: by field of BGPConfiguration.
        communities: by CIDR, what routes inside are given.
        network: the node's subnet.
        reflects: it has a cluster id.
        cluster_routes: ``programClusterRoutes``; empty for the default.
        normal: the normal priority; None for the default.
    """

    version: int
    pools: tuple[Pool, ...]
    blocks: Mapping[str, str]
    services: Mapping[str, tuple[str, ...]]
    communities: Mapping[str, tuple[str, ...]]
    network: str
    reflects: bool = False
    cluster_routes: str = ""
    normal: int | None = None

    @property
    def priority(self) -> int:
        return 1024 if self.normal is None else self.normal

    def settings(self) -> dict[str, Any]:
        """Write the spec of the BGPConfiguration."""
        spec: dict[str, Any] = {"nodeToNodeMeshEnabled": False, "asNumber": AS}
        for name, cidrs in self.services.items():
            spec[name] = [{"cidr": cidr} for cidr in cidrs]
        spec["prefixAdvertisements"] = [
            {"cidr": cidr, "communities": list(values)} for cidr, values in self.communities.items()
        ]
        if self.cluster_routes:
            spec["programClusterRoutes"] = self.cluster_routes
        if self.normal is not None:
            spec[f"ipv{self.version}NormalRoutePriority"] = self.normal
        return spec

    def documents(self, node: str) -> Iterator[dict[str, Any]]:
        """Write pools and blocks."""
        for number, pool in enumerate(self.pools):
            spec = {"cidr": pool.cidr, "ipipMode": pool.ipip, "vxlanMode": pool.vxlan}
            yield document(
                "IPPool", f"pool{number}", {**spec, "disableBGPExport": not pool.exported}
            )
        for cidr, state in self.blocks.items():
            yield block(cidr, node, state)

    # What BIRD is told.

    @property
    def aggregates(self) -> list[str]:
        return [cidr for cidr, state in self.blocks.items() if state == "confirmed"]

    @property
    def announced(self) -> list[str]:
        """Service ranges that every node announces."""
        return [cidr for cidrs in self.services.values() for cidr in cidrs if not _is_single(cidr)]

    @property
    def blackholes(self) -> list[str]:
        """The networks that have blackholes."""
        return [cidr for cidr in self.blocks if not _is_single(cidr)] + self.announced

    def functions(self) -> Iterator[str]:
        """Write the functions that all sessions share."""
        yield "function to_peers(bool inside) {"
        for pool in self.pools:
            if not pool.exported:
                yield f"  if net ~ {pool.cidr} then reject;"
        tunnels = ["*.cali", "*.calico"]
        if self.cluster_routes not in ("Enabled", "EnabledIPIPOnly"):
            tunnels.append("tunl0")
        condition = " || ".join(f'ifname ~ "{name}"' for name in tunnels)
        yield f"  if inside && defined(ifname) then if {condition} then reject;"
        yield '  if defined(ifname) then if ifname ~ "bpf*.cali" then reject;'
        for cidr, values in self.communities.items():
            adding = " ".join(_add_community(value) for value in values)
            yield f"  if net ~ {cidr} then {{ {adding} }}"
        for cidr in self.aggregates:
            yield f"  if net = {cidr} then accept;"
            yield f"  if net ~ {cidr} && krt_metric < {self.priority} then accept;"
            yield f"  if net ~ {cidr} then reject;"
        for cidr in self.announced:
            yield f"  if net ~ {cidr} then accept;"
        if self.reflects:
            for name in ("serviceLoadBalancerIPs", "serviceExternalIPs"):
                for cidr in self.services.get(name, ()):
                    yield f"  if net ~ {cidr} then accept;"
        for pool in self.pools:
            if pool.exported:
                yield f"  if net ~ {pool.cidr} then accept;"
        yield "}"

    def kernel_filter(self) -> Iterator[str]:
        """Write the filter of routes on their way into the kernel."""
        yield "filter to_kernel {"
        # Of itself Calico's BIRD leaves connected networks to the kernel.
        yield "  if source = RTS_DEVICE then reject;"
        for cidr in self.announced:
            yield f"  if net ~ {cidr} then reject;"
        yield "  if source = RTS_BGP then {"
        yield f"    krt_metric = {self.priority};"
        yield f"    if defined(bgp_local_pref) then krt_metric = {M} - bgp_local_pref;"
        yield "  }"
        for pool in self.pools:
            yield f"  if net ~ {pool.cidr} then {{ {self._programming(pool)} }}"
        yield "  accept;"
        yield "}"

    def _programming(self, pool: Pool) -> str:
        ipip = self.cluster_routes in ("Enabled", "EnabledIPIPOnly")
        plain = self.cluster_routes in ("", "Enabled", "EnabledNoEncapOnly")
        if pool.vxlan != "Never":
            return "reject;"
        if pool.ipip == "Never":
            return "accept;" if plain else "reject;"
        if not ipip:
            return "reject;"
        mark = f"if source = RTS_BGP then krt_realm = {TUNNELLED};"
        if pool.ipip == "CrossSubnet":
            near = f"defined(bgp_next_hop) && bgp_next_hop ~ {self.network}"
            return f"if !({near}) then {{ {mark} }} accept;"
        return f"{mark} accept;"

    def import_filter(self, name: str, chain: Sequence[Rule], *, internal: bool) -> Iterator[str]:
        """Write the filter of what one peer tells."""
        yield f"filter in_{name} {{"
        yield from (f"  {line}" for line in lines_of(chain, self.version, internal=internal))
        yield f"  if bgp_local_pref > {M - self.priority} then preference = {URGENT_PREFERENCE};"
        yield "  accept;"
        yield "}"

    def export_filter(self, name: str, chain: Sequence[Rule], *, internal: bool) -> Iterator[str]:
        """Write the filter of what one peer is told."""
        yield f"filter out_{name} {{"
        yield f"  if source = RTS_BGP then krt_metric = {M} - bgp_local_pref;"
        yield "  else {"
        yield f"    if !defined(krt_metric) || krt_metric = 0 then krt_metric = {self.priority};"
        yield f"    bgp_local_pref = {M} - krt_metric;"
        yield "  }"
        yield from (f"  {line}" for line in lines_of(chain, self.version, internal=internal))
        yield f"  to_peers({str(internal).lower()});"
        yield "  reject;"
        yield "}"


def _is_single(cidr: str) -> bool:
    return cidr.endswith("/128" if ":" in cidr else "/32")


# Rules, in BIRD's words.


def lines_of(chain: Sequence[Rule], version: int, *, internal: bool) -> Iterator[str]:
    """Write a chain; a rule for the other type of peer is left out."""
    for rule in chain:
        if rule.get("peerType", "") in ("", "iBGP" if internal else "eBGP"):
            yield line_of(rule, version)


def line_of(rule: Rule, version: int) -> str:
    """Write one rule."""
    body = " ".join([*map(_operation, rule.get("operations", ())), f"{rule['action'].lower()};"])
    conditions = list(_conditions(rule, version))
    return f"if {' && '.join(conditions)} then {{ {body} }}" if conditions else body


_OPERATORS = {"Equal": "=", "NotEqual": "!=", "In": "~", "NotIn": "!~"}


def _conditions(rule: Rule, version: int) -> Iterator[str]:
    if "cidr" in rule:
        right = rule["cidr"]
        if "prefixLength" in rule:
            own, width = int(right.partition("/")[2]), 32 if version == 4 else 128
            low = max(own, rule["prefixLength"].get("min", own))
            high = min(width, rule["prefixLength"].get("max", width))
            right = f"[ {right}{{{low},{high}}} ]" if low <= high else "[ ]"
        yield f"(net {_OPERATORS[rule['matchOperator']]} {right})"
    if "source" in rule:
        yield "(source ~ [ RTS_BGP ])"
    if "interface" in rule:
        yield f'(defined(ifname) && ifname ~ "{rule["interface"]}")'
    if "communities" in rule:
        [value] = rule["communities"]["values"]
        kind = "bgp_community" if value.count(":") == 1 else "bgp_large_community"
        yield f"(({value.replace(':', ', ')}) ~ {kind})"
    if "asPathPrefix" in rule:
        yield f"(bgp_path ~ [= {' '.join(map(str, rule['asPathPrefix']))} * =])"
    if "priority" in rule:
        yield f"(bgp_local_pref = {M - rule['priority']})"


def _add_community(value: str) -> str:
    kind = "bgp_community" if value.count(":") == 1 else "bgp_large_community"
    return f"{kind}.add(({value.replace(':', ', ')}));"


def _operation(operation: Mapping[str, Any]) -> str:
    match operation:
        case {"addCommunity": {"value": value}}:
            return _add_community(value)
        case {"prependASPath": {"prefix": numbers}}:
            return " ".join(f"bgp_path.prepend({number});" for number in reversed(numbers))
        case {"setPriority": {"value": value}}:
            return f"bgp_local_pref = {M - value};"
        case _:
            raise AssertionError(operation)


# Rules, drawn.

INTERFACES = ("eth0", "vxlan.calico", "wireguard.cali", "tunl0", "bpfout.cali", "ether9")
PATTERNS = ("eth0", "*", "eth*", "*th0", "vxlan*", "*.cali*", "tunl0", "bpf*.cali", "e*9", "wlan0")
COMMUNITIES = ("65000:1", "65000:2", "65001:7", "0:9", "65000:1:1", "65001:7:4294967295")
NUMBERS = (65010, 65011, 65012, 4200000001, 64999)
PRIORITIES = (1, 512, 1023, 1024, 2000, M - 100, M - 1)


@dataclass
class Dice:
    """Draws rules.

    Attributes:
        random: where chance comes from.
        version: 4 or 6.
        cidrs: networks that the routes know, for conditions on prefixes.
    """

    random: random.Random
    version: int
    cidrs: Sequence[str]
    paths: Sequence[Sequence[int]] = field(default=((65010,), (65011, 65012)))

    def chain(self, length: int) -> list[Rule]:
        """Draw a chain."""
        return [self.rule(last=number == length - 1) for number in range(length)]

    def rule(self, *, last: bool = False) -> Rule:
        """Draw a rule; the last of a chain may be without condition, others seldom."""
        rule: Rule = {"action": self.random.choice(("Accept", "Reject"))}
        count = self.random.choice((0, 1) if last else (1, 1, 1, 2, 2, 3))
        for condition in self.random.sample(self._kinds(), count):
            rule.update(getattr(self, f"_{condition}")())
        if rule["action"] == "Accept" and self.random.random() < 0.6:
            rule["operations"] = [
                self._operation() for _ in range(self.random.choice((1, 1, 2, 3)))
            ]
        return rule

    def _kinds(self) -> list[str]:
        kinds = ["cidr", "cidr", "cidr", "source", "interface", "community", "path", "priority"]
        self.random.shuffle(kinds)
        return [*dict.fromkeys([*kinds, "type"])]

    def _cidr(self) -> Rule:
        cidr = self.random.choice(self.cidrs)
        rule: Rule = {
            "cidr": cidr,
            "matchOperator": self.random.choice(("In", "In", "NotIn", "Equal", "NotEqual")),
        }
        if self.random.random() < 0.4:
            own, width = int(cidr.partition("/")[2]), 32 if self.version == 4 else 128
            bounds = {"min": self._length(own, width), "max": self._length(own, width)}
            kept = self.random.choice((("min",), ("max",), ("min", "max"), ()))
            rule["prefixLength"] = {name: bounds[name] for name in kept}
        return rule

    def _length(self, own: int, width: int) -> int:
        lengths = (own, own + 4, own + 8, own + 12, width, max(0, own - 4))
        return min(width, self.random.choice(lengths))

    def _source(self) -> Rule:
        return {"source": "RemotePeers"}

    def _interface(self) -> Rule:
        return {"interface": self.random.choice(PATTERNS)}

    def _community(self) -> Rule:
        return {"communities": {"values": [self.random.choice(COMMUNITIES)]}}

    def _path(self) -> Rule:
        path = self.random.choice(self.paths)
        return {"asPathPrefix": list(path[: self.random.randint(1, len(path))])}

    def _priority(self) -> Rule:
        return {"priority": self.random.choice(PRIORITIES)}

    def _type(self) -> Rule:
        return {"peerType": self.random.choice(("eBGP", "iBGP"))}

    def _operation(self) -> dict[str, Any]:
        match self.random.randrange(3):
            case 0:
                return {"addCommunity": {"value": self.random.choice(COMMUNITIES)}}
            case 1:
                count = self.random.randint(1, 3)
                numbers = [self.random.choice(NUMBERS) for _ in range(count)]
                return {"prependASPath": {"prefix": numbers}}
            case _:
                return {"setPriority": {"value": self.random.choice(PRIORITIES)}}
