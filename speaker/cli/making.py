"""How an edit of the datastore is made by a command: for good, on approval, or only looked at.

All commands that edit prepare an `Edition` and hand it to `Making.make`. With ``--dry-run`` nothing
is locked and nothing written; what the edit would do is told instead, as by ``wren plan``. With
``--confirm-within`` the running daemon is asked beforehand to roll the edit back unless it is
confirmed; if the command fails in between, it is asked to do so at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from speaker.cli.options import Output, find_datastore, running_daemon, this_node
from speaker.cli.outlook import Outlook, aside, edit_in, outlook_of, with_routes
from speaker.cli.tables import write_json, write_lines
from speaker.config.scalars import ScalarError, parse_duration
from speaker.control.client import NotRunning, ask
from speaker.control.protocol import ControlError
from speaker.control.views import DatastoreView, UnconfirmedView
from speaker.datastore.edition import Edition, editing, look
from speaker.datastore.files import FileChange
from speaker.datastore.unconfirmed import digest
from speaker.errors import ConfigError
from speaker.moments import show_moment

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what it would do, as wren plan; write nothing.")
]


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ScalarError as error:
        raise typer.BadParameter(str(error)) from None


ConfirmWithinOption = Annotated[
    float | None,
    typer.Option(
        "--confirm-within",
        metavar="TIME",
        parser=_seconds,
        help="Have it rolled back unless 'wren confirm' follows in this time: 90s, 2m.",
    ),
]
EveryNodeOption = Annotated[
    bool, typer.Option("--all-nodes", help="With --dry-run: on all nodes, not on this one alone.")
]


@dataclass(slots=True)
class Making:
    """How one command makes its edit.

    Attributes:
        run_dir: of the daemon that may be asked.
        datastore: the directory, if it was named.
        dry_run: whether the edit is only looked at.
        all_nodes: whether it is looked at on all nodes.
        within: seconds after which it is rolled back unless it is confirmed.
    """

    run_dir: Path
    datastore: Path | None
    dry_run: bool = False
    all_nodes: bool = False
    within: float | None = None
    _held: UnconfirmedView | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.dry_run and self.within is not None:
            raise typer.BadParameter("not together with --dry-run", param_hint="--confirm-within")
        if self.all_nodes and not self.dry_run:
            raise typer.BadParameter("only together with --dry-run", param_hint="--all-nodes")

    @contextmanager
    def editing(self) -> Iterator[Edition]:
        """Read the datastore, to edit it or to look.

        Raises:
            ConfigError: there is none, or it cannot be locked.
            ControlError: the daemon does not say where it is.
        """
        path = find_datastore(self.datastore, self.run_dir)
        if self.dry_run:
            yield look(path)
            return
        try:
            with editing(path) as edition:
                yield edition
        except BaseException:
            if self._held is not None:
                # Whatever of it was written goes again; the lock is free by now.
                with suppress(ControlError):
                    ask(self.run_dir, "rollback")
            raise

    def make(self, edition: Edition) -> Made:
        """Make the edit, or find out what it would do.

        Raises:
            ConfigError: a file cannot be edited or written, or changed meanwhile; or no daemon
                runs that could roll the edit back.
            ControlError: the daemon does not hold the edit.
        """
        if not self.dry_run:
            if self.within is not None and (changes := edition.changes()):
                self._held = _hold(self.run_dir, edition.path, changes, self.within)
            edition.write()
            return Made(held=self._held)
        edit = edit_in(edition)
        running = running_daemon(edition.path, self.run_dir)
        node = "" if self.all_nodes else this_node(running)
        strict = running is not None and running["strictSecrets"]
        outlook = outlook_of(edit, [node] if node else edit.nodes, strict_secrets=strict)
        if running is not None:
            name = running["node"]
            outlook = with_routes(outlook, name, self.run_dir, lambda: edition.resources)
        return Made(outlook)


def _hold(
    run_dir: Path, datastore: Path, changes: Sequence[FileChange], within: float
) -> UnconfirmedView:
    """Have the daemon hold an edit that is about to be written."""
    try:
        answer: DatastoreView = ask(run_dir, "datastore")
    except NotRunning as error:
        raise ConfigError(
            f"{error.message}, to roll the edit back; nothing was written",
            "start one, or make the edit without --confirm-within",
        ) from None
    if Path(answer["path"]) != datastore.resolve():
        raise ConfigError(
            f"the daemon's datastore is {answer['path']}, so it cannot roll back an edit of"
            f" {datastore}; nothing was written",
            "name the daemon's run directory with --run-dir",
        )
    files = [
        {
            "name": str(change.path.relative_to(datastore)),
            "before": digest(change.before),
            "after": digest(change.after),
        }
        for change in changes
    ]
    held: UnconfirmedView = ask(run_dir, "hold", within=within, files=files)
    return held


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an edit.

    Attributes:
        outlook: what it would do, if it was only looked at.
        held: until when it has to be confirmed, if it has.
    """

    outlook: Outlook | None = None
    held: UnconfirmedView | None = None

    def tell(
        self, said: Sequence[str], refused: Sequence[str], data: dict[str, Any], output: Output
    ) -> None:
        """Print what was done, or would be.

        Args:
            said: lines about what was done.
            refused: lines about what was not.
            data: the same for programs.
            output: who is to read it.
        """
        outlook = self.outlook
        if output is Output.JSON:
            if outlook is not None:
                data = {**data, "dryRun": True, "plan": outlook.as_json()}
            if self.held is not None:
                data = {**data, "confirmBy": self.held["deadline"]}
            write_json(data)
            return
        if outlook is not None:
            write_lines(outlook.lines())
            aside(outlook)
            said = [f"{line} (dry run)" for line in said]
        write_lines(said)
        if self.held is not None:
            moment = show_moment(self.held["deadline"]).partition(".")[0]
            typer.echo(
                f"it is rolled back at {moment} unless 'wren confirm' comes before", err=True
            )
        for line in refused:
            typer.echo(line, err=True)
