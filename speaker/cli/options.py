"""Options that several commands have, and where their defaults come from."""

from __future__ import annotations

import os
from enum import StrEnum
from ipaddress import ip_interface
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsm.family import name_of, parse_family
from speaker.control.protocol import SOCKET_NAME

if TYPE_CHECKING:
    from speaker.control.views import DatastoreView

NODENAME_FILE = Path("/var/lib/calico/nodename")
"""Where Calico's own start-up leaves the name of the node."""


class Output(StrEnum):
    """What a command prints."""

    TEXT = "text"
    JSON = "json"


SYSTEM_RUN_DIR = Path("/run/wren")
"""The run directory of a daemon that belongs to the system."""


def default_run_dir() -> Path:
    """Give the run directory of a daemon that was not told another one.

    A service of systemd has the one that its RuntimeDirectory makes.
    """
    made = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if made:
        return Path(made)
    if os.geteuid() == 0:
        return SYSTEM_RUN_DIR
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}") / "wren"


def likely_run_dir(system: Path = SYSTEM_RUN_DIR) -> Path:
    """Give the run directory of the daemon that a command means: one's own, else the system's."""
    own = default_run_dir()
    if not os.path.exists(own / SOCKET_NAME) and os.path.exists(system / SOCKET_NAME):
        return system
    return own


def default_node(file: Path = NODENAME_FILE) -> str:
    """Give the name that Calico's start-up wrote down, empty if there is none."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _need_node(name: str) -> str:
    if not name:
        raise typer.BadParameter(f"give it, or set NODENAME, or write it to {NODENAME_FILE}")
    return name


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="What to print.")]

RunDirOption = Annotated[
    Path,
    typer.Option(
        "--run-dir",
        envvar="WREN_RUN_DIR",
        default_factory=likely_run_dir,
        show_default="$XDG_RUNTIME_DIR/wren if a daemon is there, or /run/wren",
        help="The daemon's directory for its socket and state.",
    ),
]

OwnRunDirOption = Annotated[
    Path,
    typer.Option(
        "--run-dir",
        envvar="WREN_RUN_DIR",
        default_factory=default_run_dir,
        show_default="/run/wren, or $XDG_RUNTIME_DIR/wren",
        help="The daemon's directory for its socket and state.",
    ),
]

UserOption = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="USER[:GROUP]",
        help="The user that the daemon is to be, by name or number; root starts it.",
        show_default="who starts it",
    ),
]

DatastoreOption = Annotated[
    Path | None,
    typer.Option(
        "--datastore",
        metavar="DIR",
        envvar="WREN_DATASTORE",
        show_default="what the running daemon has",
        help="The directory of Calico's resources.",
    ),
]


def find_datastore(given: Path | None, run_dir: Path) -> Path:
    """Give the directory of resources: the one that was said, else the running daemon's.

    Raises:
        ControlError: the daemon does not say.
    """
    if given is not None:
        return given
    # Imported here: who says where the resources are need not ask.
    from speaker.control.client import NotRunning, ask

    try:
        answer: DatastoreView = ask(run_dir, "datastore")
    except NotRunning:
        raise typer.BadParameter(
            "give it, or set WREN_DATASTORE; no daemon runs that could be asked for its own",
            param_hint="--datastore",
        ) from None
    return Path(answer["path"])


def _complete_node(ctx: typer.Context, incomplete: str) -> list[str]:
    # Imported here: only a shell that completes has to read resources for this.
    from speaker.cli.completion import complete_node

    return complete_node(ctx, incomplete)


NodeOption = Annotated[
    str,
    typer.Option(
        "--node",
        envvar="NODENAME",
        default_factory=default_node,
        callback=_need_node,
        show_default=f"what {NODENAME_FILE} says",
        help="The name of the Node.",
        autocompletion=_complete_node,
    ),
]


TableOption = Annotated[
    int, typer.Option("--table", min=1, max=2**32 - 1, help="The kernel's table for routes.")
]

ProtocolOption = Annotated[
    int,
    typer.Option(
        "--protocol", min=5, max=255, help="The number that marks our routes; 12 is BIRD's."
    ),
]

StrictSecretsOption = Annotated[
    bool, typer.Option("--strict-secrets", help="Hold sessions down whose password is missing.")
]


NodeIfKnownOption = Annotated[
    str,
    typer.Option(
        "--node",
        envvar="NODENAME",
        default_factory=default_node,
        show_default=f"what {NODENAME_FILE} says, else the running daemon's, else all",
        help="The name of the Node.",
        autocompletion=_complete_node,
    ),
]

AllNodesOption = Annotated[
    bool, typer.Option("--all-nodes", help="All nodes of the datastore, not this one alone.")
]


def running_daemon(path: Path, run_dir: Path) -> DatastoreView | None:
    """Ask the daemon what it runs on; None if its resources are not those at a path."""
    # Imported here: who names a node need not ask.
    from speaker.control.client import ask
    from speaker.control.protocol import ControlError

    try:
        answer: DatastoreView = ask(run_dir, "datastore")
    except ControlError:
        return None
    return answer if Path(answer["path"]) == path.resolve() else None


def this_node(running: DatastoreView | None) -> str:
    """Give the name of this node, empty if nobody says it; the daemon is the last one asked."""
    known = os.environ.get("NODENAME") or default_node()
    return known or ("" if running is None else running["node"])


def family_name(text: str) -> str:
    """Give the one name of a family, whatever somebody calls it."""
    try:
        return name_of(parse_family(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--family") from None


def read_prefix(text: str) -> str:
    """Make the one spelling of a prefix; an address is a prefix of its whole length."""
    if "%" in text:
        raise typer.BadParameter(
            f"{text!r} names a link; routes have none, so give it without", param_hint="PREFIX"
        )
    try:
        found = ip_interface(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no prefix and no address", param_hint="PREFIX"
        ) from None
    if found.ip != found.network.network_address:
        message = f"{text} has host bits set; the prefix is {found.network}"
        raise typer.BadParameter(message, param_hint="PREFIX")
    return str(found.network)
