"""What an operator asks of the running router, beside what the resources say.

`refresh`: a peer is asked to tell its routes again, or is told ours again. `disable` and `enable`:
a session is held down, with a word to the peer's operator, and let up again. `drain` and `undrain`:
the whole node is taken out of service, and put back (`speaker.drainage`). Nothing here changes
what is configured, and nothing outlasts the process. Answers have the shapes of
`speaker.control.views`; what cannot be done is a `ControlError` for the person who asked.

Standards: RFC 2918 §4; RFC 7313 §4; RFC 9003 §2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fsm.family import Family, parse_family
from fsm.notifications import Cease
from speaker.control.protocol import ControlError
from speaker.control.views import DrainView, OrderView, RefreshView
from speaker.drainage import Drainage
from speaker.exchange import Exchange
from speaker.peer import Peer
from speaker.speaker import Speaker
from speaker.status import find_peer

LONGEST_WAIT = 3600.0
"""Seconds that a drain may give others to move their traffic."""

LONGEST_REASON = 255
"""Octets that a shutdown communication may have (RFC 9003 §2)."""


def refresh(router: Speaker, request: dict[str, Any]) -> RefreshView:
    """Have routes told again, without a reset.

    Args:
        router: that is asked.
        request: ``name`` of the peer, by default all that are up; ``out`` for what we tell,
            else what the peer tells; ``family``, by default all of the session.

    Raises:
        ControlError: there is no such peer, its session is not up, or it has no such family.
    """
    name, out = request.get("name"), bool(request.get("out"))
    word = str(request.get("family") or "")
    chosen = [find_peer(router, str(name))] if name else list(router.peers.values())
    view: RefreshView = {"direction": "out" if out else "in", "asked": [], "refused": []}
    for peer in chosen:
        if peer.exchange is None:
            view["refused"].append(f"{peer.name}: the session is not up")
            continue
        for family in _families(peer.exchange, word):
            _refresh(peer, peer.exchange, family, view)
    router.work()
    if name and not view["asked"]:
        why = view["refused"] or [f"{name}: the session does not carry {word}"]
        raise ControlError("; ".join(why), f"look at 'wren peer {name}'")
    return view


def disable(router: Speaker, request: dict[str, Any]) -> OrderView:
    """End a session and hold it down.

    Args:
        router: that is asked.
        request: ``name`` of the peer; ``reason`` for its operator, if any.

    Raises:
        ControlError: there is no such peer, or the reason is too long for the message.
    """
    peer = find_peer(router, str(request.get("name", "")))
    peer.stop(Cease.ADMINISTRATIVE_SHUTDOWN, _reason(request))
    router.watches.follow()
    return {"peer": peer.name}


def enable(router: Speaker, request: dict[str, Any]) -> OrderView:
    """Let a session come up that was held down; nothing happens to another one.

    Raises:
        ControlError: there is no such peer.
    """
    peer = find_peer(router, str(request.get("name", "")))
    if not peer.session.is_started:
        peer.start()
        router.watches.follow()
    return {"peer": peer.name}


async def drain(drainage: Drainage, request: dict[str, Any]) -> AsyncIterator[DrainView]:
    """Take the node out of service, and tell each step of it.

    Args:
        drainage: of the router.
        request: ``wait``, seconds for others to move their traffic; ``reason`` for the operators
            of the peers.

    Raises:
        ControlError: the reason is too long for the message, or the time is none.
    """
    try:
        wait = float(request.get("wait") or 0.0)
    except (TypeError, ValueError):
        wait = -1.0
    if not 0 <= wait <= LONGEST_WAIT:
        raise ControlError(f"the wait is not between 0 and {LONGEST_WAIT:.0f} s")
    drainage.drain(wait, _reason(request))
    # The task has to begin before there is a step to tell.
    await asyncio.sleep(0)
    async for step, seconds in drainage.steps():
        yield {"step": step.value, "seconds": seconds}


def undrain(drainage: Drainage) -> DrainView:
    """Put the node back into service; nothing happens to one that is."""
    drainage.undrain()
    return {"step": drainage.step.value, "seconds": 0.0}


def _reason(request: dict[str, Any]) -> str:
    reason = str(request.get("reason") or "")
    if len(reason.encode(errors="replace")) > LONGEST_REASON:
        raise ControlError(
            f"the reason has more than {LONGEST_REASON} octets of UTF-8", "say it in fewer words"
        )
    return reason


def _families(exchange: Exchange, word: str) -> list[Family]:
    if not word:
        return list(exchange.inbound.ribs)
    try:
        family = parse_family(word)
    except ValueError as error:
        raise ControlError(str(error)) from None
    return [family] if family in exchange.inbound.ribs else []


def _refresh(peer: Peer, exchange: Exchange, family: Family, view: RefreshView) -> None:
    if view["direction"] == "out":
        exchange.refresh(family)
    elif not peer.ask_refresh(family):
        view["refused"].append(f"{peer.name}: the peer does not offer route refresh")
        return
    view["asked"].append(f"{peer.name} {family}")
