"""Who may connect, and on which terms: the plan's passwords, keys and distances, at the sockets.

The terms of all peers are on the listening sockets before their sessions start, and leave them with
the peers; so are those of ranges from which peers are accepted. A peer whose password finds no room
there, or whose keys the kernel cannot have, is held down, and nobody else: without it, we would
speak unsigned, or not be reached. It is tried again when the plan changes, and from time to time,
because the system's limit may be raised meanwhile.

Keys of TCP-AO that change go onto the connections that stand, too: the peer is asked to sign by the
first of them. One that it still uses is taken away when it has followed.

Standards: RFC 2385 §2; RFC 5082 §3; RFC 5925 §6.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fsm.notifications import Cease
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import PeerPlan, Plan
from speaker.net import tcp_ao
from speaker.net.admission import Admission, Terms
from speaker.net.drops import DropCounts
from speaker.net.listener import Listener
from speaker.net.places import Demands
from speaker.net.transport import Transport
from speaker.peer import Peer

PERIOD = 10.0
"""Seconds between two tries to set a password, or to take a key away."""

_HELD = "the session cannot be signed"


class Router(Protocol):
    """What is asked of the router around it."""

    clock: Clock
    drops: DropCounts
    listener: Listener
    plan: Plan
    peers: dict[str, Peer]


class Doorkeeper:
    """Keeps the listening sockets as the plan says.

    Args:
        router: whose they are.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._admission = Admission(tcp_ao.lacking())
        self._kept: dict[str, str] = {}
        self._demands = Demands({}, {})
        self._alarm = Alarm(router.clock, self.follow)
        self.prepare = self._admission.prepare

    def follow(self) -> None:
        """Follow the router's plan."""
        router = self._router
        self._demands = Demands.of(router.plan)
        self._admission.follow(self._demands.terms, router.listener.doors.values())
        for peer in router.peers.values():
            self.roll_over(peer)
        self.heed()

    def heed(self) -> None:
        """Hold down who cannot be signed, and let the others come up."""
        for peer in self._router.peers.values():
            self.check(peer)
        if self._admission.refused:
            self._alarm.set(self._router.clock.now() + PERIOD)

    def roll_over(self, peer: Peer) -> None:
        """Give a session that stands the keys that its peer has now, as far as that goes."""
        transport = peer.exchange.transport if peer.exchange is not None else None
        wanted = peer.plan.tcp_ao
        if transport is None or not transport.keys or transport.keys == wanted:
            return
        sock = transport.socket
        if sock is None:
            return
        try:
            transport.keys = tcp_ao.roll_over(sock, peer.plan.address, transport.keys, wanted)
            self._kept.pop(peer.name, None)
        except OSError as error:
            why = tcp_ao.explained(error)
            if self._kept.get(peer.name) != why:
                self._kept[peer.name] = why
                log.keys_kept(peer.name, peer.plan.address, why)
        self._alarm.set(self._router.clock.now() + PERIOD)

    def check(self, peer: Peer) -> None:
        """Hold a peer down that cannot be signed; let it come up again when it can."""
        refusal, session = peer.refusal, peer.session
        if refusal and session.is_started:
            peer.stop(Cease.OUT_OF_RESOURCES, _HELD)
            log.password_refused(peer.name, peer.plan.address, refusal)
        elif not refusal and session.stop is not None and session.stop.message == _HELD:
            peer.start()

    def close(self) -> None:
        """Try no more."""
        self._alarm.cancel()

    def refusal(self, plan: PeerPlan) -> str:
        """Say why a peer's password or keys cannot be set; empty if they can, or there are none."""
        if not (plan.password or plan.tcp_ao):
            return ""
        places = self._demands.places.get(plan.range, ()) if plan.range else (plan.address,)
        refused = self._admission.refused
        return next((refused[place] for place in places if place in refused), "")

    def admits(self, transport: Transport, plan: PeerPlan) -> bool:
        """Tell whether an accepted connection may go on, which it then does on the peer's terms."""
        terms, sock = Terms.of(plan), transport.socket
        if sock is None or self.refusal(plan):
            return False
        try:
            near_enough = self._admission.admit(sock, plan.address, terms)
        except OSError:
            # It is gone already, signed otherwise, or there is no room for its key.
            return False
        if not near_enough:
            self._router.drops.turned_away += 1
        transport.password, transport.keys = terms.password, terms.keys
        return near_enough

    def conditions(self) -> Iterator[Condition]:
        """Say who is held down, and why."""
        yield from self._of_ranges()
        for peer in self._router.peers.values():
            refusal = peer.refusal
            if refusal and not peer.plan.range:
                resource = peer.plan.resource
                yield Condition(
                    f"BGPPeer/{resource}" if resource else peer.name,
                    Gravity.ERROR,
                    "KeysRefused" if peer.plan.tcp_ao else "PasswordRefused",
                    f"{peer.name} is held down: {refusal}",
                )

    def _of_ranges(self) -> Iterator[Condition]:
        refused = self._admission.refused
        for each in self._router.plan.ranges.values():
            for network in each.networks:
                places = self._demands.places.get(str(network), ())
                why = next((refused[place] for place in places if place in refused), "")
                if why:
                    yield Condition(
                        f"BGPPeer/{each.resource}",
                        Gravity.ERROR,
                        "KeysRefused" if self._demands.asks_for_keys(places) else "PasswordRefused",
                        f"peers from {network} are turned away: {why}",
                    )
