"""``wren run``: the daemon in the foreground.

Only arguments are dealt with here; the router itself is `speaker.daemon`. What the machine refuses
(a port, a privilege) becomes one line that says what to do.
"""

from __future__ import annotations

import errno
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from speaker.bfd.bfdd import SOCKET
from speaker.cli.options import (
    NodeOption,
    OwnRunDirOption,
    ProtocolOption,
    StrictSecretsOption,
    TableOption,
    UserOption,
)
from speaker.control.access import Access
from speaker.daemon import run as run_daemon
from speaker.errors import ConfigError, SpeakerError
from speaker.privileges.users import group_of, name_of_user
from speaker.run_options import RunOptions


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


class NexthopCompat(StrEnum):
    """What becomes of net.ipv4.nexthop_compat_mode."""

    KEEP = "keep"
    OFF = "off"


class ControlReaders(StrEnum):
    """Who may look by commands, beside those who may change things."""

    NOBODY = "nobody"
    EVERYBODY = "everybody"


class Loop(StrEnum):
    """Which event loop carries the router."""

    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


def run(
    datastore: Annotated[
        Path,
        typer.Option(
            metavar="DIR", envvar="WREN_DATASTORE", help="The directory of Calico's resources."
        ),
    ],
    node: NodeOption,
    run_dir: OwnRunDirOption,
    log: Annotated[LogFormat, typer.Option(help="The form of the log.")] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(help="What is logged.", show_default="what BGPConfiguration says, else info"),
    ] = None,
    kernel: Annotated[
        bool, typer.Option("--kernel/--no-kernel", help="Install routes into the kernel, or not.")
    ] = True,
    table: TableOption = 254,
    protocol: ProtocolOption = 12,
    nexthop_objects: Annotated[
        bool,
        typer.Option(
            "--nexthop-objects/--no-nexthop-objects",
            help="Let routes name next-hop objects where the kernel has them, or carry their hops.",
        ),
    ] = True,
    nexthop_compat: Annotated[
        NexthopCompat,
        typer.Option(help="off: set net.ipv4.nexthop_compat_mode to 0; keep: leave it."),
    ] = NexthopCompat.KEEP,
    withdraw_on_exit: Annotated[
        bool, typer.Option("--withdraw-on-exit", help="Remove our kernel routes when stopped.")
    ] = False,
    strict_secrets: StrictSecretsOption = False,
    takeover: Annotated[
        bool,
        typer.Option(
            "--takeover", help="Take the place of the daemon that runs: no connection is refused."
        ),
    ] = False,
    bfd: Annotated[
        str,
        typer.Option(
            metavar="own|frr[:SOCKET]",
            help="Who watches peers by BFD: a process of our own, or FRR's bfdd by its control "
            "socket.",
        ),
    ] = "own",
    user: UserOption = None,
    control_group: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="Whose members may change things by commands, beside root and the daemon's user.",
            show_default="nobody's",
        ),
    ] = None,
    control_readers: Annotated[
        ControlReaders,
        typer.Option(help="Who else may look: everybody on this machine, or nobody."),
    ] = ControlReaders.NOBODY,
    hook: Annotated[
        Path | None,
        typer.Option(
            metavar="PROGRAM",
            help="Run a program for each change of a session and of BFD.",
            show_default=False,
        ),
    ] = None,
    loop: Annotated[Loop, typer.Option(help="The event loop.")] = Loop.UVLOOP,
) -> None:
    """Run the router in the foreground until SIGTERM or SIGINT.

    It needs CAP_NET_ADMIN for kernel routes (not with --no-kernel), and CAP_NET_BIND_SERVICE for
    port 179, and gives up all other rights that it has. Edits of the datastore take effect by
    themselves.
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
        nexthop_objects=nexthop_objects,
        nexthop_compat=nexthop_compat is NexthopCompat.KEEP,
        run_dir=run_dir,
        withdraw_on_exit=withdraw_on_exit,
        strict_secrets=strict_secrets,
        bfd=_bfd(bfd),
        hook=None if hook is None else _program(hook),
        loop=loop.value,
        takeover=takeover,
        user=user,
        access=Access(
            None if control_group is None else group_of(control_group),
            control_readers is ControlReaders.EVERYBODY,
        ),
    )
    try:
        raise typer.Exit(run_daemon(options))
    except OSError as error:
        raise explained(error) from error


def _program(path: Path) -> Path:
    """Check that a program can be run; the path is made absolute, since it is run elsewhere."""
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigError(
            f"--hook {path}: there is no such program", "name a file that can be executed"
        )
    return path.absolute()


def _bfd(text: str) -> Path | None:
    """Read who watches peers."""
    word, _, path = text.partition(":")
    if word == "own" and not path:
        return None
    if word == "frr":
        return Path(path or SOCKET)
    raise ConfigError(f"--bfd {text}: nobody is known by that name", "write own, frr or frr:SOCKET")


def explained(error: OSError) -> SpeakerError:
    """Say what can be done about an error of the machine."""
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = "another BGP speaker has the port; stop it, or set listenPort in BGPConfiguration"
    elif error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        hint = (
            f"let {name_of_user(os.geteuid())}, who the daemon is, read it: root too is held to"
            " what a file's mode says"
        )
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = (
            "run as root or with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, "
            "or with --no-kernel and a listenPort above 1023"
        )
    return ConfigError(str(error), hint)
