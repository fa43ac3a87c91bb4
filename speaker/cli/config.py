"""``wren config``: the global settings of Calico 2.x, kept in BGPConfigurations.

The words and messages are those of ``calicoctl config``; one that changes something says nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from speaker.cli.app import EPILOG
from speaker.cli.change import keep
from speaker.cli.completion import SETTINGS, complete_node, complete_setting
from speaker.cli.given import refuse
from speaker.cli.making import ConfirmWithinOption, DryRunOption, EveryNodeOption, Making
from speaker.cli.options import (
    DatastoreOption,
    Output,
    OutputOption,
    RunDirOption,
    find_datastore,
)
from speaker.config.documents import Document, Tree
from speaker.config.global_settings import (
    IPIP,
    RAW,
    Setting,
    SettingError,
    find_setting,
    holder_of,
    ipip_of,
    value_of,
)
from speaker.config.kinds import Kind
from speaker.config.problems import did_you_mean
from speaker.config.stored import Stored, normal
from speaker.config.trees import map_at, spec_of
from speaker.config.updates import with_tree
from speaker.datastore.edition import Edition, look

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Component(StrEnum):
    """Whose raw configuration is meant."""

    BGP = "bgp"
    FELIX = "felix"


SettingArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The setting.", autocompletion=complete_setting),
]
ValueArgument = Annotated[str, typer.Argument(metavar="VALUE", help="What it is to be.")]
OfNodeOption = Annotated[
    str | None,
    typer.Option("--node", "-n", metavar="NAME", help="Of one node.", autocompletion=complete_node),
]
RawOption = Annotated[
    Component | None,
    typer.Option("--raw", help=f"By its name in the old datastore: {', '.join(RAW)}."),
]


@app.callback()
def _group() -> None:
    """Settings by name, as in Calico 2.x: asNumber, nodeToNodeMesh, logLevel, ipip."""


@app.command("set", epilog=EPILOG)
def set_(
    name: SettingArgument,
    value: ValueArgument,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    node: OfNodeOption = None,
    raw: RawOption = None,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Set a setting: asNumber N, nodeToNodeMesh on or off, logLevel LEVEL."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    setting = _setting(name, node, raw)
    if setting is None:
        _cannot_set_ipip()
    try:
        wanted = setting.read(value)
    except SettingError as error:
        _fail(str(error))
    with making.editing() as edition:
        old = _holder(edition, node)
        base = old or _new_holder(node)
        _keep(edition, old, base, {**spec_of(base.tree), setting.field: wanted})
        made = making.make(edition)
    made.tell([], [], {"set": [name], "errors": []}, output)


@app.command("unset", epilog=EPILOG)
def unset(
    name: SettingArgument,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    node: OfNodeOption = None,
    raw: RawOption = None,
    dry_run: DryRunOption = False,
    all_nodes: EveryNodeOption = False,
    confirm_within: ConfirmWithinOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Unset a setting: its default holds again, or for a node that of the cluster."""
    making = Making(run_dir, datastore, dry_run, all_nodes, confirm_within)
    setting = _setting(name, node, raw)
    if setting is None:
        _cannot_set_ipip()
    with making.editing() as edition:
        old = _holder(edition, node)
        if old is not None:
            _take_away(edition, old, setting)
        made = making.make(edition)
    made.tell([], [], {"unset": [name], "errors": []}, output)


def _take_away(edition: Edition, old: Stored, setting: Setting) -> None:
    spec = {key: value for key, value in spec_of(old.tree).items() if key != setting.field}
    if not spec and set(map_at(old.tree, "metadata")) == {"name"}:
        # It has nothing more to say.
        edition.delete(old.key)
    else:
        _keep(edition, old, old, spec)


@app.command("get", epilog=EPILOG)
def get(
    name: SettingArgument,
    run_dir: RunDirOption,
    datastore: DatastoreOption = None,
    node: OfNodeOption = None,
    raw: RawOption = None,
) -> None:
    """Show a setting, or what holds where it is not set."""
    setting = _setting(name, node, raw)
    edition = look(find_datastore(datastore, run_dir))
    typer.echo(_shown(edition, setting, node, inherits=raw is None))


def _shown(edition: Edition, setting: Setting | None, node: str | None, *, inherits: bool) -> str:
    if setting is None:
        return ipip_of(edition.resources.values())
    own = value_of(setting, _holder(edition, node))
    if own is not None or not node or not inherits:
        return own or setting.default
    inherited = value_of(setting, _holder(edition, None)) or setting.default
    return f"{inherited} (inherited from global)"


def _setting(name: str, node: str | None, raw: Component | None) -> Setting | None:
    """Find the setting that is meant; None is IPIP, which no BGPConfiguration has."""
    if raw is Component.FELIX:
        _fail("Felix's configuration is not kept here; --raw=bgp is")
    setting = find_setting(name, raw=raw is not None)
    is_ipip = raw is None and name.lower() == IPIP
    if setting is None and not is_ipip:
        known = RAW if raw else SETTINGS
        _fail(f"unrecognised config name '{name}'{did_you_mean(name, known)}")
    if node and (setting is None or not setting.per_node):
        _fail("--node should not be specified")
    return setting


def _holder(edition: Edition, node: str | None) -> Stored | None:
    return edition.resources.get((Kind.BGP_CONFIGURATION, holder_of(node)))


def _new_holder(node: str | None) -> Stored:
    kind, name = Kind.BGP_CONFIGURATION, holder_of(node)
    tree = normal(kind, {"metadata": {"name": name}, "spec": {}})
    return Stored(kind, name, Document(f"{kind}({name})", 0, tree, {}))


def _keep(edition: Edition, old: Stored | None, base: Stored, spec: Tree) -> None:
    errors = keep(edition, old, with_tree(base, {**base.tree, "spec": spec}), ())
    if errors:
        _fail("; ".join(errors))


def _cannot_set_ipip() -> NoReturn:
    _fail(
        "each IPPool says for itself whether it uses IPIP: "
        'wren patch ippool NAME -p \'{"spec": {"ipipMode": "Always"}}\''
    )


def _fail(text: str) -> NoReturn:
    refuse(f"Error executing command: {text}")
