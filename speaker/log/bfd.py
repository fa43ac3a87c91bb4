"""What the log says of BFD."""

from __future__ import annotations

import logging

from speaker.log.output import say


def bfd_process_started(scheduling: str) -> None:
    """The BFD process runs."""
    level = logging.WARNING if scheduling == "normal" else logging.INFO
    more = f", {scheduling}"
    if scheduling == "normal":
        more = " without priority: it needs CAP_SYS_NICE at the start, or LimitRTPRIO=2"
    say(level, "bfd_process_started", f"BFD process started{more}", scheduling=scheduling)


def bfd_process_adopted(pid: int) -> None:
    """The BFD process of an earlier run goes on for us."""
    say(
        logging.INFO,
        "bfd_process_adopted",
        f"BFD process {pid} has watched on meanwhile, and is ours now",
        pid=pid,
    )


def bfd_process_left(pid: int, seconds: float) -> None:
    """We end, and the BFD process goes on for the next run."""
    say(
        logging.INFO,
        "bfd_process_left",
        f"BFD process {pid} watches on for the next run, for {seconds:.0f} s at the most",
        pid=pid,
        seconds=seconds,
    )


def bfd_process_replaced(pid: int, version: str) -> None:
    """The BFD process of an earlier run is of another version: a new one has its sessions."""
    say(
        logging.INFO,
        "bfd_process_replaced",
        f"BFD process {pid} of version {version} has given its sessions to a new one",
        pid=pid,
        version=version,
    )


def bfd_process_ended(why: str) -> None:
    """The BFD process is gone, or did not come about; it is started again."""
    say(
        logging.ERROR,
        "bfd_process_ended",
        f"BFD process ended: {why}; it is started again, and nobody counts as down meanwhile",
        why=why,
    )


def bfd_process_hangs(pid: int) -> None:
    """The BFD process does not answer; another one takes its place."""
    say(
        logging.ERROR,
        "bfd_process_hangs",
        f"the BFD process {pid} does not answer, and is killed",
        pid=pid,
    )


def bfdd_found(path: str) -> None:
    """FRR's bfdd listens to us."""
    say(logging.INFO, "bfdd_found", f"BFD by FRR's bfdd at {path}", path=path)


def bfdd_lost(path: str, why: str) -> None:
    """FRR's bfdd is not there, or no longer; it is looked for until it is."""
    say(
        logging.ERROR,
        "bfdd_lost",
        f"FRR's bfdd at {path}: {why}; it is looked for, and nobody counts as down meanwhile",
        path=path,
        why=why,
    )


def bfdd_refused(address: str, why: str) -> None:
    """FRR's bfdd does not watch a peer."""
    say(
        logging.ERROR, "bfdd_refused", f"BFD does not watch {address}: {why}", peer=address, why=why
    )


def bfd_said(address: str, *, is_up: bool, failed: bool, diagnostic: str) -> None:
    """A BFD session is up, or no longer."""
    if is_up:
        sentence = f"BFD: {address} is up"
    elif failed:
        sentence = f"BFD: {address} is gone: {diagnostic}"
    else:
        sentence = f"BFD: {address} has ended BFD on purpose; its session goes on without"
    say(
        logging.WARNING if failed else logging.INFO,
        "bfd_said",
        sentence,
        address=address,
        up=is_up,
        failed=failed,
        diagnostic=diagnostic,
    )
