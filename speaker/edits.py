"""Carrying out an edit: one call per `Change`, in the order of the list.

What an edit costs was decided by `speaker.config.changes`; here it is done to a running router.
Nothing is done to a session but what its change says.

Sessions of the mesh end last, and somewhat later (`Farewells`): what they brought must have come
another way before, and both ends and the reflectors read an edit at a time of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from policy.ranking import DecisionOptions
from speaker import log
from speaker.clock import Alarm
from speaker.config.changes import (
    AddPeer,
    Change,
    KeepPeer,
    Rebalance,
    RefilterIn,
    RefilterOut,
    Regroup,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    SetBfdTimers,
    SetCaches,
    SetDecision,
    SetDeferral,
    SetIdentity,
    SetIgnoredInterfaces,
    SetListen,
    SetLogSeverity,
    SetMode,
    SetOriginations,
    SetPolicy,
    SetRanges,
    SetResilience,
    SetStaticRoutes,
    UpdatePeer,
    changes,
    with_dynamic,
    with_standing,
)
from speaker.config.plan import PeerKind, Plan

if TYPE_CHECKING:
    from fsm.family import Family
    from speaker.exchange import Exchange
    from speaker.peer import Peer
    from speaker.speaker import Speaker

REJUDGED = {
    *("allow_local_as", "gateway_mode", "cluster_id", "enforce_first_as", "as_sets", "aigp"),
    *("graceful_shutdown", "blackhole"),
}
"""Fields that decide about attribute sets themselves: the peer has to tell its routes again."""


LINGER = 5.0
"""Seconds that sessions of the mesh outlive it."""


class Farewells:
    """Peers that the resources ask for no more and whose sessions go on for a while.

    They are in the router's plan until they are let go of.

    Args:
        router: whose peers they are.
    """

    def __init__(self, router: Speaker) -> None:
        self._router = router
        self._due: dict[str, float] = {}
        self._alarm = Alarm(router.clock, self._ring)

    def follow(self, wanted: Plan) -> list[Change]:
        """Make a plan the router's own, with the peers that may stay a while.

        Returns:
            What differs; removals that are put off among it.
        """
        router, old = self._router, self._router.plan
        up = {name for name, peer in router.peers.items() if peer.is_established}
        new = with_dynamic(with_standing(wanted, old, up), old)
        found = changes(old, new)
        gone = {change.name for change in found if isinstance(change, RemovePeer)}
        late = {name: old.peers[name] for name in gone & up if _lingers(old, new, name)}
        due = router.clock.now() + LINGER
        self._due = {name: self._due.get(name, due) for name in late}
        router.plan = replace(new, peers=dict(sorted({**new.peers, **late}.items())))
        self._set_alarm()
        return found

    def puts_off(self, change: Change) -> bool:
        """Tell whether a removal waits."""
        return isinstance(change, RemovePeer) and change.name in self._due

    def fell(self, name: str) -> None:
        """A session is down; one that only went on is not opened again."""
        if name in self._due or name in self._router.plan.standing:
            self._due[name] = self._router.clock.now()
            self._set_alarm()

    def close(self) -> None:
        """Let go of nobody any more."""
        self._alarm.cancel()

    def _set_alarm(self) -> None:
        self._alarm.set(min(self._due.values(), default=None))

    def _ring(self) -> None:
        router, now = self._router, self._router.clock.now()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            peers = {other: peer for other, peer in router.plan.peers.items() if other != name}
            router.plan = replace(router.plan, peers=peers)
            router.remove_peer(name)
        router.doorkeeper.follow()
        self._set_alarm()
        router.work()


def _lingers(old: Plan, new: Plan, name: str) -> bool:
    """Tell whether a peer goes because its mesh has ended in favour of others."""
    kinds = {peer.kind for peer in new.peers.values()}
    return old.peers[name].kind is PeerKind.MESH and bool(kinds) and PeerKind.MESH not in kinds


async def carry_out(router: Speaker, changes: Sequence[Change]) -> None:
    """Do what the changes say; the router's plan is the new one already.

    Raises:
        TransportError: the new listening port cannot be had; everything else is done.
    """
    _rename(router, [change for change in changes if isinstance(change, RenamePeer)])
    listen: SetListen | None = None
    for change in changes:
        match change:
            case RenamePeer() | KeepPeer() | SetRanges():
                pass
            case SetListen():
                listen = change
            case SetLogSeverity(severity):
                log.set_severity(severity.value)
            case _:
                if not router.farewells.puts_off(change):
                    _change_node(router, change) or _change_peer(router, change)
        log.change_applied(change.describe())
    router.work()
    if listen is not None:
        await router.reception.listen()


def _rename(router: Speaker, renames: list[RenamePeer]) -> None:
    """Give sessions their new names, all at once: one may take a name that another gives up."""
    taken = [(router.peers.pop(change.name), change.plan) for change in renames]
    for peer, plan in taken:
        router.recovery.rename(peer.name, plan.name)
        peer.take_plan(plan)
        router.peers[plan.name] = peer


def _change_node(router: Speaker, change: Change) -> bool:
    match change:
        case SetMode() | SetIgnoredInterfaces():
            router.plane.set_learning()
        case SetPolicy(family):
            judge_anew(router, family)
        case SetOriginations() | SetStaticRoutes():
            router.originations.follow(router.plan)
        case SetDecision():
            _decide_otherwise(router)
        case SetResilience():
            router.plane.set_resilience()
        case SetBfdTimers():
            router.watches.follow()
        case SetCaches(_, caches):
            router.origins.follow(caches)
        case SetDeferral(seconds):
            router.recovery.wait = seconds
        case SetIdentity():
            _tell_identity(router)
        case _:
            return False
    return True


def judge_anew(router: Speaker, family: Family) -> None:
    """The node's own policy of a family is another: judge everything by it."""
    for peer in router.peers.values():
        if peer.tables is not None:
            peer.tables.refilter_in()
            peer.tables.regroup()
            router.own_members(peer)
    router.plane.install_again(family)


def _tell_identity(router: Speaker) -> None:
    """Our AS, router id or cluster id is another; sessions that need it are reset beside."""
    for peer in router.peers.values():
        if peer.exchange is not None:
            peer.exchange.regroup()
            router.own_members(peer)


def _decide_otherwise(router: Speaker) -> None:
    """Paths are compared otherwise: choose among all of them anew."""
    router.options = DecisionOptions(always_compare_med=router.plan.always_compare_med)
    for peer in router.peers.values():
        if peer.tables is not None:
            peer.tables.source.options = router.options
    router.ground.rank_all()


def _judge_exports(router: Speaker, exchange: Exchange) -> None:
    """Judge anew who may hear what a peer told."""
    for rib in exchange.inbound.ribs.values():
        router.exports.reconsider(rib)


def _change_peer(router: Speaker, change: Change) -> bool:
    match change:
        case RemovePeer(name):
            router.remove_peer(name)
        case AddPeer(plan):
            router.add_peer(plan)
        case ResetPeer(plan):
            router.reset_peer(plan)
        case RefilterIn(plan, fields):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            _refilter_in(router, peer, frozenset(fields))
        case RefilterOut(plan, fields) | Regroup(plan, fields):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            _regroup(router, peer, fields)
        case Rebalance(plan):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            if peer.tables is not None:
                for sink in router.ground.sinks:
                    sink.balance(peer.tables.source)
        case UpdatePeer(plan, fields):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            router.doorkeeper.roll_over(peer)
            peer.renew_when_down(anew=bool({"password", "tcp_ao"} & set(fields)))
        case _:
            return False
    return True


def _regroup(router: Speaker, peer: Peer, fields: Sequence[str]) -> None:
    if peer.exchange is not None:
        peer.exchange.regroup()
        router.own_members(peer)
        peer.heed_limits()
    elif "max_prefixes_out" in fields:
        # A session that was closed for the old limit may come up again.
        peer.start()


def _refilter_in(router: Speaker, peer: Peer, fields: frozenset[str]) -> None:
    exchange = peer.tables
    if exchange is not None and peer.exchange is None:
        # What was told by a session that is gone, and stays for now, is judged as ever.
        exchange.refilter_in()
        if "rr_client" in fields:
            _judge_exports(router, exchange)
    if exchange is None or peer.exchange is None:
        if "max_prefixes" in fields:
            # A session that was closed for the old limit may come up again.
            peer.start()
        return
    if fields == {"max_prefixes"}:
        _limit(router, peer, exchange)
        return
    exchange.refilter_in()
    if "rr_client" in fields:
        # Whether its routes are reflected depends on it, in every group.
        _judge_exports(router, exchange)
    if fields & REJUDGED:
        exchange.forget_attributes()
        _ask_again(router, peer, exchange)
    if "max_prefixes" in fields:
        _limit(router, peer, exchange)


def _limit(router: Speaker, peer: Peer, exchange: Exchange) -> None:
    """Hold a session to other limits; what the old ones dropped has to be told again."""
    peer.heed_limits()
    if peer.exchange is exchange and exchange.limits.dropped:
        exchange.limits.forget_dropped()
        _ask_again(router, peer, exchange)


def _ask_again(router: Speaker, peer: Peer, exchange: Exchange) -> None:
    """Have everything told again, by a new session where the peer cannot do so on this one."""
    for family in exchange.inbound.ribs:
        if not peer.ask_refresh(family):
            router.reset_peer(peer.plan)
            return
