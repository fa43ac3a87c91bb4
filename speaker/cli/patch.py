"""``wren patch`` and ``wren label``: a part of one resource is changed, the rest stays."""

from __future__ import annotations

from typing import Annotated

import typer

from speaker.cli.change import filters_of, keep
from speaker.cli.given import KindArgument, NameArgument, kind_of, refuse
from speaker.cli.making import ConfirmWithinOption, DryRunOption, EveryNodeOption, Made, Making
from speaker.cli.options import DatastoreOption, Output, OutputOption, RunDirOption
from speaker.config.documents import Document, Tree, parse_documents
from speaker.config.kinds import Kind
from speaker.config.scalars import is_label_value, is_qualified_name
from speaker.config.stored import Stored
from speaker.config.trees import map_at
from speaker.config.updates import PatchError, labelled, patched
from speaker.datastore.edition import Edition


def patch(
    kind: KindArgument,
    name: NameArgument,
    run_dir: RunDirOption,
    text: Annotated[
        str, typer.Option("--patch", "-p", metavar="PATCH", help="JSON or YAML, or - for stdin.")
    ],
    datastore: DatastoreOption = None,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change fields of a resource: a strategic merge, in which null takes a field away."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    wanted = kind_of(kind)
    change = _patch_of(text)
    with making.editing() as edition:
        old = _existing(edition, wanted, name)
        try:
            errors = keep(edition, old, patched(old, change), filters_of(list(edition.resources)))
        except PatchError as error:
            refuse(f"Failed to patch '{wanted}' resource: {error}")
        if errors:
            refuse("\n".join(f"Failed to patch '{wanted}' resource: {error}" for error in errors))
        made = making.make(edition)
    said = f"Successfully patched 1 '{wanted}' resource"
    made.tell([said], [], {"patched": _named(wanted, name), "errors": []}, output)


def _named(kind: Kind, name: str) -> list[dict[str, str]]:
    return [{"kind": kind.value, "name": name}]


def _patch_of(text: str) -> Tree:
    if text == "-":
        text = typer.get_text_stream("stdin").read()
    found = parse_documents(text, "patch")
    if len(found) != 1:
        refuse(f"a patch is one mapping, this is {'nothing' if not found else 'several'}")
    if not isinstance(found[0], Document):
        refuse(str(found[0]))
    return found[0].tree


def _existing(edition: Edition, kind: Kind, name: str) -> Stored:
    found = edition.resources.get((kind, name))
    if found is None:
        refuse(f"resource does not exist: {kind}({name})")
    return found


def label(
    kind: KindArgument,
    name: NameArgument,
    text: Annotated[str, typer.Argument(metavar="KEY=VALUE", help="Or KEY with --remove.")],
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also if the label is there already.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a resource a label, or take one away."""
    if overwrite and remove:
        raise typer.BadParameter("not together with --remove", param_hint="--overwrite")
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    wanted = kind_of(kind)
    key, value = _label_of(text, remove)
    done, made = _set_label(making, kind, name, key, value, overwrite)
    said = f"Successfully {done} {kind} {name}"
    made.tell([said], [], {"labelled": _named(wanted, name), "errors": []}, output)


def _label_of(text: str, remove: bool) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if remove is bool(equals):
        raise typer.BadParameter(
            f"{text!r} is a key with a value; --remove takes the key alone"
            if remove
            else f"{text!r} is not KEY=VALUE",
            param_hint="KEY=VALUE",
        )
    if not is_qualified_name(key) or not is_label_value(value):
        refuse(f"invalid label {text}")
    return key, None if remove else value


def _set_label(
    making: Making, kind: str, name: str, key: str, value: str | None, overwrite: bool
) -> tuple[str, Made]:
    """Change a label, and say in calicoctl's words what was done; the kind as it was typed."""
    with making.editing() as edition:
        old = _existing(edition, kind_of(kind), name)
        before = map_at(map_at(old.tree, "metadata"), "labels").get(key)
        if value is None and before is None:
            refuse(f"cannot remove label of {kind} {name}, key {key} does not exist")
        if value is not None and before not in (None, value) and not overwrite:
            refuse(
                f"failed to update label of {kind} {name}, key {key} is already present. "
                "please use '--overwrite' to set a new value."
            )
        errors = keep(edition, old, labelled(old, key, value), filters_of(list(edition.resources)))
        if errors:
            refuse("\n".join(f"failed to update {error}" for error in errors))
        made = making.make(edition)
    if value is None:
        return f"removed label {key} from", made
    return f"{'set' if before is None else 'updated'} label {key} on", made
