"""A node without sessions, whose plan judges routes.

A route comes as a `Heard`: attributes in normal form, as an UPDATE would have them, and what the
kernel would say of the next hop. `TrialSession.judge` runs it through intake and import policy,
`TrialSession.tell` says whether and how a path would be told to that peer, and `TrialNode.local`
makes the paths of routes that are no peer's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family
from policy.attributes import PathAttributes, local_attributes
from policy.calico import INSTALLED, KernelAction, kernel_metric, kernel_verdicts
from policy.filters import Filter
from policy.outbound import GroupKey, Outbound, export_partition
from policy.path import Hop, NextHop, Path, Source, SourceKind, stays_out
from policy.prefix import Nlri
from policy.ranking import DecisionOptions
from policy.rules import Scope, Verdict
from policy.vrps import VrpTable
from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan
from speaker.config.ranges import find_range
from speaker.errors import ConfigError
from speaker.inquiry.reasons import Arrival, InKernel, Telling
from speaker.rib import session_rules
from speaker.rib.attribute_table import AttributeTable, Interned
from speaker.rib.import_policy import ImportPolicy, take_all
from speaker.rib.session_rules import PlanRules, PresumedEnd
from speaker.rib.would_be import Sending, Unsent

FAMILIES = {Afi.IPV4: IPV4_UNICAST, Afi.IPV6: IPV6_UNICAST}

_OWN_ROUTE = Verdict(accepted=False, reason=Telling.OWN)
_NO_FILTER = Verdict(accepted=True, reason=Arrival.NO_FILTER)


@dataclass(frozen=True, slots=True)
class Heard:
    """Attributes as they come in, and where their next hop leads.

    Attributes:
        raw: attribute octets in normal form (`policy.attributes.PathAttributes`).
        next_hop: 4 or 16 octets.
        interface: that leads to the next hop; empty where it does not matter.
    """

    raw: bytes
    next_hop: bytes
    link_local: bytes = b""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a route that a peer tells.

    Attributes:
        path: as it is used; None for a route that is not.
        came: the path that rules were asked about; None where the attributes themselves were
            refused.
        verdict: of the rules, or the reason why they were not asked.
    """

    path: Path | None
    came: Path | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Sent:
    """Whether a peer is told a path.

    Attributes:
        out: what it is told; None where it is told nothing.
        verdict: of the rules.
    """

    out: Outbound | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Installed:
    """Whether a best path goes into the kernel.

    Attributes:
        metric: with which it does; 0 leaves it to the kernel.
    """

    action: KernelAction
    reason: str
    metric: int = 0


class _Ways:
    """Next hops that are all reached through one interface."""

    def __init__(self, interface: str) -> None:
        self._hops = (Hop(1, b"", interface),) if interface else ()
        self._known: dict[tuple[bytes, bytes], NextHop] = {}

    def intern(
        self, address: bytes, scope: int = 0, link_local: bytes = b"", peer: bytes = b""
    ) -> NextHop:
        """Give the one object of an address."""
        key = (address, link_local)
        if key not in self._known:
            self._known[key] = NextHop(address, hops=self._hops)
        return self._known[key]

    def is_own(self, address: bytes, scope: int = 0) -> bool:
        """Leave it to the addresses that the session knows of."""
        return False


class TrialSession:
    """One peer of a node, as if its session were up.

    Args:
        node: the node's plan.
        plan: the peer's.
        rules: of the node.
    """

    def __init__(self, node: Plan, plan: PeerPlan, rules: PlanRules) -> None:
        self.plan = plan
        self._rules = rules
        # Attributes come in normal form, whatever the session would have.
        self._negotiated = replace(session_rules.presumed(plan), four_octet_as=True)
        self._end = PresumedEnd(node, plan)
        options = DecisionOptions(node.always_compare_med)
        self.source = session_rules.source(plan, self._negotiated, options)
        self._intake = session_rules.intake(
            plan, self._negotiated, self.source, node.router_id, self._end
        )
        self._tables: dict[str, AttributeTable] = {}
        self._policies: dict[Family, ImportPolicy] = {}
        self._keys: dict[Family, GroupKey] = {}
        self._sendings: dict[Family, Sending] = {}

    def intern(self, heard: Heard, family: Family) -> Interned:
        """Find out what attributes mean, and whether they may be used at all."""
        table = self._table(heard.interface)
        is_classic = family.afi is Afi.IPV4 and len(heard.next_hop) == 4
        beside = b"" if is_classic else heard.next_hop + heard.link_local
        path = table.lookup((heard.raw, beside) if beside else heard.raw)
        path = path or table.intern_usual(heard.raw, beside)
        if path is not None:
            return Interned(path, "", ())
        if is_classic:
            return table.intern_classic(heard.raw)
        return table.intern_multiprotocol(heard.raw, heard.next_hop, heard.link_local)

    def _table(self, interface: str) -> AttributeTable:
        if interface not in self._tables:
            ways = _Ways(interface)
            self._tables[interface] = AttributeTable(self._intake, ways, _unnoticed)
        return self._tables[interface]

    def _resolve(self, attributes: PathAttributes) -> NextHop:
        """Find where a next hop leads that a rule has set: its interface is not known."""
        return self._table("").next_hop_of(attributes)

    def policy(self, family: Family) -> ImportPolicy:
        """Give the way in."""
        if family not in self._policies:
            kind = session_rules.peer_type(self._negotiated)
            found = session_rules.import_policy(family, self.plan, kind, self._rules, self._resolve)
            self._policies[family] = take_all() if found is None else found
        return self._policies[family]

    def key(self, family: Family) -> GroupKey:
        """Say what decides what the peer hears."""
        if family not in self._keys:
            real = session_rules.presumed(self.plan)
            self._keys[family] = session_rules.group_key(
                family, self.plan, real, self._rules, self._end
            )
        return self._keys[family]

    def sending(self, family: Family) -> Sending:
        """Give what makes the attributes that the peer is sent."""
        if family not in self._sendings:
            self._sendings[family] = Sending(self.key(family), self.source.address)
        return self._sendings[family]

    def judge(self, heard: Heard, family: Family, nlri: Nlri) -> Judged:
        """Judge a route that the peer tells.

        Raises:
            UpdateMessageError: the attributes would reset the session.
        """
        interned = self.intern(heard, family)
        came = interned.path
        if came is None:
            return Judged(None, None, Verdict(accepted=False, reason=interned.why_not))
        policy = self.policy(family)
        [(used, _)] = policy.apply(came, [nlri])
        return Judged(used, came, chain_verdict(policy.chain, nlri, came, policy.scope))

    def tell(self, path: Path, family: Family, nlri: Nlri) -> Sent:
        """Say whether the peer is told a path, and what."""
        if path.source is self.source:
            return Sent(None, _OWN_ROUTE)
        [(verdict, _)] = export_partition([nlri], path, self.key(family))
        if not verdict.accepted:
            return Sent(None, verdict)
        out = self.sending(family).make(path, verdict)
        if isinstance(out, Unsent):
            return Sent(None, Verdict(accepted=False, reason=out))
        return Sent(out, verdict)

    def forget(self) -> None:
        """Let go of all paths that were made."""
        self._tables.clear()
        for policy in self._policies.values():
            policy.sweep(set())
            policy.forget_former()
        for sending in self._sendings.values():
            sending.forget()


def _unnoticed(path: Path) -> None:
    """Nobody decides between paths here."""


def chain_verdict(chain: Filter | None, nlri: Nlri, path: Path, scope: Scope) -> Verdict:
    """Ask a chain of rules about one prefix."""
    if chain is None:
        return _NO_FILTER
    [(verdict, _)] = chain.partition([nlri], path, scope)
    return verdict


class TrialNode:
    """A node that judges routes.

    Args:
        plan: of the node.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rules = PlanRules(plan)
        peers = dict(plan.peers)
        for each in plan.ranges.values():
            peers |= each.examples()
        self.sessions = {name: TrialSession(plan, peer, self.rules) for name, peer in peers.items()}
        self._sources = {
            kind: Source(f"{kind.value}1", kind, router_id=plan.router_id, asn=plan.asn)
            for kind in (SourceKind.STATIC, SourceKind.DIRECT, SourceKind.KERNEL)
        }

    def hear(self, vrps: Iterable[tuple[Afi, Nlri, int, int]]) -> None:
        """Let RPKI say this from now on, and nothing else.

        Args:
            vrps: family, prefix, longest length, and AS of each.
        """
        tables = {afi: VrpTable(afi) for afi in self.rules.said}
        for afi, nlri, max_length, asn in vrps:
            tables[afi].add(nlri, max_length, asn)
        for afi, table in tables.items():
            self.rules.said[afi].put("cases", table)

    def session(self, name: str) -> TrialSession:
        """Find a session by its name, its peer's address, or its BGPPeer.

        From a range (`speaker.config.ranges`) any address is a peer's, in an AS that it may have.

        Raises:
            ConfigError: there is none, or a BGPPeer has several.
        """
        found = [
            session
            for session in self.sessions.values()
            if name in (session.plan.name, session.plan.address, session.plan.resource)
        ]
        if len(found) == 1:
            return found[0]
        dynamic = None if found else self._of_range(name)
        if dynamic is not None:
            return dynamic
        known = ", ".join(self.sessions) or "none"
        if found:
            several = ", ".join(session.plan.name for session in found)
            raise ConfigError(
                f"{name} has several sessions on node {self.plan.node}", f"name one of {several}"
            )
        raise ConfigError(f"node {self.plan.node} has no peer {name}", f"its sessions are: {known}")

    def _of_range(self, address: str) -> TrialSession | None:
        try:
            place = find_range(self.plan.ranges.values(), address)
        except ValueError:
            return None
        if place is None:
            return None
        plan = place.plan_of(address, place.template_of(address).peer_asn)
        if plan is None:
            return None
        return self.sessions.setdefault(plan.name, TrialSession(self.plan, plan, self.rules))

    def local(
        self,
        kind: SourceKind,
        next_hop: bytes = b"",
        *,
        interface: str = "",
        metric: int | None = None,
        blackhole: bool = False,
    ) -> Path:
        """Make the path of a route of the node's own (`speaker.local_routes`)."""
        hops = (Hop(1, next_hop, interface),) if interface or next_hop else ()
        return Path(
            local_attributes(next_hop),
            self._sources[kind],
            NextHop(next_hop, hops=hops),
            metric=metric,
            blackhole=blackhole,
        )

    def own_routes(self, family: Family) -> dict[Path, list[Nlri]]:
        """Give what the plan has the node announce by itself (`speaker.originations`)."""
        by_way: dict[tuple[bytes, bool], list[Nlri]] = {}
        for nlri, way in self.plan.own_routes(family).items():
            by_way.setdefault(way, []).append(nlri)
        return {
            self.local(SourceKind.STATIC, via, blackhole=blackhole): nlris
            for (via, blackhole), nlris in by_way.items()
        }

    def kernel(self, path: Path, family: Family, nlri: Nlri) -> Installed:
        """Say whether a path goes into the kernel (`speaker.fib_sink`)."""
        policy = self.rules.builtin(family)
        if policy is None:
            found = INSTALLED
            metric = 0
        else:
            [(found, _)] = kernel_verdicts(policy, [nlri], path)
            metric = kernel_metric(path, policy.normal_priority)
        if stays_out(path) and found.action is not KernelAction.REJECT:
            return Installed(KernelAction.REJECT, InKernel.ANNOUNCED_ONLY)
        return Installed(found.action, found.reason, metric)

    def forget(self) -> None:
        """Let go of all paths that were made."""
        for session in self.sessions.values():
            session.forget()
