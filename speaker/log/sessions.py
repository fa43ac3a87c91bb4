"""What the log says of sessions and their peers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fsm.effects import DownReason, Effect
from fsm.events import Event, SendEvent, Tick
from fsm.graceful import Keep, MakeLongLived, Order, Release, Sweep
from fsm.history import HistoryEntry
from fsm.negotiation import Negotiated
from speaker.log.output import logger, say


def session_established(peer: str, address: str, negotiated: Negotiated) -> None:
    """A session is up."""
    families = ", ".join(sorted(map(str, negotiated.families)))
    say(
        logging.INFO,
        "session_established",
        f"{peer} ({address}): Established with AS {negotiated.peer_asn}, {families},"
        f" hold time {negotiated.hold_time} s",
        peer=peer,
        address=address,
        peerAS=negotiated.peer_asn,
        families=families,
        holdTime=negotiated.hold_time,
    )


def session_down(peer: str, address: str, reason: DownReason, prefixes: int) -> None:
    """A session is no longer up."""
    say(
        logging.WARNING,
        "session_down",
        f"{peer} ({address}): session down, {reason}; {prefixes} prefixes of it go",
        peer=peer,
        address=address,
        reason=str(reason),
        prefixes=prefixes,
    )


def session_left(peer: str, address: str) -> None:
    """A session ends for a planned restart, and the peer is told nothing (RFC 4724 §4.1)."""
    say(
        logging.INFO,
        "session_left",
        f"{peer} ({address}): left without a word, for a restart; it keeps our routes meanwhile",
        peer=peer,
        address=address,
    )


def routes_ordered(peer: str, address: str, order: Order, seconds: float) -> None:
    """Say what becomes of the routes of a peer that restarts.

    Args:
        peer: its name.
        address: its address.
        order: what was decided.
        seconds: for how long they stay at the most.
    """
    families = ", ".join(sorted(map(str, order.families)))
    if not families:
        return
    match order:
        case Keep():
            words = f"its {families} routes stay, for {seconds:.0f} s at the most"
        case MakeLongLived():
            words = f"its {families} routes are a last resort, for {seconds:.0f} s at the most"
        case Release():
            words = f"its {families} routes are not kept any longer"
        case Sweep():
            words = f"what it has not told again of its {families} routes goes"
    say(
        logging.INFO,
        "routes_ordered",
        f"{peer} ({address}): {words}",
        peer=peer,
        address=address,
        order=type(order).__name__,
        families=families,
    )


def happened(peer: str, address: str, event: Event, effects: Iterable[Effect]) -> None:
    """Something happened to a session: a message came, a timer expired, a connection stands.

    UPDATEs that come one behind the other are one event.
    """
    if not logger.isEnabledFor(logging.DEBUG):
        return
    made = tuple(effects)
    if made or not isinstance(event, Tick | SendEvent):
        words = str(HistoryEntry(0.0, event, made))
        sentence = f"{peer} ({address}): {words}"
        say(logging.DEBUG, "happened", sentence, peer=peer, address=address, what=words)


def attempt_failed(peer: str, address: str, side: str, reason: DownReason) -> None:
    """A connection ended before it became Established."""
    say(
        logging.INFO,
        "attempt_failed",
        f"{peer} ({address}): {side} connection ended, {reason}",
        peer=peer,
        address=address,
        side=side,
        reason=str(reason),
    )


def garbage(peer: str, address: str, what: str, octets: bytes) -> None:
    """A peer sent what cannot be."""
    shown = octets[:64].hex(" ") + (" …" if len(octets) > 64 else "")
    say(
        logging.WARNING,
        "garbage",
        f"{peer} ({address}): {what}: {shown}",
        peer=peer,
        address=address,
        what=what,
        octets=octets[:4096].hex(),
    )


def update_fault(
    peer: str, address: str, fault: str, count: int, prefixes: list[str], octets: bytes
) -> None:
    """An UPDATE had a fault that could be lived with; RFC 7606 §6 wants all of it told."""
    more = f" and {len(prefixes) - 3} more" if len(prefixes) > 3 else ""
    what = f", in an UPDATE about {', '.join(prefixes[:3])}{more}" if prefixes else ""
    say(
        logging.WARNING,
        "update_fault",
        f"{peer} ({address}): {fault}{what}; {count} so far",
        peer=peer,
        address=address,
        fault=fault,
        count=count,
        prefixes=prefixes,
        octets=octets.hex(),
    )


def peer_left(peer: str, address: str, why: str) -> None:
    """The session of a peer that nobody names is over, and so is the peer."""
    say(
        logging.INFO,
        "peer_left",
        f"{peer} ({address}): gone, for its session is over{f': {why}' if why else ''}",
        peer=peer,
        address=address,
        reason=why,
    )


def peer_added(peer: str, address: str, asn: int) -> None:
    """A peer is new in the plan."""
    say(
        logging.INFO,
        "peer_added",
        f"{peer}: new peer {address} AS {asn}",
        peer=peer,
        address=address,
        asn=asn,
    )


def selecting(family: str, reason: str) -> None:
    """After a restart, routes of a family are chosen from now on."""
    say(
        logging.INFO,
        "selecting",
        f"{family} routes are chosen, installed and told from now on ({reason})",
        family=family,
        reason=reason,
    )


def recovered(family: str, reason: str) -> None:
    """Nothing more is waited for after a start; adopted routes that nobody wants go."""
    say(
        logging.INFO,
        "recovered",
        f"start of {family} is over ({reason}); unwanted adopted routes go",
        family=family,
        reason=reason,
    )


def peer_failed(peer: str) -> None:
    """A fault of ours hit one peer, which is reset."""
    logger.exception(
        "%s: an internal error; this peer is reset, all others go on",
        peer,
        extra={"event": "peer_failed", "fields": {"peer": peer}},
    )
