"""What the log says of programs that are run for changes."""

from __future__ import annotations

import logging

from speaker.log.output import say


def hook_failed(program: str, what: str, why: str, unlogged: int) -> None:
    """An operator's program has failed."""
    more = f"; {unlogged} failures before it were not logged" if unlogged else ""
    say(
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
    say(logging.INFO, "hook_works", f"hook {program} works again", program=program)
