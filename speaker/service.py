"""Whether the router is in service: what peers are told of that, and who is kept down meanwhile.

A router that leaves tells its routes as a last choice, then none, and in the end holds its sessions
down; `speaker.drainage` leads it through these steps and back. Peers that come while sessions are
held down wait with the others.

Standards: RFC 8326 §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fsm.notifications import Cease
from policy.outbound import Leaving
from speaker.forwarding_plane import ForwardingPlane
from speaker.peer import Peer


class House(Protocol):
    """The router that is in service, or is not."""

    plane: ForwardingPlane

    @property
    def peers(self) -> Mapping[str, Peer]:
        """All peers, by name."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be told on."""

    def own_members(self, peer: Peer) -> None:
        """Remember whose members a peer's exchange has, and whether they are counted."""

    def work(self) -> None:
        """Tables have changed: let a turn run."""


class Service:
    """The service that a router gives.

    Args:
        house: the router.

    Attributes:
        leaving: what peers are told of it.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self.leaving = Leaving.NO
        self._held_down: tuple[Cease, str] | None = None

    def tell(self, leaving: Leaving) -> None:
        """Tell routes otherwise from now on; to stay lets sessions come up that were held down."""
        self.leaving = leaving
        if leaving is Leaving.NO:
            self.let_up()
        for peer in self._house.peers.values():
            if peer.exchange is not None:
                peer.exchange.regroup()
                self._house.own_members(peer)
        self._house.work()

    def hold_down(self, subcode: Cease, reason: str) -> None:
        """Close all sessions, for none to come up before `let_up`.

        Args:
            subcode: of the Cease that tells the peers.
            reason: in words, for their operators.
        """
        self._held_down = subcode, reason
        for peer in self._house.peers.values():
            peer.hold_down(subcode, reason)

    def let_up(self) -> None:
        """Let the sessions come up again that `hold_down` has closed."""
        if self._held_down is None:
            return
        self._held_down = None
        for peer in self._house.peers.values():
            if peer.is_held_down:
                peer.start()

    def admit(self, peer: Peer) -> None:
        """Let a new peer's session come up, or wait with all others."""
        peer.start()
        if self._held_down is not None:
            peer.hold_down(*self._held_down)

    @property
    def has_learned(self) -> bool:
        """Whether all who say when they have told everything have, and it is in the kernel."""
        house = self._house
        wanted = [peer for peer in house.peers.values() if peer.session.is_started]
        installs = house.plane.kernel is not None and house.plane.kernel.pending() > 0
        return house.is_idle and not installs and all(map(_has_told, wanted))

    @property
    def has_told(self) -> bool:
        """Whether every peer whose session is up has been told everything."""
        exchanges = [peer.exchange for peer in self._house.peers.values()]
        told = all(each.owes_nothing for each in exchanges if each is not None)
        return self._house.is_idle and told


def _has_told(peer: Peer) -> bool:
    exchange = peer.exchange
    return exchange is not None and exchange.negotiated.marked_families <= exchange.heard_all
