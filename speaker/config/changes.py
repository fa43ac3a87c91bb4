"""What has to be done to get from one plan to another.

`changes` compares two plans of a node and gives a list of `Change` in the order in which they are
to be carried out: what goes, what belongs to the node as a whole, what happens to the peers that
stay, what comes. What a changed field of a peer costs is declared on the field
(`speaker.config.peerplan`). Since everything here is pure, the same list tells beforehand what an
edit would do.

A peering that only changes its name, because a BGPPeer took the place of the mesh for instance,
is the same session: `RenamePeer`. Without it, moving a cluster from mesh to reflectors would
close sessions that both configurations have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeAlias, TypeVar

from fsm.family import Family
from policy.calico import BuiltinPolicy
from policy.prefix import show
from policy.resilience import Resilience
from speaker.config.bfd import InterfaceTimers
from speaker.config.caches import CachePlan
from speaker.config.peerplan import OnChange, PeerPlan
from speaker.config.plan import Origination, Plan, PolicyMode, Severity, StaticRoute
from speaker.config.ranges import PeerRange, dynamic_plans

_T = TypeVar("_T")

ON_CHANGE: dict[str, OnChange] = {
    field.name: field.metadata["on_change"] for field in fields(PeerPlan)
}
"""What a change of each field of a peer's plan costs."""


@dataclass(frozen=True, slots=True)
class AddPeer:
    """A session is to be opened."""

    plan: PeerPlan

    @property
    def name(self) -> str:
        """Name of the peer."""
        return self.plan.name

    def describe(self) -> str:
        """Say it in one sentence."""
        way = "waits for" if self.plan.passive else "connects to"
        return f"adds {self.name}: {way} {self.plan.address} in AS {self.plan.peer_asn}"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """A session is to be closed for good (RFC 4486 subcode 3, Peer De-configured)."""

    name: str

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"removes {self.name}"


@dataclass(frozen=True, slots=True)
class RenamePeer:
    """A session goes on under another name; nothing is sent.

    Attributes:
        name: the old name.
        plan: under the new name; further changes name it by that.
    """

    name: str
    plan: PeerPlan

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"keeps the session of {self.name} as {self.plan.name}"


@dataclass(frozen=True, slots=True)
class KeepPeer:
    """A session goes on though the resources ask for it no more; nothing is sent."""

    name: str

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"keeps the session of {self.name} until a BGPPeer takes its place"


@dataclass(frozen=True, slots=True)
class _PeerStays:
    """A peer of both plans whose own plan changed.

    Attributes:
        plan: the new one.
        fields: what changed, as named in `PeerPlan`.
    """

    plan: PeerPlan
    fields: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the peer."""
        return self.plan.name


@dataclass(frozen=True, slots=True)
class ResetPeer(_PeerStays):
    """A session is to be closed and opened again (RFC 4486 subcode 6); the reason is in words."""

    reason: str

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"resets the session of {self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RefilterIn(_PeerStays):
    """What a peer told us is to be judged anew; its session stays."""

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"judges anew what {self.name} advertises: {_words(self.fields)}; no reset"


@dataclass(frozen=True, slots=True)
class RefilterOut(_PeerStays):
    """What we tell a peer is to be judged anew; its session stays."""

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"judges anew what is advertised to {self.name}: {_words(self.fields)}; no reset"


@dataclass(frozen=True, slots=True)
class Regroup(_PeerStays):
    """A peer moves to another export group and hears everything again; its session stays."""

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"advertises everything to {self.name} again: {_words(self.fields)}; no reset"


@dataclass(frozen=True, slots=True)
class Rebalance(_PeerStays):
    """Kernel routes through a peer's next hops and others share the traffic anew."""

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"shares traffic anew with {self.name}: {_words(self.fields)}; no reset"


@dataclass(frozen=True, slots=True)
class UpdatePeer(_PeerStays):
    """A peer's plan is to be replaced; what changed shows at the next session, or never."""

    def describe(self) -> str:
        """Say it in one sentence."""
        later = any(ON_CHANGE[name] & OnChange.NEXT_SESSION for name in self.fields)
        when = "from its next session on" if later else "at once"
        return f"{self.name} takes over {_words(self.fields)} {when}; no reset"


@dataclass(frozen=True, slots=True)
class SetIdentity:
    """The node's AS, router id or cluster id; the resets it costs stand beside it."""

    asn: int
    router_id: int
    cluster_id: int | None

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"changes AS, router id or cluster id of the node (AS {self.asn})"


@dataclass(frozen=True, slots=True)
class SetListen:
    """Where connections are accepted; empty addresses are all.

    Attributes:
        for_workloads: addresses besides that the node may not have yet.
    """

    port: int
    addresses: tuple[str, ...]
    for_workloads: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say it in one sentence."""
        where = ", ".join((*self.addresses, *self.for_workloads))
        return f"listens on port {self.port} of {where or 'all addresses'}"


@dataclass(frozen=True, slots=True)
class SetMode:
    """Calico's policy or BGP's own; the policies of all families follow."""

    mode: PolicyMode

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"changes the policy to {self.mode.value}"


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """The built-in policy of one family; exports and kernel routes are judged anew."""

    family: Family
    policy: BuiltinPolicy

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"judges all {self.family} routes anew by the changed pools, blocks and settings"


@dataclass(frozen=True, slots=True)
class SetOriginations:
    """What the node announces as its own: the whole, and the difference."""

    originated: tuple[Origination, ...]
    added: tuple[Origination, ...]
    removed: tuple[Origination, ...]

    def describe(self) -> str:
        """Say it in one sentence."""
        return "announces " + _difference(
            [show(item.family.afi, item.nlri) for item in self.added],
            [show(item.family.afi, item.nlri) for item in self.removed],
        )


@dataclass(frozen=True, slots=True)
class SetStaticRoutes:
    """The static routes: the whole, and the difference."""

    routes: tuple[StaticRoute, ...]
    added: tuple[StaticRoute, ...]
    removed: tuple[StaticRoute, ...]

    def describe(self) -> str:
        """Say it in one sentence."""
        return "installs " + _difference(
            [_show_route(route) for route in self.added],
            [_show_route(route) for route in self.removed],
        )


@dataclass(frozen=True, slots=True)
class SetIgnoredInterfaces:
    """Interfaces whose subnets do not count as connected."""

    patterns: tuple[str, ...]

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"ignores the interfaces {', '.join(self.patterns) or 'no more'}"


@dataclass(frozen=True, slots=True)
class SetDecision:
    """How the best of several paths is chosen; all are compared anew."""

    always_compare_med: bool

    def describe(self) -> str:
        """Say it in one sentence."""
        where = "between all ASes" if self.always_compare_med else "within each neighbouring AS"
        return f"chooses all best paths anew: MED is compared {where}"


@dataclass(frozen=True, slots=True)
class SetResilience:
    """How flows are kept when next hops that share traffic come and go.

    Attributes:
        replaces: whether every kernel route is replaced in place; else only timers differ.
    """

    resilience: Resilience | None
    replaces: bool

    def describe(self) -> str:
        """Say it in one sentence."""
        how = "no more" if self.resilience is None else f"by groups of {self.resilience}"
        cost = "replaces kernel routes in place" if self.replaces else "changes groups in place"
        return f"keeps flows {how}; {cost}"


@dataclass(frozen=True, slots=True)
class SetCaches:
    """Which caches are asked for the validity of routes, by name: before, and from now on."""

    before: Mapping[str, CachePlan]
    caches: Mapping[str, CachePlan]

    def describe(self) -> str:
        """Say it in one sentence."""
        return "asks caches of RPKI: " + ", ".join(self._differences())

    def _differences(self) -> Iterator[str]:
        for name, cache in self.caches.items():
            former = self.before.get(name)
            if former is None:
                yield f"also {name} at {cache.place}"
            elif former.place != cache.place:
                yield f"{name} at {cache.place}, no longer at {former.place}"
            elif former != cache:
                yield f"{name} with other intervals or limits"
        yield from (f"no longer {name}" for name in self.before if name not in self.caches)


@dataclass(frozen=True, slots=True)
class SetRanges:
    """From where peers are accepted that nobody names, by name: before, and from now on."""

    before: Mapping[str, PeerRange]
    ranges: Mapping[str, PeerRange]

    def describe(self) -> str:
        """Say it in one sentence."""
        return "accepts peers " + "; ".join(self._differences())

    def _differences(self) -> Iterator[str]:
        for name, each in self.ranges.items():
            former = self.before.get(name)
            if former is None or str(former) != str(each):
                yield f"from {each} (BGPPeer/{each.resource})"
            elif former != each:
                yield f"of BGPPeer/{each.resource} with other settings"
        for name, each in self.before.items():
            if name not in self.ranges:
                yield f"no longer from {', '.join(map(str, each.networks))}"


@dataclass(frozen=True, slots=True)
class SetDeferral:
    """How long a restart waits for peers at the most; one that is under way too."""

    seconds: float

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"waits for peers after a restart for {self.seconds:g} s at the most"


@dataclass(frozen=True, slots=True)
class SetBfdTimers:
    """How peers on which interfaces are watched by BFD."""

    timers: tuple[InterfaceTimers, ...]

    def describe(self) -> str:
        """Say it in one sentence."""
        patterns = ", ".join(each.pattern for each in self.timers)
        where = f"on {patterns}" if patterns else "everywhere to its defaults"
        return f"sets the timers of BFD {where}; no session notices"


@dataclass(frozen=True, slots=True)
class SetLogSeverity:
    """How much is logged."""

    severity: Severity

    def describe(self) -> str:
        """Say it in one sentence."""
        return f"logs from {self.severity.value} on"


PeerChange: TypeAlias = (
    AddPeer
    | RemovePeer
    | RenamePeer
    | KeepPeer
    | ResetPeer
    | RefilterIn
    | RefilterOut
    | Regroup
    | Rebalance
    | UpdatePeer
)
Change: TypeAlias = (
    PeerChange
    | SetIdentity
    | SetListen
    | SetMode
    | SetPolicy
    | SetOriginations
    | SetStaticRoutes
    | SetIgnoredInterfaces
    | SetDecision
    | SetResilience
    | SetCaches
    | SetRanges
    | SetDeferral
    | SetBfdTimers
    | SetLogSeverity
)


def with_standing(new: Plan, old: Plan, up: Collection[str]) -> Plan:
    """Give the plan that follows another: sessions that stand and may go on are in it.

    A node that becomes a route reflector leaves the mesh before BGPPeers give it sessions of
    another kind. Its mesh sessions go on until then, so that no route is lost on the way.

    Args:
        new: as the resources say.
        old: the plan in force.
        up: names of the peers whose sessions stand.
    """
    kept = {name: peer for name, peer in new.standing.items() if name in old.peers and name in up}
    if not kept:
        return new
    return replace(new, peers=dict(sorted({**new.peers, **kept}.items())))


def with_dynamic(new: Plan, old: Plan) -> Plan:
    """Give the plan that follows another: peers of its ranges that are there are in it.

    Args:
        new: as the resources say, or with peers besides that somebody names.
        old: the plan in force.
    """
    kept = dynamic_plans(new.ranges.values(), old.peers.values(), new.peers.values())
    if not kept:
        return new
    return replace(new, peers=dict(sorted({**new.peers, **kept}.items())))


def changes(old: Plan, new: Plan) -> list[Change]:
    """Give what has to be done, in this order, to get from one plan to another."""
    renamed = _renamed(old, new)
    removed = [name for name in old.peers if name not in new.peers and name not in renamed]
    stays = {
        renamed.get(name, name): peer
        for name, peer in old.peers.items()
        if name in new.peers or name in renamed
    }
    found: list[Change] = [RemovePeer(name) for name in removed]
    found += [RenamePeer(name, new.peers[renamed[name]]) for name in renamed]
    found += [KeepPeer(name) for name in stays if name in new.standing.keys() - old.standing.keys()]
    found += _of_the_node(old, new)
    anew = old.router_id != new.router_id
    for name, before in stays.items():
        after = new.peers[name]
        # What a session is called was said by RenamePeer.
        same = before if before.name == name else replace(before, name=name)
        if same.range and not after.range:
            # Somebody names now who connected from a range: where he would be dialled is no matter.
            same = replace(same, port=after.port)
        if anew or same != after:
            found += _of_a_peer(same, after, router_id_changed=anew)
    found += [AddPeer(peer) for name, peer in new.peers.items() if name not in stays]
    return found


def _renamed(old: Plan, new: Plan) -> dict[str, str]:
    """Match peers that go with peers that come, by address and port."""
    coming = {
        (peer.address, port): name
        for name, peer in new.peers.items()
        if name not in old.peers
        for port in (peer.port, None)
    }
    going = {
        name: (peer.address, None if peer.range else peer.port)
        for name, peer in old.peers.items()
        if name not in new.peers
    }
    return {name: coming[key] for name, key in going.items() if key in coming}


def _of_the_node(old: Plan, new: Plan) -> Iterator[Change]:
    if (old.asn, old.router_id, old.cluster_id) != (new.asn, new.router_id, new.cluster_id):
        yield SetIdentity(new.asn, new.router_id, new.cluster_id)
    yield from _of_the_run(old, new)
    if old.always_compare_med != new.always_compare_med:
        yield SetDecision(new.always_compare_med)
    if old.resilience != new.resilience:
        buckets = {plan.resilience and plan.resilience.buckets for plan in (old, new)}
        yield SetResilience(new.resilience, replaces=len(buckets) == 2)
    if old.ignored_interfaces != new.ignored_interfaces:
        yield SetIgnoredInterfaces(new.ignored_interfaces)
    if old.mode != new.mode:
        yield SetMode(new.mode)
    for family, policy in new.policies.items():
        if old.mode != new.mode or old.policies.get(family) != policy:
            yield SetPolicy(family, policy)
    yield from _of_routes(old, new)


def _of_the_run(old: Plan, new: Plan) -> Iterator[Change]:
    listen = SetListen(new.listen_port, new.listen_addresses, new.workload_addresses)
    if SetListen(old.listen_port, old.listen_addresses, old.workload_addresses) != listen:
        yield listen
    if old.ranges != new.ranges:
        yield SetRanges(old.ranges, new.ranges)
    if old.log_severity != new.log_severity:
        yield SetLogSeverity(new.log_severity)
    if old.selection_deferral != new.selection_deferral:
        yield SetDeferral(new.selection_deferral)


def _of_routes(old: Plan, new: Plan) -> Iterator[Change]:
    routes = (
        _minus(new.static_routes, old.static_routes),
        _minus(old.static_routes, new.static_routes),
    )
    if any(routes):
        yield SetStaticRoutes(new.static_routes, *routes)
    originated = _minus(new.originated, old.originated), _minus(old.originated, new.originated)
    if any(originated):
        yield SetOriginations(new.originated, *originated)
    if old.caches != new.caches:
        yield SetCaches(old.caches, new.caches)
    if old.bfd != new.bfd:
        yield SetBfdTimers(new.bfd)


def _of_a_peer(old: PeerPlan, new: PeerPlan, *, router_id_changed: bool) -> Iterator[Change]:
    changed = tuple(name for name in ON_CHANGE if getattr(old, name) != getattr(new, name))
    if router_id_changed:
        # RFC 4271 §4.2: the BGP Identifier is the same on every session, and fixed by its OPEN.
        yield ResetPeer(new, changed, "the node's router id changed")
        return
    needed = OnChange.NOTHING
    for name in changed:
        needed |= _cost(name, old)
    if needed & OnChange.RESET:
        reason = ", ".join(
            _change_in_words(name, old, new)
            for name in changed
            if _cost(name, old) & OnChange.RESET
        )
        yield ResetPeer(new, changed, reason)
        return
    for what, make in (
        (OnChange.REFILTER_IN, RefilterIn),
        (OnChange.REFILTER_OUT, RefilterOut),
        (OnChange.REGROUP, Regroup),
        (OnChange.REBALANCE, Rebalance),
    ):
        if needed & what:
            yield make(new, tuple(name for name in changed if ON_CHANGE[name] & what))
    rest = tuple(name for name in changed if ON_CHANGE[name] in _QUIET)
    if rest:
        yield UpdatePeer(new, rest)


SIGNATURES = ("password", "tcp_ao")
"""The fields by which a session is signed: the first one resets a session that has none."""

_QUIET = (OnChange.NOTHING, OnChange.NEXT_SESSION)


def _cost(name: str, old: PeerPlan) -> OnChange:
    """Give what a change of a field costs.

    A session that stands may go on by its old password or keys, but not without any where they are
    asked for.
    """
    if name in SIGNATURES and not getattr(old, name):
        return OnChange.RESET
    return ON_CHANGE[name]


def _change_in_words(name: str, old: PeerPlan, new: PeerPlan) -> str:
    """Say what changed; values are shown where they are short and no secret."""
    before, after = getattr(old, name), getattr(new, name)
    if isinstance(before, int | str) and isinstance(after, int | str):
        return f"{_words([name])} {before} → {after}"
    return _words([name])


def _words(names: Iterable[str]) -> str:
    return ", ".join(map(_word, names))


def _word(name: str) -> str:
    return name.replace("_", " ").replace("asn", "AS").replace("tcp ao", "TCP-AO")


def _minus(these: tuple[_T, ...], those: tuple[_T, ...]) -> tuple[_T, ...]:
    taken = frozenset(those)
    return tuple(item for item in these if item not in taken)


def _difference(added: list[str], removed: list[str]) -> str:
    parts = []
    if added:
        parts.append("also " + ", ".join(added))
    if removed:
        parts.append("no longer " + ", ".join(removed))
    return " and ".join(parts)


def _show_route(route: StaticRoute) -> str:
    prefix = show(route.family.afi, route.nlri)
    return f"{prefix} via {route.via}" if route.via else f"{prefix} blackhole"
