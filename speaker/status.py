"""What the router can tell about itself, in the shapes of `speaker.control.views`.

Everything here reads and nothing changes. Answers that may be long (routes) come in slices, so that
asking never keeps a session waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import Any

import speaker
from fsm.effects import DownKind
from fsm.events import Side
from fsm.family import Afi, Family
from fsm.negotiation import Negotiated
from fsm.notifications import Code, Notification
from fsm.session import HistoryEntry
from fsm.state import State
from policy.attributes import Attribute, Origin
from policy.decision import Reason, explain
from policy.path import Path, SourceKind
from policy.prefix import Nlri, parse_prefix, show, show_address
from speaker.config.conditions import Condition
from speaker.control.protocol import ControlError
from speaker.control.views import (
    FamilyView,
    KernelView,
    NegotiatedView,
    PeerDetailView,
    PeerView,
    RoutesView,
    RouteView,
    StateWord,
    StatusView,
)
from speaker.peer import Peer
from speaker.speaker import Speaker
from speaker.wire.describe import as_path_text, describe

CHUNK = 512
"""Routes that are told at once."""


class Status:
    """Answers questions about a running router.

    Args:
        router: who is asked about.
        pid: of the process.
    """

    def __init__(self, router: Speaker, pid: int) -> None:
        self._router = router
        self._pid = pid

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
            "peers": [self.peer(peer) for peer in router.peers.values()],
            "conditions": [
                {
                    "resource": condition.resource,
                    "severity": "error" if condition.severity.value == "error" else "warning",
                    "reason": condition.reason,
                    "message": condition.message,
                }
                for condition in self._conditions()
            ],
            "kernel": self._kernel(),
        }

    def _conditions(self) -> Iterator[Condition]:
        yield from self._router.plan.conditions
        for peer in self._router.peers.values():
            if peer.exchange is not None:
                yield from peer.exchange.limits.conditions()

    def _kernel(self) -> KernelView:
        router = self._router
        options, kernel = router.kernel_options, router.kernel
        if options is None or kernel is None:
            return {"enabled": False, "table": 0, "protocol": 0, "installed": {}, "refused": []}
        return {
            "enabled": True,
            "table": options.table,
            "protocol": options.protocol,
            "installed": {afi.name.lower(): kernel.count(afi) for afi in (Afi.IPV4, Afi.IPV6)},
            "refused": [
                f"{show(afi, nlri)}: {text}"
                for (afi, nlri), text in router.ground.still_refused(kernel.why).items()
            ],
        }

    def peer(self, peer: Peer) -> PeerView:
        """Tell of one peer."""
        plan, session = peer.plan, peer.session
        now = self._router.clock.now()
        since = session.established_since
        explanation = peer.explanation
        return {
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
        }

    def _families(self, peer: Peer) -> dict[str, FamilyView]:
        exchange = peer.exchange
        if exchange is None:
            return {}
        views: dict[str, FamilyView] = {}
        for family, rib in exchange.inbound.ribs.items():
            share = exchange.shares.get(family)
            views[str(family)] = {
                "received": len(rib.received),
                "accepted": len(rib.paths),
                "advertised": 0 if share is None else share.group.count(share.member),
                "endOfRib": family in exchange.inbound.ended,
            }
        return views

    def peer_detail(self, name: str) -> PeerDetailView:
        """Tell of one peer, with the last things that happened to its session.

        Raises:
            ControlError: there is no such peer.
        """
        for peer in self._router.peers.values():
            if name in (peer.plan.name, peer.plan.address, peer.plan.resource):
                now, wall = self._router.clock.now(), self._router.clock.wall()
                history = [_happened(entry, wall - now) for entry in peer.session.history]
                return {"peer": self.peer(peer), "history": history}
        known = ", ".join(self._router.peers) or "none"
        raise ControlError(f"there is no peer {name}", f"the peers are: {known}")

    def routes(self, request: dict[str, Any]) -> Iterator[RoutesView]:
        """Tell of routes, in chunks.

        Args:
            request: ``prefix``, ``peer``, ``all``, ``family`` and ``limit``, each optional.

        Raises:
            ControlError: the prefix is none, or there is no such peer.
        """
        chosen = self._chosen(request)
        words = bool(request.get("all"))
        limit = int(request.get("limit") or 0)
        chunk: list[RouteView] = []
        count = 0
        for family, nlri in chosen:
            for view in self._paths_of(family, nlri, request.get("peer"), words=words):
                chunk.append(view)
                count += 1
            if limit and count >= limit:
                break
            if len(chunk) >= CHUNK:
                yield {"routes": chunk}
                chunk = []
        yield {"routes": chunk}

    def _chosen(self, request: dict[str, Any]) -> Iterable[tuple[Family, Nlri]]:
        router = self._router
        text = request.get("prefix")
        if text:
            try:
                afi, nlri = parse_prefix(text)
            except ValueError as error:
                raise ControlError(f"{text} is no prefix: {error}") from None
            return [(family, nlri) for family in router.loc_ribs if family.afi == afi]
        word = request.get("family")
        families = [f for f in router.loc_ribs if word in (None, "", f.afi.name.lower(), str(f))]
        return [(family, nlri) for family in families for nlri in router.loc_ribs[family].known()]

    def _paths_of(
        self, family: Family, nlri: Nlri, peer: str | None, *, words: bool
    ) -> Iterator[RouteView]:
        loc_rib = self._router.loc_ribs[family]
        candidates = loc_rib.candidates(nlri)
        best = loc_rib.best.get(nlri)
        for path, reason in explain(candidates):
            if peer in (None, "", path.source.name):
                yield self._route(family, nlri, path, best, reason, words=words)

    def _route(
        self,
        family: Family,
        nlri: Nlri,
        path: Path,
        best: Path | None,
        reason: Reason,
        *,
        words: bool,
    ) -> RouteView:
        attributes = path.attributes
        is_best = path is best
        return {
            "prefix": show(family.afi, nlri),
            "family": "ipv4" if family.afi == Afi.IPV4 else "ipv6",
            "best": is_best,
            "peer": path.source.name,
            "nextHop": show_address(attributes.next_hop) if attributes.next_hop else "",
            "interface": path.next_hop.interface,
            "asPath": as_path_text(attributes),
            "origin": Origin(attributes.origin).name,
            "localPref": attributes.local_pref,
            "med": attributes.med,
            "communities": [f"{c >> 16}:{c & 0xFFFF}" for c in sorted(attributes.communities)],
            "largeCommunities": [
                ":".join(map(str, c)) for c in sorted(attributes.large_communities)
            ],
            "preference": path.preference,
            "reason": "best" if is_best else reason.value,
            "kernel": self._in_kernel(family, nlri, path) if is_best else "",
            "attributes": describe(attributes) if words else {},
        }

    def _in_kernel(self, family: Family, nlri: Nlri, path: Path) -> str:
        router = self._router
        if router.fib is None:
            return ""
        if path.source.kind in (SourceKind.KERNEL, SourceKind.DIRECT):
            return "the kernel's own"
        why_not = router.fib.why_not(family.afi, nlri)
        return f"not installed: {why_not}" if why_not else "installed"


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
    if not session.is_started and session.stop is not None:
        return "Administratively down"
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
    return {
        "holdTime": negotiated.hold_time,
        "keepaliveTime": int(negotiated.keepalive_time),
        "routerID": str(IPv4Address(negotiated.peer_router_id)),
        "families": sorted(map(str, negotiated.families)),
        "fourOctetAS": negotiated.four_octet_as,
        "routeRefresh": negotiated.route_refresh,
        "gracefulRestart": negotiated.graceful_restart is not None,
    }


def _happened(entry: HistoryEntry, offset: float) -> str:
    """Render one entry of a session's history: wall-clock seconds, event, effects."""
    effects = "; ".join(map(_effect_words, entry.effects)) or "nothing to do"
    return f"{entry.now + offset:.3f} {_event_words(entry.event)}: {effects}"


def _event_words(event: object) -> str:
    side = getattr(event, "side", None)
    words = type(event).__name__
    for name in ("text", "message", "error"):
        value = getattr(event, name, None)
        if value:
            words += f" ({value})"
    return f"{words} on the {side.value} connection" if isinstance(side, Side) else words


def _effect_words(effect: object) -> str:
    for name in ("message", "reason"):
        value = getattr(effect, name, None)
        if value is not None:
            return f"{type(effect).__name__} {value}"
    if hasattr(effect, "old"):
        return f"{effect.old} → {getattr(effect, 'new', '')}"
    return type(effect).__name__


__all__ = ["Attribute", "Status"]
