"""What the log says of the kernel."""

from __future__ import annotations

import logging

from speaker.log.output import say


def kernel_adopted(family: str, count: int) -> None:
    """Routes of an earlier run were found."""
    say(
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
    say(
        logging.INFO,
        "kernel_found",
        f"kernel routes {how}{mode}",
        nexthop_objects=nexthop_objects,
        nexthop_compat=nexthop_compat,
    )


def kernel_said(event: str, sentence: str, *, warning: bool = False) -> None:
    """The kernel thread has something to tell."""
    say(logging.WARNING if warning else logging.INFO, event, sentence)
