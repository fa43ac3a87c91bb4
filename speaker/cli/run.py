"""``wren run``: the daemon in the foreground.

Only arguments are dealt with here; the router itself is `speaker.daemon`. What the machine refuses
(a port, a privilege) becomes one line that says what to do.
"""

from __future__ import annotations

import errno
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from speaker.cli.options import NodeOption, RunDirOption
from speaker.daemon import RunOptions
from speaker.daemon import run as run_daemon
from speaker.errors import ConfigError, SpeakerError


class LogFormat(StrEnum):
    """What a line of the log looks like."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """What is worth a line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Loop(StrEnum):
    """Which event loop carries the router."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


def run(
    datastore: Annotated[
        Path, typer.Option(metavar="DIR", help="The directory of Calico's resources.")
    ],
    node: NodeOption,
    run_dir: RunDirOption,
    log: Annotated[LogFormat, typer.Option(help="The form of the log.")] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(help="What is logged.", show_default="what BGPConfiguration says, else info"),
    ] = None,
    kernel: Annotated[
        bool, typer.Option("--kernel/--no-kernel", help="Install routes into the kernel, or not.")
    ] = True,
    table: Annotated[
        int, typer.Option(min=1, max=2**32 - 1, help="The kernel's table for routes.")
    ] = 254,
    protocol: Annotated[
        int, typer.Option(min=5, max=255, help="The number that marks our routes; 12 is BIRD's.")
    ] = 12,
    withdraw_on_exit: Annotated[
        bool, typer.Option("--withdraw-on-exit", help="Remove our kernel routes when stopped.")
    ] = False,
    loop: Annotated[Loop, typer.Option(help="The event loop.")] = Loop.UVLOOP,
) -> None:
    """Run the router in the foreground until SIGTERM or SIGINT.

    It needs CAP_NET_ADMIN for kernel routes (not with --no-kernel) and for TCP-MD5 keys, and
    CAP_NET_BIND_SERVICE for port 179. Edits of the datastore take effect by themselves.
    """
    if not datastore.exists():
        raise ConfigError(
            f"there is no datastore {datastore}", "name a directory of resources with --datastore"
        )
    options = RunOptions(
        datastore=datastore,
        node=node,
        log_format=log.value,
        log_level=None if log_level is None else log_level.value,
        kernel=kernel,
        table=table,
        protocol=protocol,
        run_dir=run_dir,
        withdraw_on_exit=withdraw_on_exit,
        loop=loop.value,
    )
    try:
        raise typer.Exit(run_daemon(options))
    except OSError as error:
        raise explained(error) from error


def explained(error: OSError) -> SpeakerError:
    """Say what can be done about an error of the machine."""
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = "another BGP speaker has the port; stop it, or set listenPort in BGPConfiguration"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = (
            "run as root or with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, "
            "or with --no-kernel and a listenPort above 1023"
        )
    return ConfigError(str(error), hint)
