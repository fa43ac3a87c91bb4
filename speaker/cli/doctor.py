"""``wren doctor``: is the ground fit for a start?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from speaker.cli.options import (
    DatastoreOption,
    NodeOption,
    Output,
    OutputOption,
    OwnRunDirOption,
    ProtocolOption,
    StrictSecretsOption,
    TableOption,
    UserOption,
    find_datastore,
)
from speaker.cli.tables import write_json, write_lines
from speaker.doctor import Finding, Order, ThisMachine, Verdict, examine
from speaker.doctor.findings import count


def doctor(
    node: NodeOption,
    run_dir: OwnRunDirOption,
    datastore: DatastoreOption = None,
    kernel: Annotated[
        bool, typer.Option("--kernel/--no-kernel", help="Routes are to be installed, or not.")
    ] = True,
    table: TableOption = 254,
    protocol: ProtocolOption = 12,
    takeover: Annotated[
        bool,
        typer.Option(
            "--takeover",
            help="Who runs now is to be replaced: BIRD is stopped before, a Wren hands over.",
        ),
    ] = False,
    strict_secrets: StrictSecretsOption = False,
    user: UserOption = None,
    output: OutputOption = Output.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
) -> None:
    """Look at the ground before a start, or before taking the place of another speaker.

    Nothing is changed, and no rights are needed; what cannot be seen without them is said. Give the
    options that 'wren run' is to get. Exits with 1 if something has to be done first.
    """
    order = Order(
        datastore=find_datastore(datastore, run_dir),
        node=node,
        run_dir=run_dir,
        kernel=kernel,
        table=table,
        protocol=protocol,
        takeover=takeover,
        strict_secrets=strict_secrets,
        user=user,
    )
    findings = list(examine(order, ThisMachine()))
    is_go = not any(finding.verdict is Verdict.PROBLEM for finding in findings)
    if as_json or output is Output.JSON:
        write_json({"go": is_go, "findings": [finding.as_json() for finding in findings]})
    else:
        write_lines([*show(findings), summary(findings)])
    if not is_go:
        raise typer.Exit(1)


def show(findings: Iterable[Finding]) -> list[str]:
    """Give a line for each finding, and below it what to do."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:<7}  {finding.check}: {finding.text}")
        if finding.hint:
            lines.append(f"         -> {finding.hint}")
    return lines


def summary(findings: Iterable[Finding]) -> str:
    """Say whether it is a go, and count."""
    verdicts = [finding.verdict for finding in findings]
    problems, warnings = verdicts.count(Verdict.PROBLEM), verdicts.count(Verdict.WARNING)
    word = "no-go" if problems else "go"
    return f"{word}: {count(problems, 'problem')}, {count(warnings, 'warning')}"
