"""``wren plan``: what an edit of the resources would do to the sessions of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from speaker.cli.options import NodeOption, Output, OutputOption
from speaker.cli.resolve import conditions_aside, plan_of
from speaker.cli.tables import write_json, write_lines
from speaker.config.changes import (
    AddPeer,
    Change,
    RemovePeer,
    RenamePeer,
    ResetPeer,
    changes,
    with_standing,
)
from speaker.config.plan import Plan


def plan(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The resources as they are.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The resources as they would be.")],
    node: NodeOption,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what an edit would do to a node: sessions that reset and why, peers that come and go.

    Exits with 0 also when something would change.
    """
    before, after = plan_of(old, node), plan_of(new, node)
    after = with_standing(after, before, before.peers)
    found = changes(before, after)
    if output is Output.JSON:
        write_json(plan_changes_json(before, after, found))
    else:
        write_lines(show_changes(before, after, found))
    conditions_aside(after)


def show_changes(before: Plan, after: Plan, found: list[Change]) -> list[str]:
    """Give one line that counts, and a sentence for each change."""
    data = plan_changes_json(before, after, found)
    counts = (
        f"{len(data['resets'])} reset, {len(data['added'])} added, "
        f"{len(data['removed'])} removed, {len(data['kept'])} kept"
    )
    sentences = [f"  {change.describe()}" for change in found]
    return [f"node {after.node}: sessions: {counts}", *(sentences or ["  nothing changes"])]


def plan_changes_json(before: Plan, after: Plan, found: list[Change]) -> dict[str, Any]:
    """Give the object of ``wren plan -o json``; ``kept`` are the sessions that stay up."""
    resets = {change.name: change for change in found if isinstance(change, ResetPeer)}
    added = [change.name for change in found if isinstance(change, AddPeer)]
    return {
        "node": after.node,
        "resets": [
            {"peer": change.name, "fields": list(change.fields), "reason": change.reason}
            for change in resets.values()
        ],
        "added": added,
        "removed": [change.name for change in found if isinstance(change, RemovePeer)],
        "renamed": [
            {"from": change.name, "to": change.plan.name}
            for change in found
            if isinstance(change, RenamePeer)
        ],
        "kept": [name for name in after.peers if name not in resets and name not in added],
        "changes": [
            {"type": type(change).__name__, "description": change.describe()} for change in found
        ],
    }
