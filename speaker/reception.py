"""Connections that come in: each is handed to the peer whose address it comes from.

Where several peers share an address, one that would take a connection gets it. Whoever has the
address of no peer may be in a range, and become one (`speaker.dynamic_peers`); else he is a
stranger, and nothing of the connection stays. On which terms a peer may connect is for
`speaker.doorkeeper` to say.
"""

from __future__ import annotations

from typing import Protocol

from speaker import log
from speaker.clock import Clock
from speaker.config.plan import Plan
from speaker.doorkeeper import Doorkeeper
from speaker.dynamic_peers import DynamicPeers
from speaker.net.listener import Listener
from speaker.net.listening import Doors
from speaker.net.transport import ReadBuffer, Transport
from speaker.peer import Peer
from speaker.strangers import Strangers

EVERYWHERE = ("0.0.0.0", "::")


class House(Protocol):
    """What is asked of the router around."""

    clock: Clock
    buffer: ReadBuffer
    plan: Plan

    @property
    def doorkeeper(self) -> Doorkeeper:
        """Who says on which terms a peer may connect."""

    @property
    def dynamic(self) -> DynamicPeers:
        """Who takes in those who connect from a range."""


class Reception:
    """Listens, and finds the peers of the connections that come.

    Args:
        house: the router around.
        doors: listening sockets that others have opened for us.

    Attributes:
        listener: the listening sockets.
    """

    def __init__(self, house: House, doors: Doors) -> None:
        self._house = house
        self.listener = Listener(house.buffer, self._accepted, house.doorkeeper.prepare)
        self.listener.inherited = dict(doors)
        self._strangers = Strangers(house.clock)
        self._by_address: dict[str, list[Peer]] = {}

    def expect(self, peer: Peer) -> None:
        """Hand connections from the address of a peer to it from now on."""
        self._by_address.setdefault(peer.plan.address, []).append(peer)

    def expect_no_more(self, peer: Peer) -> None:
        """Hand no more connections to a peer."""
        others = self._by_address[peer.plan.address]
        others.remove(peer)
        if not others:
            del self._by_address[peer.plan.address]

    async def listen(self) -> None:
        """Listen where the plan says, and nowhere else.

        Raises:
            TransportError: the port cannot be had; we listen where we did before.
        """
        house = self._house
        opened = await self.listener.open(
            house.plan.listen_addresses or EVERYWHERE,
            house.plan.listen_port,
            absent=house.plan.workload_addresses,
        )
        log.listening(opened, house.plan.listen_port)
        # Sockets that were opened just now may have no room for what others had.
        house.doorkeeper.heed()

    def _accepted(self, transport: Transport) -> None:
        """Hand a connection to the peer that it comes from; who is in a range may become one."""
        house, address = self._house, transport.peer_address
        peers = self._by_address.get(address, [])
        if not peers and house.dynamic.meets(transport):
            return
        if not peers:
            self._strangers.knocked(address or "an unknown address")
            # Of strangers nothing stays, not even what TCP remembers of a connection.
            transport.reset()
            return
        willing = [peer for peer in peers if peer.session.would_accept()]
        peer = (willing or peers)[0]
        if house.doorkeeper.admits(transport, peer.plan):
            peer.connections.accept(transport)
        else:
            transport.reset()

    async def close(self) -> None:
        """Listen no more, and say what is left to say of strangers."""
        await self.listener.close()
        self._strangers.close()
