"""Peers that nobody names: who connects from a range of the plan is one, until his session is over.

Of a connection the limits are looked at first, then its terms (`speaker.doorkeeper`), then it waits
in the `Vestibule` for its OPEN. With the AS that this tells there is a plan, and a `Peer` among all
others, with everything that a BGPPeer can ask for. It goes when it has no connection and no routes
any more: what a peer that restarts gracefully has told keeps it, and so does whoever holds it down.

Peers that somebody names come first, and are not looked at here. Whoever is turned away is counted
by the reason why, and told about within bounds (`speaker.strangers`).

Standards: RFC 4271 §6.2; RFC 4486 §4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Protocol

from fsm.errors import BgpError, CeaseError, OpenMessageError
from fsm.messages import Open
from fsm.notifications import Cease, OpenSubcode
from speaker import log
from speaker.clock import Alarm, Clock
from speaker.config.as_ranges import has_as, show_as_ranges
from speaker.config.conditions import Condition, Gravity
from speaker.config.plan import PeerPlan, Plan
from speaker.config.ranges import PeerRange, find_range
from speaker.net.transport import Transport
from speaker.newcomers import Newcomer, Vestibule
from speaker.peer import Peer
from speaker.strangers import Strangers
from speaker.wire import codec

PATIENCE = 60.0
"""Seconds that a peer in strict mode has for BFD, from its first connection on."""

REMEMBERED = 64
"""Addresses of a range of which the last word is remembered."""

COMINGS, SPELL = 10, 60.0
"""So often an address may become a peer in so many seconds: each time costs a session, and lines in
the log."""

KNOWN = 1024
"""Addresses of a range of which it is known how often they have come."""


class Refusal(StrEnum):
    """Why somebody who connected from a range is turned away."""

    LIMIT = "limit"
    """There are as many peers as there may be."""
    AS = "as"
    """It says that it is in an AS that it may not have."""
    OPEN = "open"
    """What it says is no OPEN."""
    SILENT = "silent"
    """It said nothing, or left before."""
    TERMS = "terms"
    """It comes from too far (RFC 5082), or the password of the range cannot be set."""
    OFTEN = "often"
    """It has come and gone again and again."""
    SERVICE = "service"
    """The node is out of service."""


class Door(Protocol):
    """What is asked of who keeps the listening sockets."""

    def admits(self, transport: Transport, plan: PeerPlan) -> bool:
        """Tell whether an accepted connection may go on."""


class House(Protocol):
    """What is asked of the router around."""

    clock: Clock
    plan: Plan
    peers: dict[str, Peer]

    @property
    def doorkeeper(self) -> Door:
        """Who keeps the listening sockets."""

    def add_peer(self, plan: PeerPlan) -> None:
        """Take up a peer."""

    def remove_peer(self, name: str) -> None:
        """Let go of a peer."""

    def watch(self) -> None:
        """Have BFD watch the peers that there are now."""


@dataclass(frozen=True, slots=True)
class LastWord:
    """What became of an address that has no peer any more, or never had.

    Attributes:
        at: seconds since 1970.
        sentence: for people.
    """

    at: float
    sentence: str


class Range:
    """What there is to a range while the router runs.

    Args:
        plan: as it is in force.
        clock: the reader of time.
        vestibule: where its connections wait.

    Attributes:
        refused: how many were turned away, by why.
        last: the last words about addresses without a peer, the latest at the end.
    """

    def __init__(self, plan: PeerRange, clock: Clock, vestibule: Vestibule) -> None:
        self.plan = plan
        self.vestibule = vestibule
        self.refused: Counter[Refusal] = Counter()
        self.last: dict[str, LastWord] = {}
        self._clock = clock
        # Since when, and how often.
        self._comings: dict[str, tuple[float, int]] = {}
        self._said = Strangers(
            clock, partial(log.range_refused, plan.name), partial(log.more_range_refused, plan.name)
        )

    def note(self, address: str, why: Refusal, words: str) -> bool:
        """Count somebody who was turned away; tell whether anything was said about it."""
        self.refused[why] += 1
        self.remember(address, f"turned away: {words}")
        return self._said.knocked(address, words)

    def remember(self, address: str, sentence: str) -> None:
        """Remember what became of an address."""
        self.last.pop(address, None)
        self.last[address] = LastWord(self._clock.wall(), sentence)
        if len(self.last) > REMEMBERED:
            del self.last[next(iter(self.last))]

    def comes_too_often(self, address: str) -> bool:
        """Count that an address is about to become a peer; tell whether it has to wait."""
        now = self._clock.now()
        since, number = self._comings.pop(address, (now, 0))
        if since + SPELL <= now:
            since, number = now, 0
        self._comings[address] = since, number + 1
        if len(self._comings) > KNOWN:
            del self._comings[next(iter(self._comings))]
        return number >= COMINGS

    def close(self) -> None:
        """End what waits, and say what is left to say."""
        self.vestibule.drop(self.vestibule.addresses)
        self._said.close()


class DynamicPeers:
    """Takes in whoever connects from a range, and lets go of him.

    Args:
        house: the router around.

    Attributes:
        ranges: what there is to each range of the plan, by name.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self.ranges: dict[str, Range] = {}
        self._counts: Counter[str] | None = None
        self._due: list[Peer] = []
        self._alarm = Alarm(house.clock, self._ring)
        self._until: dict[Peer, float] = {}
        self._patience = Alarm(house.clock, self._lose_patience)

    def follow(self) -> None:
        """Follow the router's plan: who waits outside of its ranges, or is named now, goes."""
        clock, wanted = self._house.clock, self._house.plan.ranges
        for name in self.ranges.keys() - wanted.keys():
            self.ranges.pop(name).close()
        for name, plan in wanted.items():
            if name not in self.ranges:
                vestibule = Vestibule(clock, self._heard, self._ended)
                self.ranges[name] = Range(plan, clock, vestibule)
            self.ranges[name].plan = plan
        named = {plan.address for plan in self._house.plan.peers.values()}
        for name, each in self.ranges.items():
            each.vestibule.drop(
                address
                for address in each.vestibule.addresses
                if address in named or self._name_of(address) != name
            )
        self.changed()

    def changed(self) -> None:
        """The router has other peers than before."""
        self._counts = None

    def _name_of(self, address: str) -> str:
        place = find_range(self._house.plan.ranges.values(), address)
        return "" if place is None else place.name

    def find(self, address: str) -> Range | None:
        """Give the range that an address is in; None if it is in none."""
        try:
            return self.ranges.get(self._name_of(address))
        except ValueError:
            return None

    def count(self, name: str) -> int:
        """Count the peers of a range that are there."""
        if self._counts is None:
            resources = {each.plan.resource: each.plan.name for each in self.ranges.values()}
            dynamic = (peer.plan for peer in self._house.peers.values() if peer.plan.range)
            self._counts = Counter(resources.get(plan.resource, "") for plan in dynamic)
        return self._counts[name]

    # Coming.

    def meets(self, transport: Transport) -> bool:
        """Take a connection from an address that is no peer's; tell whether it is from a range."""
        address = transport.peer_address
        place = self.find(address) if address and self.ranges else None
        if place is None:
            return False
        plan = place.plan
        stands_for_all = replace(
            plan.template_of(address), address=address, range=str(plan.network_of(address))
        )
        if self._is_full(place):
            self._turn_away(place, transport, address)
        elif not self._house.doorkeeper.admits(transport, stands_for_all):
            place.note(address, Refusal.TERMS, "it comes from too far, or cannot be signed")
            transport.reset()
        else:
            place.vestibule.take(transport, address)
        return True

    def _is_full(self, place: Range) -> bool:
        return self.count(place.plan.name) >= place.plan.limit

    def _turn_away(self, place: Range, transport: Transport, address: str) -> None:
        """Refuse somebody beyond the limit."""
        words = f"{place.plan.limit} peers are there already (wren.bgp/maxDynamicPeers)"
        self._refuse(place, transport, address, Refusal.LIMIT, words)

    def _refuse(
        self, place: Range, transport: Transport, address: str, why: Refusal, words: str
    ) -> None:
        """Refuse somebody: by a word, where one is said to the operator too."""
        if place.note(address, why, words):
            _say(transport, CeaseError(Cease.CONNECTION_REJECTED))
        else:
            # So that many of them leave nothing in the system.
            transport.reset()

    def _ended(self, newcomer: Newcomer, why: BgpError | str) -> None:
        place = self.find(newcomer.address)
        if place is not None:
            kind = Refusal.OPEN if isinstance(why, BgpError) else Refusal.SILENT
            place.note(newcomer.address, kind, str(why))

    def _heard(self, newcomer: Newcomer, message: Open) -> None:
        """Take in who has said his OPEN, if he may have the AS that it tells."""
        address, place = newcomer.address, self.find(newcomer.address)
        plan = None if place is None else place.plan.plan_of(address, message.asn)
        if place is None:
            newcomer.transport.reset()
        elif plan is None:
            place.note(address, Refusal.AS, _wrong_as(place.plan, message.asn))
            _say(newcomer.transport, OpenMessageError(OpenSubcode.BAD_PEER_AS))
        elif self._is_full(place):
            self._turn_away(place, newcomer.transport, address)
        elif place.comes_too_often(address):
            words = f"it has come {COMINGS} times in {SPELL:.0f} s, and gone again"
            self._refuse(place, newcomer.transport, address, Refusal.OFTEN, words)
        else:
            self._take_in(place, plan, newcomer)

    def _take_in(self, place: Range, plan: PeerPlan, newcomer: Newcomer) -> None:
        house = self._house
        place.last.pop(plan.address, None)
        house.plan = _with_peer(house.plan, plan)
        house.add_peer(plan)
        house.watch()
        peer = house.peers[plan.name]
        if peer.session.would_accept():
            peer.connections.accept(newcomer.transport)
            peer.connections.on_chunk(newcomer.transport, newcomer.octets)
            return
        newcomer.transport.write([codec.encode(peer.session.refusal)])
        newcomer.transport.close()
        if peer.session.waits_for_bfd:
            # Its next connection finds BFD up.
            self._until[peer] = house.clock.now() + PATIENCE
            self._patience.set(min(self._until.values()))
            return
        # All sessions are held down.
        self._let_go(plan.name)
        place.note(plan.address, Refusal.SERVICE, "this node is out of service")

    # Going.

    def settled(self, peer: Peer) -> None:
        """Look at a peer without a connection when whatever happens has happened."""
        self._due.append(peer)
        self._alarm.set(self._house.clock.now())

    def _ring(self) -> None:
        due, self._due = self._due, []
        for peer in due:
            if peer not in self._until:
                self._look_at(peer)

    def _lose_patience(self) -> None:
        """Let go of those for whom BFD has not come up."""
        now = self._house.clock.now()
        for peer in [peer for peer, until in self._until.items() if until <= now]:
            del self._until[peer]
            self._look_at(peer)
        self._patience.set(min(self._until.values(), default=None))

    def _look_at(self, peer: Peer) -> None:
        if self._house.peers.get(peer.name) is peer and peer.plan.range and peer.is_over:
            waited = "BFD did not come up" if peer.session.waits_for_bfd else ""
            why = waited or str(peer.session.last_down or "")
            self._let_go(peer.name)
            log.peer_left(peer.name, peer.plan.address, why)
            place = self.find(peer.plan.address)
            if place is not None:
                place.remember(peer.plan.address, f"gone: {why or 'its session was reset'}")

    def _let_go(self, name: str) -> None:
        house = self._house
        peers = {other: plan for other, plan in house.plan.peers.items() if other != name}
        house.plan = replace(house.plan, peers=peers)
        house.remove_peer(name)
        house.watch()

    def close(self) -> None:
        """Take in nobody any more."""
        self._alarm.cancel()
        self._patience.cancel()
        for each in self.ranges.values():
            each.close()

    def conditions(self) -> Iterator[Condition]:
        """Say which ranges have no room for more."""
        for each in self.ranges.values():
            if self._is_full(each):
                yield Condition(
                    f"BGPPeer/{each.plan.resource}",
                    Gravity.WARNING,
                    "PeerLimitReached",
                    f"{self.count(each.plan.name)} peers of {each.plan.name} are there, and there"
                    f" may be {each.plan.limit} (wren.bgp/maxDynamicPeers): others are turned away",
                )


def _say(transport: Transport, error: BgpError) -> None:
    transport.write([codec.encode(error.notification)])
    transport.close()


def _with_peer(plan: Plan, peer: PeerPlan) -> Plan:
    return replace(plan, peers=dict(sorted({**plan.peers, peer.name: peer}.items())))


def _wrong_as(plan: PeerRange, asn: int) -> str:
    if has_as(plan.asns, asn):
        return f"it says it is AS {asn}, with which this node can have no session"
    return f"it says it is AS {asn}, and may have {show_as_ranges(plan.asns)}"
