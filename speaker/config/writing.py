"""Trees of documents as text, in the form that Calico's tools write.

The other way round of `speaker.config.documents`: what is written here is read there as the same
tree. YAML has block style without indented lists, JSON two blanks; neither is wrapped.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from speaker.config.documents import Tree, YamlFloat

_UNREADABLE = "\ufffe\uffff"
"""Characters that JSON takes as they are and YAML, by which documents are read, escaped only."""

_TEXT = "tag:yaml.org,2002:str"
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):  # type: ignore[misc]  # libyaml's, where PyYAML has it
    """Writes what `speaker.config.documents` reads; a number with a point as it was written."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what is there twice twice: people do not read anchors."""
        return True


def _float(dumper: Any, value: YamlFloat) -> yaml.Node:
    return yaml.ScalarNode("tag:yaml.org,2002:float", value.text)


def _text(dumper: Any, value: str) -> yaml.Node:
    style = None
    if "\n" in value:
        style = "|"
    elif dumper.resolve(yaml.ScalarNode, value, (True, False)) != _TEXT:
        # Go's writer has double quotes around what would be a number, a boolean or nothing.
        style = '"'
    return yaml.ScalarNode(_TEXT, value, style=style)


_Dumper.add_representer(YamlFloat, _float)
_Dumper.add_representer(str, _text)


def as_yaml(tree: Tree, *, sort: bool = False) -> str:
    """Write a tree as YAML, with a line end.

    Args:
        tree: a document, or a part of one.
        sort: order the fields by name, as Calico's tools print them; else they stay as they are.
    """
    text: str = yaml.dump(
        tree,
        Dumper=_Dumper,
        sort_keys=sort,
        allow_unicode=True,
        default_flow_style=False,
        width=2**20,
    )
    return text


def as_json(tree: Tree, *, indent: int | None = 2, sort: bool = False) -> str:
    """Write a tree as JSON, without a line end."""
    text = json.dumps(tree, indent=indent, sort_keys=sort, ensure_ascii=False)
    for unreadable in _UNREADABLE:
        text = text.replace(unreadable, f"\\u{ord(unreadable):04x}")
    return text
