"""What an edit of the resources would do, before it is made: in words, and for programs.

An `Outlook` is worked out from the resources as they are and as they would be. It names the fields
that differ, and for each node that it is asked about the sessions that would come, go or reset
(`speaker.config.changes`). What would be refused stays as it is in force, as with the daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer

from speaker.cli.datastore import need, show_problem
from speaker.cli.forecast import forecast, forecast_lines
from speaker.config.changes import (
    AddPeer,
    Change,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    changes,
    with_standing,
)
from speaker.config.conditions import Condition
from speaker.config.differences import Difference, differences
from speaker.config.plan import Plan
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.rereading import Reader
from speaker.config.store import Resources
from speaker.config.stored import Key, Stored
from speaker.control.views import ForecastView
from speaker.datastore.directory import Succession, read_all
from speaker.datastore.edition import Edition
from speaker.datastore.secret_files import read_secret, secret_folders
from speaker.environment import resolve_here
from speaker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Edit:
    """Resources before and after an edit.

    Attributes:
        problems: what would be refused of it, and was not before.
    """

    before: Resources
    after: Resources
    problems: tuple[Problem, ...] = ()

    @property
    def nodes(self) -> list[str]:
        """Names of all nodes, before or after."""
        return sorted(self.before.nodes.keys() | self.after.nodes.keys())


def edit_of(before: list[Report], after: list[Report]) -> Edit:
    """Find out what an edit makes of what is in force.

    Args:
        before: what was read of the datastore.
        after: what would be read.
    """
    succession = Succession()
    old, new = succession.follow(before), succession.follow(after)
    known = {problem.sentence for problem in old.problems}
    refused = tuple(problem for problem in new.problems if problem.sentence not in known)
    return Edit(old.resources, new.resources, refused)


def edit_in(edition: Edition) -> Edit:
    """Find out what an edition would make of its directory."""
    reader = Reader()
    secrets = [read_secret(folder) for folder in secret_folders(edition.path)]
    before, after = (
        [report for file, text in texts for report in reader.read(text, file)]
        for texts in (edition.originals(), edition.texts())
    )
    return edit_of(before + secrets, after + secrets)


@dataclass(frozen=True, slots=True)
class NodeOutlook:
    """What becomes of one node.

    Attributes:
        before: its plan as it is; None if it has none.
        after: its plan as it would be; None if none could be made.
        error: why not.
        routes: what becomes of the routes of the node, if its daemon could be asked.
    """

    node: str
    before: Plan | None
    after: Plan | None
    error: str
    changes: list[Change] = field(default_factory=list)
    routes: ForecastView | None = None

    @property
    def is_moved(self) -> bool:
        """Whether anything would change."""
        return bool(self.changes) or (self.before is None) != (self.after is None)

    @property
    def conditions(self) -> list[Condition]:
        """What would be wrong, and is not yet."""
        if self.after is None:
            return []
        known = () if self.before is None else self.before.conditions
        return [condition for condition in self.after.conditions if condition not in known]

    def as_json(self) -> dict[str, Any]:
        """Give the object of ``-o json``; ``kept`` are the sessions that stay up."""
        resets = {change.name: change for change in self.changes if isinstance(change, ResetPeer)}
        added = [change.name for change in self.changes if isinstance(change, AddPeer)]
        running = self.after or self.before
        peers = () if running is None else running.peers
        return {
            "node": self.node,
            "error": self.error,
            "resets": [
                {"peer": change.name, "fields": list(change.fields), "reason": change.reason}
                for change in resets.values()
            ],
            "added": added,
            "removed": [change.name for change in self.changes if isinstance(change, RemovePeer)],
            "renamed": [
                {"from": change.name, "to": change.plan.name}
                for change in self.changes
                if isinstance(change, RenamePeer)
            ],
            "kept": [name for name in peers if name not in resets and name not in added],
            "changes": [
                {"type": type(change).__name__, "description": change.describe()}
                for change in self.changes
            ],
            "conditions": [
                {
                    "resource": condition.resource,
                    "severity": condition.severity.value,
                    "reason": condition.reason,
                    "message": condition.message,
                }
                for condition in self.conditions
            ],
            "routes": self.routes,
        }

    def lines(self) -> list[str]:
        """Give one line that counts, and a sentence for each change."""
        data = self.as_json()
        counts = ", ".join(
            f"{len(data[key])} {word}"
            for key, word in (
                ("resets", "reset"),
                ("added", "added"),
                ("removed", "removed"),
                ("kept", "kept"),
            )
        )
        if self.after is None:
            return [f"node {self.node}: {self.error}; what it runs goes on"]
        sentences = [f"  {change.describe()}" for change in self.changes]
        routes = [] if self.routes is None else forecast_lines(self.routes)
        return [
            f"node {self.node}: sessions: {counts}",
            *(sentences or ["  nothing changes"]),
            *(routes if sentences else []),
        ]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an edit would do.

    Attributes:
        differences: what it changes in the resources.
        nodes: what becomes of each node that was asked about.
        problems: what would be refused.
        remark: why nothing is said about routes, if that is worth a word.
    """

    differences: list[Difference]
    nodes: list[NodeOutlook]
    problems: tuple[Problem, ...] = ()
    remark: str = ""

    @property
    def _shown(self) -> list[NodeOutlook]:
        """Those of several nodes that change; one alone in any case."""
        return [node for node in self.nodes if node.is_moved or len(self.nodes) == 1]

    def as_json(self) -> dict[str, Any]:
        """Give the object of ``-o json``."""
        return {
            "resources": [difference.as_json() for difference in self.differences],
            "nodes": [node.as_json() for node in self._shown],
            "unchanged": []
            if len(self.nodes) == 1
            else [n.node for n in self.nodes if not n.is_moved],
            "refused": [show_problem(problem) for problem in self.problems],
        }

    def lines(self) -> list[str]:
        """Give what is printed."""
        found = [difference.describe() for difference in self.differences]
        shown = self._shown
        found += [line for node in shown for line in node.lines()]
        rest = len(self.nodes) - len(shown)
        if rest:
            others = "other " if shown else ""
            found.append(f"{rest} {others}{'node' if rest == 1 else 'nodes'}: nothing changes")
        return found

    def asides(self) -> Iterable[str]:
        """Give what goes to stderr: what would be refused, and what would be wrong."""
        for problem in self.problems:
            yield f"refused: {show_problem(problem)}"
        conditions = dict.fromkeys(
            condition for node in self.nodes for condition in node.conditions
        )
        for condition in conditions:
            yield f"{condition.severity.value}: {condition.resource}: {condition.message}"
        if self.remark:
            yield self.remark


def outlook_of(edit: Edit, nodes: Sequence[str], *, strict_secrets: bool = False) -> Outlook:
    """Work out what an edit would do to nodes.

    Args:
        edit: the resources before and after.
        nodes: their names.
        strict_secrets: sessions whose password is missing are held down.

    Raises:
        ConfigError: the only node that is asked about has no plan, before or after.
    """
    found = [_of_node(edit, node, strict_secrets) for node in nodes]
    if len(found) == 1 and found[0].before is None and found[0].after is None:
        resolve_here(edit.after, nodes[0])
    return Outlook(differences(edit.before, edit.after), found, edit.problems)


def with_routes(
    outlook: Outlook, running: str, run_dir: Path, after: Callable[[], Mapping[Key, Stored]]
) -> Outlook:
    """Add what becomes of the routes of a node whose daemon runs on these resources.

    Args:
        outlook: what is known without it.
        running: its name.
        run_dir: of the daemon.
        after: gives the resources as they would be.
    """
    if not any(node.node == running and node.changes for node in outlook.nodes):
        return outlook
    found = forecast(run_dir, outlook.differences, after())
    if isinstance(found, str):
        return replace(outlook, remark=found)
    nodes = [
        replace(node, routes=found) if node.node == running else node for node in outlook.nodes
    ]
    return replace(outlook, nodes=nodes)


def _of_node(edit: Edit, node: str, strict_secrets: bool) -> NodeOutlook:
    before, _ = _plan(edit.before, node, strict_secrets)
    after, error = _plan(edit.after, node, strict_secrets)
    if after is None:
        return NodeOutlook(node, before, None, error)
    if before is None:
        return NodeOutlook(node, None, after, "", [AddPeer(peer) for peer in after.peers.values()])
    after = with_standing(after, before, before.peers)
    return NodeOutlook(node, before, after, "", changes(before, after))


def _plan(resources: Resources, node: str, strict_secrets: bool) -> tuple[Plan | None, str]:
    try:
        return resolve_here(resources, node, strict_secrets=strict_secrets), ""
    except ConfigError as error:
        return None, error.message


def aside(outlook: Outlook) -> None:
    """Tell on stderr what does not belong to the result."""
    for line in outlook.asides():
        typer.echo(line, err=True)


def edit_between(old: Path, new: Path) -> Edit:
    """Find out what one directory in the place of another one would be.

    Raises:
        ConfigError: there is nothing at one of the paths.
    """
    for path in (old, new):
        need(path)
    before = read_all(old)
    if old.is_dir() and new.is_dir():
        # A refused piece of a file takes nothing out of force that the same file held before.
        before = [
            replace(report, file=str(new / Path(report.file).relative_to(old))) for report in before
        ]
    return edit_of(before, read_all(new))
