"""``wren delete``: resources out of the datastore, by kind and name or as files name them."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.completion import complete_kind, complete_names, complete_node
from speaker.cli.given import (
    FilesOption,
    RecursiveOption,
    SkipEmptyOption,
    kind_of,
    read_named,
    refuse,
)
from speaker.cli.making import ConfirmWithinOption, DryRunOption, EveryNodeOption, Making
from speaker.cli.options import DatastoreOption, Output, OutputOption, RunDirOption
from speaker.cli.outcome import Outcome, tell
from speaker.config.documents import Document
from speaker.config.kinds import Kind
from speaker.config.legacy_peers import Scope, is_address, peers_at
from speaker.config.stored import Stored
from speaker.config.trees import spec_of
from speaker.config.updates import version_given
from speaker.datastore.edition import Edition


def delete(
    run_dir: RunDirOption,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="bgppeer, node …", autocompletion=complete_kind),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names.", autocompletion=complete_names),
    ] = None,
    filename: FilesOption = None,
    datastore: DatastoreOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    skip_not_exists: Annotated[
        bool,
        typer.Option("--skip-not-exists", "-s", help="What does not exist counts as deleted."),
    ] = False,
    scope: Annotated[
        Scope | None, typer.Option("--scope", help="Of a bgpPeer that is named by its address.")
    ] = None,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NAME", help="The same.", autocompletion=complete_node),
    ] = None,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete resources. Exits with 1 if one does not exist; the others are deleted.

    A bgpPeer may be named as in Calico 2.x: by its address, with --scope and --node.
    """
    if filename and kind:
        raise typer.BadParameter("give a kind and names, or files, not both", param_hint="KIND")
    if not filename and not (kind and names):
        raise typer.BadParameter("give a kind and names, or files with -f", param_hint="KIND")
    given = read_named(filename, recursive=recursive, skip_empty=skip_empty) if filename else []
    asked = kind_of(kind) if kind else None
    if (scope or node) and asked is not Kind.BGP_PEER:
        raise typer.BadParameter("only a bgpPeer has a scope and a node", param_hint="--scope")
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    with making.editing() as edition:
        if asked:
            given = [_find(edition, asked, name, scope, node) for name in names or ()]
        outcome = enact_deletion(edition, given, skip_not_exists=skip_not_exists)
        made = making.make(edition)
    tell(outcome, made, output)


def _find(edition: Edition, kind: Kind, name: str, scope: Scope | None, node: str | None) -> Stored:
    """Find what somebody means; one that does not exist is still what was meant."""
    meant = edition.resources.get((kind, name))
    if meant is None and kind is Kind.BGP_PEER and is_address(name):
        scope = scope or (Scope.NODE if node else None)
        if scope is None:
            refuse(f"insufficient identifiers, missing 'scope': say --scope for bgpPeer {name}")
        if scope is Scope.NODE and not node:
            refuse(f"insufficient identifiers, missing 'node': say --node for bgpPeer {name}")
        at = peers_at(edition.resources.values(), name, scope, node)
        # What is the peering of all nodes that a selector selects is not this node's to delete.
        found = [each for each in at if not spec_of(each.tree).get("nodeSelector")]
        if len(found) > 1:
            known = ", ".join(each.name for each in found)
            refuse(f"several BGPPeers have the address {name} there: {known}; delete one by name")
        meant = found[0] if found else None
    return meant or Stored(kind, name, Document("", 0, {"metadata": {"name": name}}, {}))


def enact_deletion(
    edition: Edition, given: list[Stored], *, skip_not_exists: bool = False
) -> Outcome:
    """Take resources out of an edition; nothing is written."""
    outcome = Outcome("delete", "deleted", given)
    for resource in given:
        old = edition.resources.get(resource.key)
        version = version_given(resource)
        if old is None and not skip_not_exists:
            outcome.errors.append(f"resource does not exist: {resource}")
        elif old is not None and version and version != old.version:
            outcome.errors.append(
                f"update conflict: {resource}: resourceVersion {version} is out of date, the "
                f"latest is {old.version}"
            )
        elif refusal := edition.refusal(resource.key):
            outcome.errors.append(f"{resource}: {refusal}")
        else:
            outcome.handled.append(resource)
            if old is not None:
                edition.delete(resource.key)
    return outcome
