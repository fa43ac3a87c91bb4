"""``wren status``: what each resource has come to on the node of the running daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_kind, complete_names
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import Table, facts, write_json, write_lines, write_table
from speaker.control.client import ask
from speaker.control.views import (
    ResourceConditionView,
    ResourcesView,
    ResourceView,
    UnconfirmedView,
)
from speaker.moments import show_duration

TYPES = ("Accepted", "Resolved", "Established", "Degraded", "Conflicting")

BAD = {"Accepted": "False", "Resolved": "False", "Degraded": "True", "Conflicting": "True"}
"""What a condition says when something is to be done."""


def status(
    run_dir: RunDirOption,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="A kind, or its alias: bgppeer, bgpp.",
            autocompletion=complete_kind,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One resource.", autocompletion=complete_names),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what each resource has come to: accepted, resolved, its sessions, and what is amiss.

    ESTABLISHED counts the sessions of this node that the resource leads to and that are up.
    """
    answer: ResourcesView = ask(run_dir, "resources", kind=kind or "", name=name or "")
    if output is Output.JSON:
        write_json(answer)
    elif name:
        write_lines(line for item in answer["resources"] for line in show_resource(item))
    else:
        write_table(resource_table(answer["resources"]))
        write_lines(show_troubles(answer))


def resource_table(resources: list[ResourceView]) -> Table:
    """Give a row for each resource."""
    rows = [
        (item["kind"], item["name"], *(_cell(item, type_) for type_ in TYPES)) for item in resources
    ]
    return Table(("KIND", "NAME", *map(str.upper, TYPES)), rows)


def _cell(item: ResourceView, type_: str) -> str:
    found = _find(item, type_)
    if found is None or found["status"] == "Unknown":
        return "-"
    if type_ == "Established":
        return found["message"].partition(":")[0]
    return "yes" if found["status"] == "True" else "no"


def _find(item: ResourceView, type_: str) -> ResourceConditionView | None:
    return next((found for found in item["conditions"] if found["type"] == type_), None)


def show_troubles(answer: ResourcesView) -> list[str]:
    """Give a line for each condition that somebody should look at."""
    lines = [_awaits(answer["unconfirmed"])] if answer["unconfirmed"] else []
    lines += [
        f"{item['kind']}/{item['name']}: {found['type']} is {found['status']} "
        f"({found['reason']}): {found['message']}"
        for item in answer["resources"]
        for found in item["conditions"]
        if BAD.get(found["type"]) == found["status"]
    ]
    return lines + [f"refused: {problem}" for problem in answer["problems"]]


def _awaits(edit: UnconfirmedView) -> str:
    rest = show_duration(edit["remaining"])
    files = ", ".join(edit["files"])
    return f"an edit of {files} awaits 'wren confirm', and is rolled back in {rest}"


def show_resource(item: ResourceView) -> list[str]:
    """Give all conditions of one resource, each with its sentence."""
    lines = [f"{item['kind']} {item['name']}"]
    lines += facts([("in", item["place"])], indent="  ")
    lines += facts(
        [
            (found["type"], f"{found['status']:<7}  {found['reason']}: {found['message']}")
            for found in item["conditions"]
        ],
        indent="  ",
    )
    return lines + [f"  warning: {warning}" for warning in item["warnings"]]
