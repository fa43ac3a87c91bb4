"""Looking into the tree of a document that may hold anything.

The rules of `speaker.config.rules` run beside the models and not behind them, so what they look
at may be of any shape. These functions give what is asked for if it is there and of the right
shape, and something empty else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from speaker.config.documents import Tree
from speaker.config.problems import FieldPath, Violation
from speaker.config.scalars import (
    Endpoint,
    ScalarError,
    as_text,
    parse_asn,
    parse_masked_network,
    parse_peer_ip,
)

Check: TypeAlias = Callable[[Mapping[str, Any]], Iterator[Violation]]
"""A rule: gives what it finds wrong in a document."""

Network: TypeAlias = IPv4Network | IPv6Network


def spec_of(tree: Tree) -> Mapping[str, Any]:
    """Give the spec if it is a mapping, else an empty one."""
    return map_at(tree, "spec")


def map_at(tree: Tree, key: str) -> Mapping[str, Any]:
    """Give the mapping under a key, else an empty one."""
    found = tree.get(key) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def list_at(tree: Tree, key: str) -> list[Any]:
    """Give the list under a key, else an empty one."""
    found = tree.get(key) if isinstance(tree, Mapping) else None
    return found if isinstance(found, list) else []


def name_of(tree: Tree) -> str:
    """Give the resource's name if there is one."""
    name = map_at(tree, "metadata").get("name")
    return name if isinstance(name, str) else ""


def text_map(tree: Tree, path: FieldPath) -> dict[str, str]:
    """Give a map of texts, with scalars turned into text."""
    for key in path:
        tree = map_at(tree, str(key))
    texts: dict[str, str] = {}
    for key, value in tree.items():
        if not isinstance(value, dict | list):
            texts[key] = as_text(value)
    return texts


def asn_of(value: Any) -> int:
    """Give an AS number, 0 where there is none or none that can be read."""
    return given_asn(value) or 0


def given_asn(value: Any) -> int | None:
    """Give an AS number, 0 where there is none, and None where it cannot be read."""
    if value in (None, ""):
        return 0
    try:
        return parse_asn(value)
    except ScalarError:
        return None


def endpoint_of(value: Any) -> Endpoint | None:
    """Give the address and port of a ``peerIP``, and None where they cannot be read."""
    try:
        return parse_peer_ip(value)
    except ScalarError:
        return None


def network_of(value: Any) -> Network | None:
    """Give a network that is written with its length, and None where it cannot be read."""
    try:
        return parse_masked_network(value)
    except ScalarError:
        return None
