"""``wren get``: what is in the datastore, as tables or as documents to be edited and applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from speaker.cli.columns import Cluster, custom_table, scoped_table, table
from speaker.cli.completion import complete_kind, complete_names, complete_node
from speaker.cli.datastore import show_problem
from speaker.cli.given import (
    FilesOption,
    RecursiveOption,
    SkipEmptyOption,
    kind_of,
    read_named,
)
from speaker.cli.options import DatastoreOption, RunDirOption, find_datastore
from speaker.cli.tables import write_lines
from speaker.config.documents import Tree
from speaker.config.kinds import Kind, versions_of
from speaker.config.legacy_peers import Scope, is_address, peers_at, peers_of
from speaker.config.stored import Key, Stored
from speaker.config.trees import asn_of, map_at, spec_of
from speaker.config.writing import as_json, as_yaml
from speaker.datastore.edition import look

FORMATS = ("ps", "wide", "yaml", "yml", "json", "name", "custom-columns")

CLUSTER_SPECIFIC = (
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""What ``--export`` leaves out of the metadata."""

HIDDEN = "(hidden)"
"""Stands for the value of a Secret; no base64, so that it cannot be applied by mistake."""


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which kubectl keeps what it was given, values included."""


@dataclass(frozen=True, slots=True)
class Form:
    """How results are printed: a word of `FORMATS`, and the columns that were named."""

    word: str
    headings: tuple[str, ...] = ()


def _form(text: str) -> Form:
    """Read ``-o``."""
    word, equals, rest = text.partition("=")
    if word not in FORMATS or (equals and word != "custom-columns"):
        known = ", ".join([*FORMATS[:-1], "custom-columns=…"])
        raise typer.BadParameter(f"unrecognized output format '{text}' (known: {known})")
    headings = tuple(item for item in rest.split(",") if item)
    if word == "custom-columns" and not headings:
        raise typer.BadParameter("need to specify at least one column")
    return Form(word, headings)


def get(
    run_dir: RunDirOption,
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="bgppeer, node …", autocompletion=complete_kind),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Names; by default all.", autocompletion=complete_names
        ),
    ] = None,
    filename: FilesOption = None,
    datastore: DatastoreOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}=NAME,SPEC.X."
        ),
    ] = "ps",
    export: Annotated[
        bool,
        typer.Option("--export", help="With a name: without what belongs to this datastore only."),
    ] = False,
    scope: Annotated[
        Scope | None, typer.Option("--scope", help="Only bgpPeers of this scope.")
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node", metavar="NAME", help="Only bgpPeers of it.", autocompletion=complete_node
        ),
    ] = None,
) -> None:
    """Show resources of a kind, all or by name.

    Names that there are not are told on stderr, with exit code 1. A bgpPeer may be named by its
    address, and be asked for by --scope and --node as in Calico 2.x.
    """
    form = _form(output)
    if bool(filename) == bool(kind):
        raise typer.BadParameter("give a kind, or files with -f", param_hint="KIND")
    meant = (
        [item.key for item in read_named(filename, recursive=recursive, skip_empty=skip_empty)]
        if filename
        else []
    )
    asked = kind_of(kind) if kind else None
    scoped = scope is not None or node is not None
    if scoped and asked is not Kind.BGP_PEER:
        raise typer.BadParameter("only a bgpPeer has a scope and a node", param_hint="--scope")
    resources = _read(find_datastore(datastore, run_dir))
    missing: list[Key] = []
    if asked and not names:
        found = _listed(resources, asked, scope, node)
    elif asked:
        found, missing, by_address = _named(resources, asked, names or [], scope, node)
        scoped = scoped or by_address
    else:
        found = [resources[key] for key in meant if key in resources]
        missing = [key for key in meant if key not in resources]
    one = len(names or meant) == 1 and len(found) == 1
    shown = Shown(found, asked, one=one, export=export and bool(names), scoped=scoped)
    if found or not missing:
        write_lines(shown.lines(form, _cluster(resources)))
    for lost in missing:
        typer.echo(f"resource does not exist: {lost[0]}({lost[1]})", err=True)
    if missing:
        raise typer.Exit(1)


def _read(path: Path) -> dict[Key, Stored]:
    edition = look(path)
    for problem in edition.problems:
        typer.echo(show_problem(problem, "warning"), err=True)
    return dict(edition.resources)


def _listed(
    resources: dict[Key, Stored], kind: Kind, scope: Scope | None, node: str | None
) -> list[Stored]:
    if scope or node:
        return peers_of(resources.values(), scope, node)
    found = [resource for resource in resources.values() if resource.kind is kind]
    return sorted(found, key=lambda resource: resource.name)


def _named(
    resources: dict[Key, Stored],
    kind: Kind,
    names: Sequence[str],
    scope: Scope | None,
    node: str | None,
) -> tuple[list[Stored], list[Key], bool]:
    """Find resources by name: those found, those that there are not, whether one was an address."""
    found: list[Stored] = []
    missing: list[Key] = []
    by_address = False
    for name in names:
        if (kind, name) in resources:
            found.append(resources[kind, name])
            continue
        at = (
            peers_at(resources.values(), name, scope, node)
            if kind is Kind.BGP_PEER and is_address(name)
            else []
        )
        by_address = by_address or bool(at)
        found += at
        if not at:
            missing.append((kind, name))
    return found, missing, by_address


def _cluster(resources: dict[Key, Stored]) -> Cluster:
    default = resources.get((Kind.BGP_CONFIGURATION, "default"))
    asn = asn_of(spec_of(default.tree).get("asNumber", 0)) if default else 0
    return Cluster(asn) if asn else Cluster()


@dataclass(frozen=True, slots=True)
class Shown:
    """Resources to be printed.

    Attributes:
        kind: the one that was asked for; None for what files name.
        one: whether just one was asked for, and there is.
        export: without what belongs to this datastore only.
        scoped: in the columns of Calico 2.x.
    """

    resources: Sequence[Stored]
    kind: Kind | None
    one: bool
    export: bool
    scoped: bool

    def lines(self, form: Form, cluster: Cluster) -> list[str]:
        """Give what is printed."""
        match form.word:
            case "yaml" | "yml":
                return as_yaml(self._whole(), sort=True).splitlines()
            case "json":
                return [as_json(self._whole(), sort=True)]
            case "name":
                return [f"{each.kind.lower()}/{each.name}" for each in self.resources]
        lines: list[str] = []
        for kind in dict.fromkeys([self.kind] if self.kind else (r.kind for r in self.resources)):
            of_kind = [each for each in self.resources if each.kind is kind]
            if form.headings:
                lines += custom_table(kind, of_kind, cluster, form.headings)
            elif self.scoped:
                lines += scoped_table(of_kind, cluster)
            else:
                lines += table(kind, of_kind, cluster, wide=form.word == "wide")
        return lines

    def _whole(self) -> Tree:
        documents = [self._document(each) for each in self.resources]
        if self.one:
            return documents[0]
        kinds = {each.kind for each in self.resources} | ({self.kind} if self.kind else set())
        version, kind = ("v1", "List")
        if len(kinds) == 1:
            only = kinds.pop()
            version, kind = versions_of(only)[0], f"{only}List"
        return {"apiVersion": version, "kind": kind, "metadata": {}, "items": documents}

    def _document(self, resource: Stored) -> Tree:
        metadata: dict[str, Any] = {
            **map_at(resource.tree, "metadata"),
            "resourceVersion": resource.version,
        }
        if self.export:
            metadata = {
                key: value for key, value in metadata.items() if key not in CLUSTER_SPECIFIC
            }
        tree = {**resource.tree, "metadata": metadata}
        return _without_values(tree) if resource.kind is Kind.SECRET else tree


def _without_values(secret: dict[str, Any]) -> Tree:
    """Give a Secret without what is secret: its values, and the copy of them by kubectl."""
    keys = sorted({*map_at(secret, "data"), *map_at(secret, "stringData")})
    shown = {**secret, "data": dict.fromkeys(keys, HIDDEN)}
    shown.pop("stringData", None)
    annotations = map_at(secret["metadata"], "annotations")
    if LAST_APPLIED in annotations:
        hidden = {**annotations, LAST_APPLIED: HIDDEN}
        shown["metadata"] = {**secret["metadata"], "annotations": hidden}
    return shown
