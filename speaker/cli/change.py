"""``wren create``, ``apply``, ``replace``: documents of files into the datastore.

What is to become of the datastore is worked out first (`enact`, on an edition in memory) and
written afterwards, so that an edit can be looked at before it is made. A resource that cannot be
kept is told, and the others are kept all the same, as with calicoctl; what is not valid stops the
whole before anything is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum
from typing import Annotated

import typer

from speaker.cli.given import FileOption, RecursiveOption, SkipEmptyOption, read_given
from speaker.cli.making import ConfirmWithinOption, DryRunOption, EveryNodeOption, Making
from speaker.cli.options import DatastoreOption, Output, OutputOption, RunDirOption
from speaker.cli.outcome import Outcome, tell
from speaker.config.kinds import FILTER_KINDS
from speaker.config.reading import read_document
from speaker.config.stored import Key, Stored
from speaker.config.updates import created, objections, updated, version_given
from speaker.datastore.edition import Edition


class Verb(Enum):
    """What is done with a document, and the word for its having been done."""

    CREATE = ("create", "created")
    APPLY = ("apply", "applied")
    REPLACE = ("replace", "replaced")


def create(
    filename: FileOption,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    skip_exists: Annotated[
        bool, typer.Option("--skip-exists", help="What exists already counts as created.")
    ] = False,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep new resources. Exits with 1 if one exists already; the others are kept."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    given = read_given(filename, recursive=recursive, skip_empty=skip_empty)
    change(Verb.CREATE, given, making, output, skip_exists)


def apply(
    filename: FileOption,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep resources, new ones and others. The spec of those that exist is replaced as a whole."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    given = read_given(filename, recursive=recursive, skip_empty=skip_empty)
    change(Verb.APPLY, given, making, output)


def replace(
    filename: FileOption,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    recursive: RecursiveOption = False,
    skip_empty: SkipEmptyOption = False,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Replace the spec of resources that exist. Exits with 1 if one does not."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    given = read_given(filename, recursive=recursive, skip_empty=skip_empty)
    change(Verb.REPLACE, given, making, output)


def change(
    verb: Verb, given: list[Stored], making: Making, output: Output, skip_exists: bool = False
) -> None:
    """Do what a verb asks for, and tell how it went."""
    with making.editing() as edition:
        outcome = enact(edition, verb, given, skip_exists=skip_exists)
        made = making.make(edition)
    tell(outcome, made, output)


def enact(
    edition: Edition, verb: Verb, given: list[Stored], *, skip_exists: bool = False
) -> Outcome:
    """Put documents into an edition, as far as nothing speaks against it; nothing is written."""
    word, done = verb.value
    outcome = Outcome(word, done, given)
    filters = filters_of([*edition.resources, *(resource.key for resource in given)])
    for resource in given:
        old = edition.resources.get(resource.key)
        if old is not None and verb is Verb.CREATE and skip_exists:
            outcome.handled.append(resource)
            continue
        errors = list(_misplaced(verb, old, resource))
        if not errors:
            new = created(resource) if old is None else updated(old, resource)
            errors = keep(edition, old, new, filters)
        if errors:
            outcome.errors += errors
        else:
            outcome.handled.append(resource)
    return outcome


def _misplaced(verb: Verb, old: Stored | None, given: Stored) -> Iterator[str]:
    """Say whether the resource exists, or not, or is another one than was thought."""
    version = version_given(given)
    if old is None:
        if verb is Verb.REPLACE:
            yield f"resource does not exist: {given}"
        elif verb is Verb.CREATE and version:
            yield (
                f"{given}: error with field Metadata.ResourceVersion = '{version}' "
                "(field must not be set for a Create request)"
            )
    elif verb is Verb.CREATE:
        yield f"resource already exists: {given}"
    elif version and version != old.version:
        yield (
            f"update conflict: {given}: resourceVersion {version} is out of date, the latest is "
            f"{old.version}; get it again and make the edit there"
        )


def keep(edition: Edition, old: Stored | None, new: Stored, filters: Collection[Key]) -> list[str]:
    """Put one resource into an edition, or say why not; what is the same is not touched."""
    if old is not None and old.tree == new.tree:
        return []
    errors = [problem.sentence for problem in read_document(new.document).problems]
    errors += objections(old, new, filters)
    if refusal := edition.refusal(new.key):
        errors.append(refusal)
    if errors:
        return [f"{new}: {error}" for error in errors]
    edition.put(new)
    return []


def filters_of(keys: Collection[Key]) -> set[Key]:
    """Give those that a peer's ``filters`` may name."""
    return {key for key in keys if key[0] in FILTER_KINDS}
