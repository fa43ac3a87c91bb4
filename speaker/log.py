"""The log vocabulary: one function for each thing that the router can say.

An event has a fixed name, a level and fields; a person reads the sentence, a program the fields.
Nothing else in the project calls a logger, so this file is the list of what may appear. Levels:
*error* needs a human, *warning* may need one, *info* is a change of state, *debug* is for labs.
No secret ever gets here: passwords are of a type that hides itself.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fsm.effects import DownReason
from fsm.negotiation import Negotiated

logger = logging.getLogger("wren")
logger.addHandler(logging.NullHandler())


def _say(level: int, event: str, sentence: str, **fields: Any) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, "%s", sentence, extra={"event": event, "fields": fields})


class TextFormatter(logging.Formatter):
    """One line for people: time, level, sentence."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{moment}Z {record.levelname.lower():7} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def to_stderr(form: str, level: str) -> None:
    """Let the vocabulary speak on standard error.

    Args:
        form: ``text`` or ``json``.
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logger.handlers = [handler]
    logger.propagate = False
    set_level(level)


def set_level(level: str) -> None:
    """Say as much as this from now on."""
    logger.setLevel(level.upper())


_SEVERITIES = {
    "Trace": "debug",
    "Debug": "debug",
    "Info": "info",
    "Warning": "warning",
    "Error": "error",
    "Fatal": "critical",
}


class _Choice:
    """Whether somebody chose a level that the resources do not change."""

    is_made = False


def choose_level(level: str | None) -> None:
    """Say as much as this whatever the resources ask for; None leaves it to them."""
    _Choice.is_made = level is not None
    if level is not None:
        set_level(level)


def set_severity(severity: str) -> None:
    """Say as much as BGPConfiguration asks for by ``logSeverityScreen``, if nobody chose."""
    if not _Choice.is_made:
        set_level(_SEVERITIES.get(severity, "info"))


def started(node: str, asn: int, router_id: str, peers: int, pid: int) -> None:
    """The router runs."""
    _say(
        logging.INFO,
        "started",
        f"node {node}, AS {asn}, router id {router_id}: {peers} peers",
        node=node,
        asn=asn,
        routerID=router_id,
        peers=peers,
        pid=pid,
    )


def stopped(withdrawn: bool, kernel: bool = True) -> None:
    """The router ends."""
    what = "its kernel routes are withdrawn" if withdrawn else "its kernel routes stay"
    sentence = f"stopped; {what}" if kernel else "stopped"
    _say(logging.INFO, "stopped", sentence, withdrawn=withdrawn)


def listening(addresses: Iterable[str], port: int) -> None:
    """Connections are accepted."""
    places = ", ".join(addresses)
    _say(logging.INFO, "listening", f"listening on {places} port {port}", port=port)


def session_established(peer: str, address: str, negotiated: Negotiated) -> None:
    """A session is up."""
    families = ", ".join(sorted(map(str, negotiated.families)))
    _say(
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
    _say(
        logging.WARNING,
        "session_down",
        f"{peer} ({address}): session down, {reason}; {prefixes} prefixes of it go",
        peer=peer,
        address=address,
        reason=str(reason),
        prefixes=prefixes,
    )


def attempt_failed(peer: str, address: str, side: str, reason: DownReason) -> None:
    """A connection ended before it became Established."""
    _say(
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
    _say(
        logging.WARNING,
        "garbage",
        f"{peer} ({address}): {what}: {shown}",
        peer=peer,
        address=address,
        what=what,
        octets=octets[:4096].hex(),
    )


def update_fault(peer: str, address: str, fault: str, count: int) -> None:
    """An UPDATE had a fault that could be lived with (RFC 7606)."""
    _say(
        logging.WARNING,
        "update_fault",
        f"{peer} ({address}): {fault}; {count} so far",
        peer=peer,
        address=address,
        fault=fault,
        count=count,
    )


def stranger(address: str) -> None:
    """Somebody connected who is no peer."""
    _say(
        logging.INFO,
        "stranger",
        f"a connection from {address}, which is no peer's address, is closed",
        address=address,
    )


def peer_added(peer: str, address: str, asn: int) -> None:
    """A peer is new in the plan."""
    _say(
        logging.INFO,
        "peer_added",
        f"{peer}: new peer {address} AS {asn}",
        peer=peer,
        address=address,
        asn=asn,
    )


def change_applied(sentence: str) -> None:
    """A part of an edit is in force."""
    _say(logging.INFO, "change_applied", sentence)


def edit_refused(where: str, message: str) -> None:
    """A document is not accepted; what was in force stays."""
    _say(logging.ERROR, "edit_refused", f"{where}: {message}; what was in force stays", where=where)


def document_warning(where: str, message: str) -> None:
    """A document is accepted, but something about it deserves a look."""
    _say(logging.WARNING, "document_warning", f"{where}: {message}", where=where)


def condition(resource: str, severity: str, reason: str, message: str) -> None:
    """Something in the resources is wrong but isolated."""
    _say(
        logging.ERROR if severity == "error" else logging.WARNING,
        "condition",
        f"{resource}: {message}",
        resource=resource,
        reason=reason,
    )


def kernel_adopted(family: str, count: int) -> None:
    """Routes of an earlier run were found."""
    _say(
        logging.INFO,
        "kernel_adopted",
        f"{count} {family} kernel routes of an earlier run are adopted",
        family=family,
        count=count,
    )


def kernel_said(event: str, sentence: str, *, warning: bool = False) -> None:
    """The kernel thread has something to tell."""
    _say(logging.WARNING if warning else logging.INFO, event, sentence)


def recovered(reason: str) -> None:
    """Nothing more is waited for after a start; adopted routes that nobody wants go."""
    _say(logging.INFO, "recovered", f"start is over ({reason}); unwanted adopted routes go")


def peer_failed(peer: str) -> None:
    """A fault of ours hit one peer, which is reset."""
    logger.exception(
        "%s: an internal error; this peer is reset, all others go on",
        peer,
        extra={"event": "peer_failed", "fields": {"peer": peer}},
    )


def turn_failed() -> None:
    """A fault of ours hit a turn of work."""
    logger.exception(
        "an internal error in a turn of work; going on",
        extra={"event": "turn_failed", "fields": {}},
    )
