"""The global settings of Calico 2.x, as fields of BGPConfiguration.

What ``calicoctl config`` set as named values stands in the BGPConfiguration ``default`` since
Calico 3, and in ``node.<name>`` for one node. Each setting says in which field, how its words are
read and shown, and what holds where nobody set it. `RAW` are the names under which the settings
lay in the datastore, for ``--raw=bgp``.

Which pools use IPIP was a global switch too; since Calico 3 each pool says so itself, so that it
can be told here and not be set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from speaker.config.cluster import DEFAULT_AS
from speaker.config.documents import Tree
from speaker.config.kinds import Kind
from speaker.config.legacy import normal_node_name
from speaker.config.scalars import ScalarError, parse_asn
from speaker.config.stored import Stored
from speaker.config.trees import spec_of


class SettingError(ValueError):
    """A setting that there is not, or a value that it cannot have; in calicoctl's words."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        field: of the spec of a BGPConfiguration.
        read: turns a word into the value of the field, or raises `SettingError`.
        show: turns the value of the field into a word.
        default: the word for what holds where nothing is set.
        per_node: whether a node may have its own.
    """

    field: str
    read: Callable[[str], Tree]
    show: Callable[[Tree], str]
    default: str
    per_node: bool = False


def _invalid(word: str) -> SettingError:
    return SettingError(f"invalid value '{word}'")


def _read_as(word: str) -> int:
    try:
        return parse_asn(word)
    except ScalarError:
        raise SettingError("the supplied AS number is not valid") from None


def _read_switch(word: str) -> bool:
    if word not in ("on", "off"):
        raise _invalid(word)
    return word == "on"


def _show_switch(value: Tree) -> str:
    return "off" if value is False else "on"


_LEVELS = {
    "debug": "Debug",
    "info": "Info",
    "warning": "Warning",
    "error": "Error",
    "critical": "Fatal",
    # Nothing is less than Fatal, and for BGP all below info have been the same always.
    "none": "Fatal",
}
_WORDS = {"trace": "debug", "fatal": "critical"}


def _read_level(word: str) -> str:
    if word.lower() not in _LEVELS:
        raise _invalid(word)
    return _LEVELS[word.lower()]


def _show_level(value: Tree) -> str:
    word = str(value).lower()
    return _WORDS.get(word, word)


def _read_port(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 65535:
        raise _invalid(word)
    return int(word)


def _read_mesh(word: str) -> bool:
    try:
        found = json.loads(word)
    except ValueError:
        raise _invalid(word) from None
    if not isinstance(found, dict) or not isinstance(found.get("enabled"), bool):
        raise _invalid(word)
    return bool(found["enabled"])


def _show_mesh(value: Tree) -> str:
    return json.dumps({"enabled": value is not False})


_MESH = "nodeToNodeMeshEnabled"
_LEVEL = "logSeverityScreen"

SETTINGS: Mapping[str, Setting] = {
    "asNumber": Setting("asNumber", _read_as, str, str(DEFAULT_AS)),
    "nodeToNodeMesh": Setting(_MESH, _read_switch, _show_switch, "on"),
    "logLevel": Setting(_LEVEL, _read_level, _show_level, "info", per_node=True),
}

RAW: Mapping[str, Setting] = {
    "as_num": Setting("asNumber", _read_as, str, "(unset)"),
    "node_mesh": Setting(_MESH, _read_mesh, _show_mesh, "(unset)"),
    "loglevel": Setting(_LEVEL, _read_level, _show_level, "(unset)", per_node=True),
    "listen_port": Setting("listenPort", _read_port, str, "(unset)", per_node=True),
}

IPIP = "ipip"


def find_setting(name: str, *, raw: bool = False) -> Setting | None:
    """Find a setting by its name, in whatever case."""
    known = RAW if raw else SETTINGS
    return {each.lower(): setting for each, setting in known.items()}.get(name.lower())


def holder_of(node: str | None) -> str:
    """Give the name of the BGPConfiguration that holds the settings of the cluster or a node."""
    return f"node.{normal_node_name(node)}" if node else "default"


def value_of(setting: Setting, holder: Stored | None) -> str | None:
    """Show what a BGPConfiguration says about a setting, None if nothing."""
    value = spec_of(holder.tree).get(setting.field) if holder else None
    return None if value in (None, "") else setting.show(value)


def ipip_of(resources: Iterable[Stored]) -> str:
    """Tell whether a pool uses IPIP."""
    modes = (spec_of(each.tree).get("ipipMode") for each in resources if each.kind is Kind.IP_POOL)
    return "on" if any(mode not in (None, "", "Never") for mode in modes) else "off"
