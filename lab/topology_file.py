"""The YAML form of a topology: text in, `Topology` out, and back.

`loads` and `load` read; `dumps` writes what `loads` reads again to the same value. Every mistake is
a `TopologyError` of the form ``file:line: place: rule``. Parsing builds plain data first and keeps
the line of every key beside it, so that the checks of `lab.topology`, which know nothing of files,
get their line here. `docs/lab.md` is the reference of the format.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lab.errors import Place, TopologyError, dotted
from lab.topology import (
    BOTH_FAMILIES,
    End,
    Family,
    Kind,
    Link,
    Network,
    Node,
    Peer,
    Peering,
    Topology,
)

T = TypeVar("T")
D = TypeVar("D")
Convert = Callable[[Any, Place], T]


def load(path: Path) -> Topology:
    """Read a topology file. Raises `TopologyError`, also if the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return loads(text, source=str(path), base=path.resolve().parent, name=_name_of(path))


def _name_of(path: Path) -> str:
    stem = path.resolve().parent.name if path.stem == "topology" else path.stem
    return stem[:24]


def loads(
    text: str, *, source: str = "<topology>", base: Path | None = None, name: str = "lab"
) -> Topology:
    """Read a topology from text.

    Args:
        text: the YAML document.
        source: what to call it in errors.
        base: directory that relative ``datastore`` paths start from; the current one by default.
        name: the lab's name if the document gives none.
    """
    lines: dict[Place, int] = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _index(root, (), lines)
        return _topology(yaml.safe_load(text), (base or Path.cwd()).absolute(), name)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(f"{source}:{line}: not YAML: {error.problem}") from error
    except TopologyError as error:
        line = _line_of(error.place, lines)
        where = f"{dotted(error.place)}: " if error.place else ""
        raise TopologyError(f"{source}:{line}: {where}{error.message}") from error


def _index(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            if here in lines:
                lines[here] = key.start_mark.line + 1
                raise TopologyError("written twice", here)
            lines[here] = key.start_mark.line + 1
            _index(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*place, number)] = value.start_mark.line + 1
            _index(value, (*place, number), lines)


def _line_of(place: Place, lines: dict[Place, int]) -> int:
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return 1


class _Mapping:
    """One mapping being read: each key is taken once, what is left over is a mistake."""

    def __init__(self, data: object, place: Place) -> None:
        if not isinstance(data, dict):
            raise TopologyError("expected a mapping", place)
        self._data = {str(key): value for key, value in data.items()}
        self._known: set[str] = set()
        self._place = place

    def take(self, key: str, convert: Convert[T], default: D) -> T | D:
        self._known.add(key)
        value = self._data.get(key)
        return default if value is None else convert(value, (*self._place, key))

    def need(self, key: str, convert: Convert[T]) -> T:
        if self._data.get(key) is None:
            raise TopologyError(f"{key} is missing", self._place)
        self._known.add(key)
        return convert(self._data[key], (*self._place, key))

    def done(self) -> None:
        for key in self._data:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {_listed(self._known)}"
                raise TopologyError(f"unknown key; {hint}", (*self._place, key))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _topology(data: object, base: Path, default_name: str) -> Topology:
    top = _Mapping({} if data is None else data, ())

    def node(value: object, place: Place) -> Node:
        return _node(value, place, base)

    name = top.take("name", _text, default_name)
    nodes = top.need("nodes", _entries(node))
    links = top.take("links", _list_of(_link), ())
    segments = top.take("segments", _entries(_segment), ())
    peerings = top.take("bgp", _list_of(_peering), ())
    top.done()
    return Topology(name, nodes, (*links, *segments), peerings)


def _node(value: object, place: Place, base: Path) -> Node:
    fields = _Mapping(value, place)

    def directory(text: object, here: Place) -> Path:
        return base / _text(text, here)

    node = Node(
        name=str(place[-1]),
        kind=fields.need("kind", _kind),
        asn=fields.take("asn", _number, None),
        router_id=fields.take("router_id", _parsed(IPv4Address, "an IPv4 address"), None),
        addresses=fields.take("addresses", _list_of(_interface), ()),
        networks=fields.take("networks", _list_of(_network), ()),
        gateways=fields.take("gateways", _list_of(_address), ()),
        peers=fields.take("peers", _list_of(_peer), ()),
        datastore=fields.take("datastore", directory, None),
        nodename=fields.take("nodename", _text, None),
        args=fields.take("args", _list_of(_scalar_text), ()),
        extra=fields.take("extra", _text, ""),
    )
    fields.done()
    return node


def _peer(value: object, place: Place) -> Peer:
    fields = _Mapping(value, place)
    peer = Peer(
        address=fields.need("address", _address),
        asn=fields.need("asn", _number),
        local=fields.take("local", _address, None),
        families=fields.take("families", _list_of(_family), ()),
        passive=fields.take("passive", _flag, False),
        client=fields.take("client", _flag, False),
        next_hop_self=fields.take("next_hop_self", _flag, False),
        hold_time=fields.take("hold_time", _number, None),
        extra=fields.take("extra", _text, ""),
    )
    fields.done()
    return peer


def _ends(value: object, place: Place) -> tuple[End, ...]:
    if not isinstance(value, dict):
        raise TopologyError("expected node names, each with its addresses", place)
    read = _list_of(_interface)
    return tuple(
        End(str(node), () if addresses is None else read(addresses, (*place, str(node))))
        for node, addresses in value.items()
    )


def _link(value: object, place: Place) -> Link:
    return Link(_ends(value, place))


def _segment(value: object, place: Place) -> Link:
    return Link(_ends(value, place), str(place[-1]))


def _peering(value: object, place: Place) -> Peering:
    if isinstance(value, list):
        return Peering(_pair(value, place))
    fields = _Mapping(value, place)
    peering = Peering(
        between=fields.need("between", _pair),
        families=fields.take("families", _list_of(_family), BOTH_FAMILIES),
        passive=fields.take("passive", _text, None),
        client=fields.take("client", _text, None),
        next_hop_self=fields.take("next_hop_self", _list_of(_text), ()),
        hold_time=fields.take("hold_time", _number, None),
        extra=fields.take("extra", _texts_by_name, ()),
    )
    fields.done()
    return peering


def _texts_by_name(value: object, place: Place) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise TopologyError("expected node names, each with its lines", place)
    return tuple((str(name), _text(text, (*place, str(name)))) for name, text in value.items())


def _pair(value: object, place: Place) -> tuple[str, str]:
    names = _list_of(_text)(value, place)
    if len(names) != 2:
        raise TopologyError("expected the names of two nodes", place)
    return names[0], names[1]


def _entries(convert: Convert[T]) -> Convert[tuple[T, ...]]:
    def read(value: object, place: Place) -> tuple[T, ...]:
        if not isinstance(value, dict):
            raise TopologyError("expected a mapping by name", place)
        return tuple(convert(item, (*place, str(key))) for key, item in value.items())

    return read


def _list_of(convert: Convert[T]) -> Convert[tuple[T, ...]]:
    def read(value: object, place: Place) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise TopologyError("expected a list", place)
        return tuple(convert(item, (*place, number)) for number, item in enumerate(value))

    return read


def _parsed(parse: Callable[[str], T], what: str) -> Convert[T]:
    def read(value: object, place: Place) -> T:
        try:
            return parse(str(value))
        except ValueError as error:
            raise TopologyError(f"{value!r} is not {what}: {error}", place) from error

    return read


_address = _parsed(ip_address, "an address")
_interface = _parsed(ip_interface, "an address with prefix length")


def _network(value: object, place: Place) -> Network:
    return _parsed(ip_network, "a prefix")(value, place)


def _kind(value: object, place: Place) -> Kind:
    try:
        return Kind(str(value))
    except ValueError:
        raise TopologyError(f"{value!r} is not a kind; kinds: {_listed(Kind)}", place) from None


def _family(value: object, place: Place) -> Family:
    try:
        return Family(str(value))
    except ValueError:
        raise TopologyError(f"{value!r} is not ipv4 or ipv6", place) from None


def _text(value: object, place: Place) -> str:
    if not isinstance(value, str):
        raise TopologyError(f"{value!r} is not text", place)
    return value


def _scalar_text(value: object, place: Place) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TopologyError(f"{value!r} is not an argument", place)
    return str(value)


def _number(value: object, place: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TopologyError(f"{value!r} is not a whole number", place)
    return value


def _flag(value: object, place: Place) -> bool:
    if not isinstance(value, bool):
        raise TopologyError(f"{value!r} is not true or false", place)
    return value


def dumps(topology: Topology) -> str:
    """Write a topology so that `loads` reads the same value; paths become absolute."""
    data: dict[str, Any] = {
        "name": topology.name,
        "nodes": {node.name: _node_data(node) for node in topology.nodes},
        "links": [_ends_data(link) for link in topology.links if not link.is_segment],
        "segments": {link.name: _ends_data(link) for link in topology.links if link.is_segment},
        "bgp": [_peering_data(peering) for peering in topology.peerings],
    }
    return yaml.safe_dump(_without_blanks(data), sort_keys=False)


def _without_blanks(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, [], {}, "", False)}


def _node_data(node: Node) -> dict[str, Any]:
    data = {
        "kind": str(node.kind),
        "asn": node.asn,
        "router_id": node.router_id and str(node.router_id),
        "addresses": _texts(node.addresses),
        "networks": _texts(node.networks),
        "gateways": _texts(node.gateways),
        "peers": [_peer_data(peer) for peer in node.peers],
        "datastore": node.datastore and str(node.datastore.absolute()),
        "nodename": node.nodename,
        "args": list(node.args),
        "extra": node.extra,
    }
    return _without_blanks(data)


def _peer_data(peer: Peer) -> dict[str, Any]:
    data = {
        "address": str(peer.address),
        "asn": peer.asn,
        "local": peer.local and str(peer.local),
        "families": _texts(peer.families),
        "passive": peer.passive,
        "client": peer.client,
        "next_hop_self": peer.next_hop_self,
        "extra": peer.extra,
    }
    kept = _without_blanks(data)
    return kept if peer.hold_time is None else {**kept, "hold_time": peer.hold_time}


def _peering_data(peering: Peering) -> dict[str, Any]:
    data = {
        "between": list(peering.between),
        "families": _texts(peering.families),
        "passive": peering.passive,
        "client": peering.client,
        "next_hop_self": list(peering.next_hop_self),
        "extra": dict(peering.extra),
    }
    kept = _without_blanks(data)
    return kept if peering.hold_time is None else {**kept, "hold_time": peering.hold_time}


def _ends_data(link: Link) -> dict[str, list[str]]:
    return {end.node: _texts(end.addresses) for end in link.ends}


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]
