"""Carrying out an edit: one call per `Change`, in the order of the list.

What an edit costs was decided by `speaker.config.changes`; here it is done to a running router.
Nothing is done to a session but what its change says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from speaker import log
from speaker.config.changes import (
    AddPeer,
    Change,
    RefilterIn,
    RefilterOut,
    Regroup,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    SetIdentity,
    SetIgnoredInterfaces,
    SetListen,
    SetLogSeverity,
    SetMode,
    SetOriginations,
    SetPolicy,
    SetStaticRoutes,
    UpdatePeer,
)

if TYPE_CHECKING:
    from speaker.peer import Peer
    from speaker.speaker import Speaker

_REJUDGED = {"allow_local_as", "gateway_mode", "cluster_id"}
"""Fields that decide about attribute sets themselves: the peer has to tell its routes again."""


async def carry_out(router: Speaker, changes: Sequence[Change]) -> None:
    """Do what the changes say; the router's plan is the new one already.

    Raises:
        TransportError: the new listening port cannot be had; everything else is done.
    """
    _rename(router, [change for change in changes if isinstance(change, RenamePeer)])
    listen: SetListen | None = None
    for change in changes:
        match change:
            case RenamePeer():
                pass
            case SetListen():
                listen = change
            case SetLogSeverity(severity):
                log.set_severity(severity.value)
            case _:
                _change_node(router, change) or _change_peer(router, change)
        log.change_applied(change.describe())
    router.work()
    if listen is not None:
        await router.listen()


def _rename(router: Speaker, renames: list[RenamePeer]) -> None:
    """Give sessions their new names, all at once: one may take a name that another gives up."""
    taken = [(router.peers.pop(change.name), change.plan) for change in renames]
    for peer, plan in taken:
        router.recovery.rename(peer.name, plan.name)
        peer.take_plan(plan)
        router.peers[plan.name] = peer


def _change_node(router: Speaker, change: Change) -> bool:
    match change:
        case SetMode():
            router.set_learning()
        case SetPolicy(family):
            router.policy_changed(family)
        case SetOriginations() | SetStaticRoutes():
            router.originate_planned()
        case SetIgnoredInterfaces():
            router.set_learning()
        case SetIdentity():
            router.identity_changed()
        case _:
            return False
    return True


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
        case RefilterOut(plan) | Regroup(plan):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            if peer.exchange is not None:
                peer.exchange.regroup()
                router.own_members(peer)
        case UpdatePeer(plan):
            peer = router.peers[plan.name]
            peer.take_plan(plan)
            peer.renew_when_down()
        case _:
            return False
    return True


def _refilter_in(router: Speaker, peer: Peer, fields: frozenset[str]) -> None:
    exchange = peer.exchange
    if exchange is None:
        return
    exchange.refilter_in()
    if "rr_client" in fields:
        # Whether its routes are reflected depends on it, in every group.
        router.exports_again()
    if fields & _REJUDGED:
        exchange.forget_attributes()
        for family in exchange.inbound.ribs:
            if not peer.ask_refresh(family):
                router.reset_peer(peer.plan)
                return
