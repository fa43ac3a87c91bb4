"""What the log says of the process: its start and end, who manages it, and who succeeds it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from speaker.log.output import logger, say


def settled(user: str, capabilities: list[str]) -> None:
    """The process has given up what it does not need."""
    kept = ", ".join(capabilities) or "none"
    say(
        logging.INFO,
        "settled",
        f"running as {user}; capabilities: {kept}, and no way to others",
        user=user,
        capabilities=capabilities,
    )


def started(node: str, asn: int, router_id: str, peers: int, pid: int) -> None:
    """The router runs."""
    say(
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
    say(logging.INFO, "reload_asked", "SIGHUP: the resources are read again")


def stopped(withdrawn: bool, kernel: bool = True) -> None:
    """The router ends."""
    what = "its kernel routes are withdrawn" if withdrawn else "its kernel routes stay"
    sentence = f"stopped; {what}" if kernel else "stopped"
    say(logging.INFO, "stopped", sentence, withdrawn=withdrawn)


def listening(addresses: Iterable[str], port: int) -> None:
    """Connections are accepted."""
    places = ", ".join(addresses)
    say(logging.INFO, "listening", f"listening on {places} port {port}", port=port)


def not_inherited(what: str) -> None:
    """A descriptor that was passed to us is of no use."""
    say(
        logging.WARNING,
        "not_inherited",
        f"{what} was passed to this process, which has no use for it; it is closed",
        what=what,
    )


def manager_lost(why: str) -> None:
    """The service manager cannot be told anything."""
    say(
        logging.WARNING,
        "manager_lost",
        f"the service manager cannot be told how this process is: {why}",
        why=why,
    )


def loop_late(seconds: float, patience: float) -> None:
    """The event loop was held up so long that the watchdog was near."""
    say(
        logging.WARNING,
        "loop_late",
        f"the event loop was held up for {seconds:.1f} s; the service manager ends this process"
        f" after {patience:g} s",
        seconds=round(seconds, 3),
        patience=patience,
    )


def nobody_to_succeed(run_dir: str) -> None:
    """A take-over was asked for, and no daemon runs."""
    say(
        logging.INFO,
        "nobody_to_succeed",
        f"no daemon runs with the run directory {run_dir} whose place could be taken; this is an"
        " ordinary start",
        runDir=run_dir,
    )


def taking_over(pid: int, version: str) -> None:
    """The running daemon is about to be asked to leave."""
    say(
        logging.INFO,
        "taking_over",
        f"taking over from process {pid}, which runs version {version}",
        pid=pid,
        version=version,
    )


def still_there(pid: int) -> None:
    """The daemon that hands over has not given up everything yet."""
    say(
        logging.WARNING,
        "still_there",
        f"process {pid} has not given up its place yet; this one starts when it has, or when it"
        " is ended",
        pid=pid,
    )


def ordered(command: str, who: str, pid: int) -> None:
    """Somebody has given a command that changes something."""
    say(
        logging.INFO,
        "ordered",
        f"'{command}' is asked for by {who}, process {pid}",
        command=command,
        who=who,
        pid=pid,
    )


def handing_over(pid: object) -> None:
    """Another process takes this one's place."""
    say(logging.INFO, "handing_over", f"handing over to process {pid}", pid=pid)


def handed_over() -> None:
    """The other process runs."""
    say(logging.INFO, "handed_over", "the other process runs; this one ends")


def handover_called_off(pid: object) -> None:
    """Another process asked for the sockets, and then did not go on."""
    say(
        logging.WARNING,
        "handover_called_off",
        f"process {pid} wanted to take over and did not; nothing has changed",
        pid=pid,
    )


def handover_failed() -> None:
    """Who was to take over is gone, and this process runs on."""
    say(
        logging.ERROR,
        "handover_failed",
        "the process that took over ended before it ran; this one starts again",
    )


def draining(step: str) -> None:
    """A drain has come to its next step, or is called off."""
    say(logging.INFO, "draining", f"draining: {step}", step=step)


def not_remembered(reason: str) -> None:
    """Whose sessions were up cannot be read, or kept for the next run."""
    say(logging.WARNING, "not_remembered", reason, reason=reason)


def remembered_again() -> None:
    """Whose sessions are up could not be written for a while, and is."""
    say(logging.INFO, "remembered_again", "whose sessions are up is written again")


def turn_failed() -> None:
    """A fault of ours hit a turn of work."""
    logger.exception(
        "an internal error in a turn of work; going on",
        extra={"event": "turn_failed", "fields": {}},
    )
