"""Which peers BFD watches, and what its word does to them.

Peers with ``failureDetectionMode: BFDIfDirectlyConnected`` or ``wren.bgp/bfd: on`` are watched
while they are configured, not held down, and on a link of ours; who is a hop away by the kernel's
routes is not, unless ``wren.bgp/bfd: multihop`` says so. A peer whose key is missing is not watched
at all, rather than without it. One BFD session is for all peers of an address. The process that
sends and hears its packets is started when the first peer asks for it (`speaker.bfd`).

When this node restarts, and peers keep its routes meanwhile, the process goes on without us for as
long as they do, and the next run takes it up (RFC 5882 §4.3).

When a session that was Up goes Down, the BGP session ends with Cease/BFD Down (RFC 9384), as a Hard
Reset where that is known (RFC 8538): what the peer told is not used a moment longer, in the kernel
first of all. So do the routes that are kept of a peer that restarts, but only where BFD does not
share the fate of what restarts, by the C bits of both ends (RFC 5882 §4.3). A peer without BFD, one
that ends it on purpose, and the death of our own process end nothing (RFC 5882 §3.2).

A session in strict mode is told what BFD says, and waits for it (`fsm.gate`).

Standards: RFC 5881 §2; RFC 5883 §4; RFC 5882 §3.2, §4.3; RFC 9384 §3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from fsm.bfd import Diagnostic
from fsm.events import AutomaticStop
from fsm.graceful import is_kept_for
from fsm.notifications import Cease
from policy.path import Source
from speaker import log
from speaker.bfd.client import BfdClient, Verdict
from speaker.bfd.words import Watch
from speaker.config.bfd import settings_on
from speaker.config.bfd_keys import TTL
from speaker.config.peerplan import PeerPlan
from speaker.config.plan import Plan
from speaker.control.views import BfdSessionView, BfdView
from speaker.notices import BfdChanged, Notices
from speaker.peer import Peer
from speaker.rib.next_hops import NextHopTable

MARGIN = 10.0
"""Seconds for which BFD goes on without us when peers have let go of our routes."""


class House(Protocol):
    """What is asked of the router around."""

    plan: Plan
    peers: dict[str, Peer]
    next_hops: NextHopTable
    notices: Notices

    def lost(self, source: Source) -> None:
        """All that a source has told is about to go: the kernel does at once without it."""


class Bfd(Protocol):
    """Who watches: our own process, or an embedder's, by other software or hardware."""

    @property
    def names(self) -> set[str]:
        """The names of all that it watches."""

    def watch(self, watch: Watch) -> None:
        """Watch a session, or go on under other settings."""

    def unwatch(self, name: str) -> None:
        """Watch a session no more."""

    def lacks(self, name: str) -> str:
        """Tell why a session is not watched although it should be; empty if it is."""

    async def show(self) -> dict[str, Any] | None:
        """Tell of ``sessions`` and ``process``; None where there is nothing to tell.

        A session needs ``name`` and ``state`` of `BfdSessionView`; ``process`` is None for one who
        is no process of ours, and says in ``witness`` who he is and in ``trouble`` what he lacks.
        """

    async def leave(self) -> None:
        """Be gone, and let sessions go on for as long as each `Watch` says."""

    async def close(self) -> None:
        """Watch nobody any more."""


BfdVerdict: TypeAlias = Verdict
BfdWatch: TypeAlias = Watch

MakeBfd: TypeAlias = Callable[[Callable[[Verdict], None]], Bfd]
"""Makes who watches, from what it is to call, on the event loop, with each change."""

UNTOLD: BfdSessionView = {
    "name": "",
    "peers": [],
    "peer": "",
    "local": None,
    "interface": None,
    "multihop": False,
    "state": "Down",
    "remoteState": None,
    "since": None,
    "downs": None,
    "diagnostic": "",
    "remoteDiagnostic": None,
    "discriminator": 0,
    "remoteDiscriminator": None,
    "independent": False,
    "txIntervalUs": 0,
    "rxIntervalUs": 0,
    "detectionTimeUs": 0,
    "multiplier": 0,
    "remoteMultiplier": None,
    "polling": False,
    "authentication": False,
    "received": None,
    "sent": None,
    "late": None,
    "gaps": [],
    "silence": None,
    "discarded": {},
    "echoIntervalUs": 0,
    "echoed": 0,
    "echoTrouble": "",
    "trouble": "",
}
"""What is shown of a session of which nothing is told."""


class Watches:
    """The BFD sessions of a router's peers.

    Args:
        house: the router around.
        make: makes who watches, when the first peer asks for it; by default our own process does.
        run_dir: where our own process is found by the next run; None where it ends with this one.
    """

    def __init__(
        self, house: House, make: MakeBfd | None = None, run_dir: Path | None = None
    ) -> None:
        self._house = house
        self._make = make or partial(BfdClient, run_dir=run_dir)
        self._is_over = False
        self._client: Bfd | None = None
        self._watched: dict[str, Watch] = {}
        self._up: set[str] = set()
        self._elsewhere: tuple[str, ...] = ()
        self._lacking: dict[str, str] = {}

    def follow(self) -> None:
        """Watch whoever is to be watched now, and nobody else."""
        if self._is_over:
            return
        asking = [peer for peer in self._house.peers.values() if peer.plan.bfd]
        if not asking and self._client is None:
            return
        wanted: dict[str, Watch] = {}
        elsewhere, lacking = [], {}
        for peer in asking:
            if not peer.session.is_started:
                continue
            if peer.plan.bfd_lacks:
                lacking[peer.plan.address] = peer.plan.bfd_lacks
                continue
            watch = self._watch_of(peer.plan)
            if watch is None:
                elsewhere.append(peer.plan.address)
            else:
                wanted.setdefault(watch.name, watch)
        self._elsewhere = tuple(sorted(set(elsewhere)))
        self._lacking = lacking
        self._say(wanted)
        self._hint(asking)

    def _say(self, wanted: Mapping[str, Watch]) -> None:
        client = self._client
        if client is None:
            if not wanted:
                return
            client = self._client = self._make(self.heed)
        for name in client.names - wanted.keys():
            client.unwatch(name)
        for watch in wanted.values():
            client.watch(watch)
        # Of one that begins anew nothing is known.
        ended = {
            name
            for name, watch in self._watched.items()
            if name not in wanted or wanted[name].place != watch.place
        }
        self._watched = dict(wanted)
        for name in sorted(ended & self._up):
            self._up.discard(name)
            self._tell(name, is_up=False, failed=False, said=str(Diagnostic.ADMINISTRATIVELY_DOWN))

    def _hint(self, peers: Iterable[Peer]) -> None:
        """Let sessions know that wait for BFD."""
        for peer in peers:
            peer.heed_bfd(is_up=peer.plan.address in self._up)

    def lacks(self, address: str) -> str:
        """Tell why a peer is not watched although it asks for it; empty if it is."""
        if address in self._lacking:
            return self._lacking[address]
        if address in self._elsewhere:
            return "it is on no link of this node (wren.bgp/bfd: multihop lets it be)"
        client = self._client
        return client.lacks(address) if client is not None and address in client.names else ""

    def word(self, peer: Peer) -> str:
        """Tell what BFD says of a peer; empty where nobody asks it."""
        if not peer.plan.bfd:
            return ""
        lacks = self.lacks(peer.plan.address)
        if lacks:
            return f"not watched: {lacks}"
        return "up" if peer.bfd_is_up else "down"

    def _watch_of(self, plan: PeerPlan) -> Watch | None:
        """Say how a peer is watched; None if it is not directly connected. RFC 5881 §2."""
        address, _, zone = plan.address.partition("%")
        interface = zone or self._interface_to(ip_address(address).packed)
        if plan.bfd_hops:
            interface = ""
        if interface is None:
            return None
        settings = plan.bfd_timers.over(settings_on(self._house.plan.bfd, interface))
        if plan.bfd_auth is not None:
            settings = replace(settings, authentication=plan.bfd_auth.reveal())
        local = plan.source_address and plan.source_address.partition("%")[0]
        return Watch(
            plan.address,
            address,
            local,
            interface or None,
            multihop=bool(plan.bfd_hops),
            least_ttl=TTL + 1 - plan.bfd_hops if plan.bfd_hops else 1,
            settings=settings,
            keep=self._keep(plan.address),
        )

    def _keep(self, address: str) -> float | None:
        """Say for how long a session is of use without us; None where that stays as it was."""
        promised = [
            is_kept_for(peer.sent_open, peer.exchange.negotiated)
            for peer in self._of_address(address)
            if peer.exchange is not None and peer.sent_open is not None
        ]
        if not promised:
            return None
        longest = max(promised)
        return longest + MARGIN if longest else 0.0

    def _interface_to(self, address: bytes) -> str | None:
        """Give the link that an address is on; None for none, empty where links are not known."""
        next_hops = self._house.next_hops
        if next_hops.is_trusting:
            return ""
        if next_hops.on_link(address) is None:
            return None
        link = next_hops.interface_of(address)
        return None if link is None else link.name

    def heed(self, verdict: Verdict) -> None:
        """BFD has something to say of an address."""
        said = str(Diagnostic(verdict.diagnostic)) if verdict.diagnostic < len(Diagnostic) else ""
        log.bfd_said(verdict.name, is_up=verdict.is_up, failed=verdict.failed, diagnostic=said)
        is_news = verdict.is_up is not (verdict.name in self._up)
        (self._up.add if verdict.is_up else self._up.discard)(verdict.name)
        for peer in self._of_address(verdict.name):
            if verdict.failed and peer.exchange is not None:
                self._house.lost(peer.exchange.source)
                peer.handle(AutomaticStop(Cease.BFD_DOWN, hard=True, text=f"BFD: {said}"))
            elif verdict.failed and peer.restarts.kept is not None:
                if verdict.independent:
                    self._house.lost(peer.restarts.kept.source)
                peer.restarts.lose_path(independent=verdict.independent)
            peer.heed_bfd(is_up=verdict.is_up, lasted=verdict.lasted)
        if not is_news:
            # Another process says once more what the one before it has said.
            return
        self._tell(verdict.name, is_up=verdict.is_up, failed=verdict.failed, said=said)

    def _tell(self, address: str, *, is_up: bool, failed: bool, said: str) -> None:
        names = tuple(sorted(peer.name for peer in self._of_address(address)))
        why = "" if is_up else said
        self._house.notices.tell(BfdChanged(address, names, is_up, failed, why))

    def _of_address(self, address: str) -> Iterable[Peer]:
        peers = self._house.peers.values()
        return [peer for peer in peers if peer.plan.bfd and peer.plan.address == address]

    async def view(self) -> BfdView:
        """Tell how the sessions are."""
        shown = None if self._client is None else await self._client.show()
        shown = shown or {"sessions": [], "process": None}
        sessions: list[BfdSessionView] = [{**UNTOLD, **each} for each in shown["sessions"]]
        for session in sessions:
            session["peers"] = sorted(p.name for p in self._of_address(session["name"]))
        return {
            "sessions": sorted(sessions, key=lambda session: str(session["name"])),
            "notConnected": list(self._elsewhere),
            "withoutKey": [
                {"address": address, "reason": why}
                for address, why in sorted(self._lacking.items())
            ],
            "process": shown["process"],
            "witness": shown.get("witness", ""),
            "trouble": shown.get("trouble", ""),
        }

    async def leave(self) -> None:
        """A restart: BFD goes on without us where peers keep our routes; others are told."""
        self._is_over = True
        if self._client is not None:
            await self._client.leave()
            self._client = None

    async def close(self) -> None:
        """Watch nobody any more; peers are told that this is on purpose."""
        self._is_over = True
        if self._client is not None:
            await self._client.close()
            self._client = None
