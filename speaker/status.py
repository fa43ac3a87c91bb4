"""What the router can tell about itself, in the shapes of `speaker.control.views`.

Everything here reads and nothing changes. Routes are told by `speaker.route_views`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address

import speaker
from fsm.capabilities import UnknownCapability
from fsm.effects import DownKind
from fsm.family import Afi
from fsm.negotiation import Negotiated
from fsm.notifications import Code, Notification
from fsm.state import State
from policy.prefix import show
from speaker.config.as_ranges import show_as_ranges
from speaker.config.conditions import Condition, Gravity
from speaker.config.problems import did_you_mean
from speaker.control.protocol import ControlError
from speaker.control.views import (
    FamilyView,
    KernelView,
    NegotiatedView,
    PeerDetailView,
    PeerView,
    RangeView,
    StateWord,
    StatusView,
)
from speaker.dynamic_peers import Range
from speaker.lacking import lacking
from speaker.peer import Peer
from speaker.signing_views import password_view, tcp_ao_view
from speaker.speaker import Speaker

NAMED = 20
"""Peers that are named where one is asked for that is not there."""


def find_peer(router: Speaker, name: str) -> Peer:
    """Find a peer by name or address, or by a BGPPeer that has this one only.

    Raises:
        ControlError: there is no such peer, or the BGPPeer has several.
    """
    for peer in router.peers.values():
        if name in (peer.plan.name, peer.plan.address):
            return peer
    several = [peer for peer in router.peers.values() if name and peer.plan.resource == name]
    if len(several) == 1:
        return several[0]
    if several:
        named = ", ".join(peer.plan.name for peer in several[:NAMED])
        more = f" and {len(several) - NAMED} more" if len(several) > NAMED else ""
        raise ControlError(
            f"BGPPeer/{name} has {len(several)} peers here: {named}{more}", "name one of them"
        )
    place = router.dynamic.find(name)
    if place is not None:
        last = place.last.get(name)
        said = "" if last is None else f"; {_ago(router.clock.wall() - last.at)} {last.sentence}"
        raise ControlError(
            f"nobody is there from {name}, which is in {place.plan.name}{said}",
            f"whoever connects from {place.plan} becomes a peer (BGPPeer/{place.plan.resource})",
        )
    known = ", ".join(list(router.peers)[:NAMED]) or "none"
    more = f" and {len(router.peers) - NAMED} more" if len(router.peers) > NAMED else ""
    meant = did_you_mean(name, _called(router))
    raise ControlError(f"there is no peer {name}{meant}", f"the peers are: {known}{more}")


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"


def _called(router: Speaker) -> Iterator[str]:
    """Give everything that peers may be called by."""
    for peer in router.peers.values():
        yield from filter(None, (peer.plan.name, peer.plan.address, peer.plan.resource))


class Status:
    """Answers questions about a running router.

    Args:
        router: who is asked about.
        pid: of the process.
        more: gives further conditions of the node.
    """

    def __init__(
        self, router: Speaker, pid: int, more: Callable[[], Iterable[Condition]] = tuple
    ) -> None:
        self._router = router
        self._pid = pid
        self._more = more

    def status(self) -> StatusView:
        """Tell of the node, its peers, its conditions, and the kernel."""
        router, plan = self._router, self._router.plan
        return {
            "node": plan.node,
            "asn": plan.asn,
            "routerID": str(IPv4Address(plan.router_id)),
            "mode": plan.mode.value,
            "version": speaker.__version__,
            "pid": self._pid,
            "since": router.started_at,
            "peers": [self.peer(router.peers[name]) for name in sorted(router.peers)],
            "ranges": [self._range(each) for each in router.dynamic.ranges.values()],
            "conditions": [
                {
                    "resource": condition.resource,
                    "severity": "error" if condition.severity.value == "error" else "warning",
                    "reason": condition.reason,
                    "message": condition.message,
                }
                for condition in self.conditions()
            ],
            "kernel": self._kernel(),
        }

    def conditions(self) -> Iterator[Condition]:
        """Give what is wrong in the resources, and what the kernel and the sessions say."""
        router = self._router
        yield from router.plan.conditions
        yield from self._more()
        yield from self._restarting()
        if router.plane.kernel is not None:
            yield from lacking(router.plan, router.plane.facts)
        yield from router.origins.conditions()
        yield from router.doorkeeper.conditions()
        yield from router.dynamic.conditions()
        for peer in router.peers.values():
            if peer.exchange is not None:
                yield from peer.exchange.conditions()

    def _restarting(self) -> Iterator[Condition]:
        """Say for whom routes wait after a restart, and for how long at the most."""
        recovery = self._router.recovery
        if not recovery.is_restarting:
            return
        now = self._router.clock.now()
        for family, names in recovery.waiting().items():
            if recovery.is_deferring(family):
                left = max(0.0, recovery.until(family) - now)
                message = (
                    f"restarting: {family} routes wait for End-of-RIB of {', '.join(names)}, "
                    f"for {left:.0f} s at the most"
                )
                node = f"Node/{self._router.plan.node}"
                yield Condition(node, Gravity.WARNING, "Restarting", message)

    def _kernel(self) -> KernelView:
        plane, resilience = self._router.plane, self._router.plan.resilience
        options, kernel = plane.options, plane.kernel
        if options is None or kernel is None:
            return {
                "enabled": False,
                "table": 0,
                "protocol": 0,
                "nexthopObjects": False,
                "nexthopCompatMode": None,
                "resilientGroups": "",
                "installed": {},
                "refused": [],
            }
        facts = plane.facts
        compat = facts.nexthop_compat
        kept = facts.resilient_groups and resilience is not None
        return {
            "enabled": True,
            "table": options.table,
            "protocol": options.protocol,
            "nexthopObjects": facts.nexthop_objects,
            "nexthopCompatMode": None if compat is None else int(compat),
            "resilientGroups": str(resilience) if kept else "",
            "installed": {afi.name.lower(): kernel.count(afi) for afi in (Afi.IPV4, Afi.IPV6)},
            "refused": [
                f"{show(afi, nlri)}: {text}"
                for (afi, nlri), text in self._router.ground.still_refused(kernel.why).items()
            ],
        }

    def _range(self, place: Range) -> RangeView:
        plan = place.plan
        return {
            "name": plan.name,
            "resource": plan.resource,
            "networks": list(map(str, plan.networks)),
            "remoteAS": show_as_ranges(plan.asns),
            "peers": self._router.dynamic.count(plan.name),
            "limit": plan.limit,
            "waiting": len(place.vestibule),
            "refused": {why.value: count for why, count in sorted(place.refused.items())},
            "last": [
                {"address": address, "at": word.at, "sentence": word.sentence}
                for address, word in place.last.items()
            ],
        }

    def peer(self, peer: Peer) -> PeerView:
        """Tell of one peer."""
        plan, session = peer.plan, peer.session
        now = self._router.clock.now()
        since = session.established_since
        explanation = peer.explanation
        view: PeerView = {
            "name": plan.name,
            "resource": plan.resource,
            "type": plan.kind.value,
            "address": plan.address,
            "port": plan.port,
            "family": "ipv6" if ":" in plan.address else "ipv4",
            "localAS": plan.local_asn,
            "remoteAS": plan.peer_asn,
            "state": _state_word(peer),
            "bgpState": _bgp_state(peer),
            "since": peer.state_since,
            "uptime": None if since is None else now - since,
            "info": _info(peer),
            "why": "" if explanation is None else str(explanation),
            "lastError": peer.last_error,
            "nextTry": None if explanation is None else explanation.next_try,
            "families": self._families(peer),
            "passive": plan.passive,
            "negotiated": _negotiated(session.negotiated),
            "password": password_view(peer),
            "tcpAO": tcp_ao_view(peer),
            "ttlSecurity": plan.ttl_security,
            "bfd": self._router.watches.word(peer),
        }
        if plan.range:
            view["range"] = plan.range
        return view

    def _families(self, peer: Peer) -> dict[str, FamilyView]:
        exchange = peer.tables
        if exchange is None:
            return {}
        waits, now = peer.restarts.helper.waits, self._router.clock.now()
        views: dict[str, FamilyView] = {}
        for family, rib in exchange.inbound.ribs.items():
            share = exchange.shares.get(family)
            views[str(family)] = {
                "received": len(rib),
                "accepted": rib.accepted,
                "advertised": 0 if share is None else share.group.count(share.member),
                "endOfRib": family in exchange.inbound.ended,
            }
            wait = waits.get(family)
            if wait is not None:
                views[str(family)]["restart"] = {
                    "phase": wait.phase.value,
                    "seconds": max(0.0, wait.until - now),
                    "stale": len(rib) if peer.exchange is None else rib.stale,
                }
        return views

    def peer_detail(self, name: str) -> PeerDetailView:
        """Tell of one peer, with the last things that happened to its session.

        Raises:
            ControlError: there is no such peer.
        """
        peer = find_peer(self._router, name)
        now, wall = self._router.clock.now(), self._router.clock.wall()
        history = [f"{entry.now + wall - now:.3f} {entry}" for entry in peer.session.history]
        return {"peer": self.peer(peer), "history": history}


def _bgp_state(peer: Peer) -> str:
    """The state in BIRD's words: a passive end that waits is Passive."""
    state = peer.session.state
    if state in (State.ACTIVE, State.IDLE) and peer.plan.passive:
        return "Passive"
    return str(state)


def _state_word(peer: Peer) -> StateWord:
    if peer.is_established:
        return "up"
    return "start" if peer.session.is_started else "down"


def _info(peer: Peer) -> str:
    """Say in few words why the session is not up: what BIRD shows behind the state."""
    explanation, session = peer.explanation, peer.session
    if explanation is None:
        return ""
    if peer.refusal:
        return "Keys cannot be set" if peer.plan.tcp_ao else "Password cannot be set"
    if not session.is_started and session.stop is not None:
        return "Administratively down"
    if session.waits_for_bfd:
        return "Waits for BFD"
    reason = session.last_attempt
    if reason is None or not explanation.cause:
        return ""
    if reason.notification is not None:
        return f"{_who(reason.kind, reason.notification)}: {_short(reason.notification)}"
    return f"{_OTHER_ENDS.get(reason.kind, reason.kind)}: {reason.text}"


_OTHER_ENDS = {DownKind.TCP: "Socket", DownKind.DROPPED: "Dropped"}


def _who(kind: DownKind, said: Notification) -> str:
    if kind is DownKind.RECEIVED:
        return "Received"
    return "Automatic shutdown" if said.code == Code.CEASE else "BGP Error"


def _short(said: Notification) -> str:
    """The innermost words of a NOTIFICATION, without its data."""
    told = said.inner or said
    return str(Notification(told.code, told.subcode)).rpartition("/")[2]


def _negotiated(negotiated: Negotiated | None) -> NegotiatedView | None:
    if negotiated is None:
        return None
    view: NegotiatedView = {
        "holdTime": negotiated.hold_time,
        "keepaliveTime": int(negotiated.keepalive_time),
        "routerID": str(IPv4Address(negotiated.peer_router_id)),
        "families": sorted(map(str, negotiated.families)),
        "fourOctetAS": negotiated.four_octet_as,
        "routeRefresh": negotiated.route_refresh,
        "enhancedRefresh": negotiated.enhanced_route_refresh,
        "extendedMessages": negotiated.extended_message,
        "extendedNextHop": [str(family) for family, _ in sorted(negotiated.extended_next_hop)],
        "gracefulRestart": negotiated.graceful_restart is not None,
        "addPath": _several_paths(negotiated),
        "peerName": negotiated.peer_hostname,
        "peerSoftware": negotiated.peer_software,
    }
    if negotiated.role is not None:
        view["role"] = str(negotiated.role)
    if negotiated.peer_role is not None:
        view["peerRole"] = str(negotiated.peer_role)
    unknown = [
        f"{capability.code} {capability.data.hex()}".rstrip()
        for capability in negotiated.peer_capabilities
        if isinstance(capability, UnknownCapability)
    ]
    if unknown:
        view["unknown"] = unknown
    return view


def _several_paths(negotiated: Negotiated) -> dict[str, str]:
    """Say in which families path identifiers travel, and which way (RFC 7911 §4)."""
    receive, send = negotiated.add_path_receive, negotiated.add_path_send
    return {
        str(family): "both" if family in receive & send else _direction(family in receive)
        for family in sorted(receive | send)
    }


def _direction(receives: bool) -> str:
    return "receive" if receives else "send"
