"""The log vocabulary: one function for each thing that the router can say.

An event has a fixed name, a level and fields; a person reads the sentence, a program the fields.
Nothing else in the project calls a logger, so this file is the list of what may appear. Levels:
*error* needs a human, *warning* may need one, *info* is a change of state, *debug* is all that
happens to sessions.
No secret ever gets here: passwords are of a type that hides itself.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fsm.effects import DownReason, Effect
from fsm.events import Event, SendEvent, Tick
from fsm.graceful import Keep, MakeLongLived, Order, Release, Sweep
from fsm.history import HistoryEntry
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


def settled(user: str, capabilities: list[str]) -> None:
    """The process has given up what it does not need."""
    kept = ", ".join(capabilities) or "none"
    _say(
        logging.INFO,
        "settled",
        f"running as {user}; capabilities: {kept}, and no way to others",
        user=user,
        capabilities=capabilities,
    )


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


def reload_asked() -> None:
    """SIGHUP came."""
    _say(logging.INFO, "reload_asked", "SIGHUP: the resources are read again")


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


def session_left(peer: str, address: str) -> None:
    """A session ends for a planned restart, and the peer is told nothing (RFC 4724 §4.1)."""
    _say(
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
    _say(
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
        _say(logging.DEBUG, "happened", sentence, peer=peer, address=address, what=words)


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


def update_fault(
    peer: str, address: str, fault: str, count: int, prefixes: list[str], octets: bytes
) -> None:
    """An UPDATE had a fault that could be lived with; RFC 7606 §6 wants all of it told."""
    more = f" and {len(prefixes) - 3} more" if len(prefixes) > 3 else ""
    what = f", in an UPDATE about {', '.join(prefixes[:3])}{more}" if prefixes else ""
    _say(
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


def keys_kept(name: str, address: str, why: str) -> None:
    """A session that stands goes on by its old keys, because the new ones cannot be set."""
    _say(
        logging.WARNING,
        "keys_kept",
        f"the session of {name} goes on by the keys that it has: {why}",
        peer=name,
        address=address,
    )


def password_refused(name: str, address: str, why: str) -> None:
    """A session is held down, because its password or its keys cannot be set."""
    _say(
        logging.ERROR,
        "password_refused",
        f"the session of {name} is held down: {why}",
        peer=name,
        address=address,
    )


def stranger(address: str) -> None:
    """Somebody connected who is no peer."""
    _say(
        logging.INFO,
        "stranger",
        f"a connection from {address}, which is no peer's address, is closed",
        address=address,
    )


def more_strangers(count: int) -> None:
    """Others connected who are no peers, or the same ones again."""
    _say(
        logging.INFO,
        "more_strangers",
        f"{count} more connections from addresses that are no peer's were closed",
        count=count,
    )


def range_refused(peers: str, address: str, why: str) -> None:
    """Somebody connected from a range of peers and was turned away."""
    _say(
        logging.WARNING,
        "range_refused",
        f"{peers}: {address} is turned away: {why}",
        range=peers,
        address=address,
        reason=why,
    )


def more_range_refused(peers: str, count: int) -> None:
    """Others connected from a range of peers and were turned away, or the same ones again."""
    _say(
        logging.WARNING,
        "more_range_refused",
        f"{peers}: {count} more connections were turned away",
        range=peers,
        count=count,
    )


def peer_left(peer: str, address: str, why: str) -> None:
    """The session of a peer that nobody names is over, and so is the peer."""
    _say(
        logging.INFO,
        "peer_left",
        f"{peer} ({address}): gone, for its session is over{f': {why}' if why else ''}",
        peer=peer,
        address=address,
        reason=why,
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


def edit_held(files: int, within: float) -> None:
    """An edit is about to be made that is rolled back unless it is confirmed."""
    many = "1 file" if files == 1 else f"{files} files"
    _say(
        logging.INFO,
        "edit_held",
        f"an edit of {many} is rolled back in {within:g} s unless 'wren confirm' comes before",
        files=files,
        within=within,
    )


def edit_confirmed() -> None:
    """The edit that awaited confirmation stays."""
    _say(logging.INFO, "edit_confirmed", "the edit is confirmed")


def edit_rolled_back(why: str, left: list[str]) -> None:
    """The edit that awaited confirmation is taken back, but for what was edited since."""
    sentence = f"the edit is rolled back: {why}"
    if left:
        sentence += f"; edited since, and left as they are: {', '.join(left)}"
    _say(logging.WARNING, "edit_rolled_back", sentence, why=why, left=left)


def edit_not_rolled_back(why: str) -> None:
    """The edit that awaited confirmation could not be taken back."""
    _say(logging.ERROR, "edit_not_rolled_back", f"the edit cannot be rolled back: {why}", why=why)


def document_warning(where: str, message: str) -> None:
    """A document is accepted, but something about it deserves a look."""
    _say(logging.WARNING, "document_warning", f"{where}: {message}", where=where)


def cache_synced(cache: str, place: str, version: int, vrps: int) -> None:
    """A cache has told all that it knows."""
    _say(
        logging.INFO,
        "cache_synced",
        f"RPKICache/{cache} ({place}): in sync, protocol version {version}, {vrps} VRPs",
        cache=cache,
        place=place,
        version=version,
        vrps=vrps,
    )


def cache_failed(cache: str, place: str, why: str, vrps: int) -> None:
    """A cache begins to fail."""
    kept = f"; its {vrps} VRPs stay until they expire" if vrps else ""
    _say(
        logging.WARNING,
        "cache_failed",
        f"RPKICache/{cache} ({place}): {why}{kept}",
        cache=cache,
        place=place,
        why=why,
        vrps=vrps,
    )


def cache_expired(cache: str, place: str) -> None:
    """What a cache said is void, since it has not answered for too long."""
    _say(
        logging.WARNING,
        "cache_expired",
        f"RPKICache/{cache} ({place}): its VRPs have expired and count no more",
        cache=cache,
        place=place,
    )


def report_failed(name: str, why: str) -> None:
    """A CalicoNodeStatus could not be written."""
    _say(
        logging.WARNING,
        "report_failed",
        f"CalicoNodeStatus/{name}: not written: {why}",
        name=name,
        why=why,
    )


def report_cut(maximum: int) -> None:
    """A CalicoNodeStatus cannot hold all routes."""
    _say(
        logging.WARNING,
        "report_cut",
        f"a CalicoNodeStatus has the first {maximum} routes only; ask wren routes for all",
        maximum=maximum,
    )


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


def kernel_found(*, nexthop_objects: bool, nexthop_compat: bool | None) -> None:
    """What the kernel can do, and how it is set."""
    how = "name next-hop objects" if nexthop_objects else "carry their hops"
    mode = "" if nexthop_compat is None else f"; nexthop_compat_mode is {int(nexthop_compat)}"
    _say(
        logging.INFO,
        "kernel_found",
        f"kernel routes {how}{mode}",
        nexthop_objects=nexthop_objects,
        nexthop_compat=nexthop_compat,
    )


def kernel_said(event: str, sentence: str, *, warning: bool = False) -> None:
    """The kernel thread has something to tell."""
    _say(logging.WARNING if warning else logging.INFO, event, sentence)


def not_inherited(what: str) -> None:
    """A descriptor that was passed to us is of no use."""
    _say(
        logging.WARNING,
        "not_inherited",
        f"{what} was passed to this process, which has no use for it; it is closed",
        what=what,
    )


def manager_lost(why: str) -> None:
    """The service manager cannot be told anything."""
    _say(
        logging.WARNING,
        "manager_lost",
        f"the service manager cannot be told how this process is: {why}",
        why=why,
    )


def loop_late(seconds: float, patience: float) -> None:
    """The event loop was held up so long that the watchdog was near."""
    _say(
        logging.WARNING,
        "loop_late",
        f"the event loop was held up for {seconds:.1f} s; the service manager ends this process"
        f" after {patience:g} s",
        seconds=round(seconds, 3),
        patience=patience,
    )


def nobody_to_succeed(run_dir: str) -> None:
    """A take-over was asked for, and no daemon runs."""
    _say(
        logging.INFO,
        "nobody_to_succeed",
        f"no daemon runs with the run directory {run_dir} whose place could be taken; this is an"
        " ordinary start",
        runDir=run_dir,
    )


def taking_over(pid: int, version: str) -> None:
    """The running daemon is about to be asked to leave."""
    _say(
        logging.INFO,
        "taking_over",
        f"taking over from process {pid}, which runs version {version}",
        pid=pid,
        version=version,
    )


def still_there(pid: int) -> None:
    """The daemon that hands over has not given up everything yet."""
    _say(
        logging.WARNING,
        "still_there",
        f"process {pid} has not given up its place yet; this one starts when it has, or when it"
        " is ended",
        pid=pid,
    )


def handing_over(pid: object) -> None:
    """Another process takes this one's place."""
    _say(logging.INFO, "handing_over", f"handing over to process {pid}", pid=pid)


def handed_over() -> None:
    """The other process runs."""
    _say(logging.INFO, "handed_over", "the other process runs; this one ends")


def handover_called_off(pid: object) -> None:
    """Another process asked for the sockets, and then did not go on."""
    _say(
        logging.WARNING,
        "handover_called_off",
        f"process {pid} wanted to take over and did not; nothing has changed",
        pid=pid,
    )


def handover_failed() -> None:
    """Who was to take over is gone, and this process runs on."""
    _say(
        logging.ERROR,
        "handover_failed",
        "the process that took over ended before it ran; this one starts again",
    )


def draining(step: str) -> None:
    """A drain has come to its next step, or is called off."""
    _say(logging.INFO, "draining", f"draining: {step}", step=step)


def not_remembered(reason: str) -> None:
    """Whose sessions were up cannot be read, or kept for the next run."""
    _say(logging.WARNING, "not_remembered", reason, reason=reason)


def selecting(family: str, reason: str) -> None:
    """After a restart, routes of a family are chosen from now on."""
    _say(
        logging.INFO,
        "selecting",
        f"{family} routes are chosen, installed and told from now on ({reason})",
        family=family,
        reason=reason,
    )


def recovered(family: str, reason: str) -> None:
    """Nothing more is waited for after a start; adopted routes that nobody wants go."""
    _say(
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


def turn_failed() -> None:
    """A fault of ours hit a turn of work."""
    logger.exception(
        "an internal error in a turn of work; going on",
        extra={"event": "turn_failed", "fields": {}},
    )


def bfd_process_started(scheduling: str) -> None:
    """The BFD process runs."""
    level = logging.WARNING if scheduling == "normal" else logging.INFO
    more = f", {scheduling}"
    if scheduling == "normal":
        more = " without priority: it needs CAP_SYS_NICE at the start, or LimitRTPRIO=2"
    _say(level, "bfd_process_started", f"BFD process started{more}", scheduling=scheduling)


def bfd_process_adopted(pid: int) -> None:
    """The BFD process of an earlier run goes on for us."""
    _say(
        logging.INFO,
        "bfd_process_adopted",
        f"BFD process {pid} has watched on meanwhile, and is ours now",
        pid=pid,
    )


def bfd_process_replaced(pid: int, version: str) -> None:
    """The BFD process of an earlier run is of another version: a new one has its sessions."""
    _say(
        logging.INFO,
        "bfd_process_replaced",
        f"BFD process {pid} of version {version} has given its sessions to a new one",
        pid=pid,
        version=version,
    )


def bfd_process_ended(why: str) -> None:
    """The BFD process is gone, or did not come about; it is started again."""
    _say(
        logging.ERROR,
        "bfd_process_ended",
        f"BFD process ended: {why}; it is started again, and nobody counts as down meanwhile",
        why=why,
    )


def bfdd_found(path: str) -> None:
    """FRR's bfdd listens to us."""
    _say(logging.INFO, "bfdd_found", f"BFD by FRR's bfdd at {path}", path=path)


def bfdd_lost(path: str, why: str) -> None:
    """FRR's bfdd is not there, or no longer; it is looked for until it is."""
    _say(
        logging.ERROR,
        "bfdd_lost",
        f"FRR's bfdd at {path}: {why}; it is looked for, and nobody counts as down meanwhile",
        path=path,
        why=why,
    )


def bfdd_refused(address: str, why: str) -> None:
    """FRR's bfdd does not watch a peer."""
    _say(
        logging.ERROR, "bfdd_refused", f"BFD does not watch {address}: {why}", peer=address, why=why
    )


def hook_failed(program: str, what: str, why: str, unlogged: int) -> None:
    """An operator's program has failed."""
    more = f"; {unlogged} failures before it were not logged" if unlogged else ""
    _say(
        logging.ERROR,
        "hook_failed",
        f"hook {program} for {what}: {why}{more}",
        program=program,
        what=what,
        why=why,
        unlogged=unlogged,
    )


def hook_works(program: str) -> None:
    """An operator's program has succeeded after it had failed."""
    _say(logging.INFO, "hook_works", f"hook {program} works again", program=program)


def bfd_said(address: str, *, is_up: bool, failed: bool, diagnostic: str) -> None:
    """A BFD session is up, or no longer."""
    if is_up:
        sentence = f"BFD: {address} is up"
    elif failed:
        sentence = f"BFD: {address} is gone: {diagnostic}"
    else:
        sentence = f"BFD: {address} has ended BFD on purpose; its session goes on without"
    _say(
        logging.WARNING if failed else logging.INFO,
        "bfd_said",
        sentence,
        address=address,
        up=is_up,
        failed=failed,
        diagnostic=diagnostic,
    )
