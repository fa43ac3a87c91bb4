"""The columns of ``wren get``, those of calicoctl for each kind.

A table is laid out as calicoctl's: columns are as wide as their widest cell and three blanks, also
the last one, and an empty line follows. What is not a column of its own is found as a field:
``SPEC.PEERIP`` is ``spec.peerIP``, in whatever case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from speaker.config.annotations import TEXT_MAPS
from speaker.config.cache_resources import RTR_PORT
from speaker.config.cluster import DEFAULT_AS
from speaker.config.documents import Tree
from speaker.config.keys import PREFIX
from speaker.config.kinds import Kind
from speaker.config.legacy_peers import owner_of, scope_of
from speaker.config.models import Resource
from speaker.config.reading import model_at
from speaker.config.resources import MODELS
from speaker.config.stored import Stored
from speaker.config.trees import asn_of, list_at, map_at, name_of, spec_of, text_map
from speaker.config.writing import as_json
from speaker.errors import ConfigError

GAP = 3
"""Blanks after the widest cell of a column."""

NARROWEST = 5
"""Characters of a column, blanks included."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cell may have to know beside its own resource."""

    asn: int = DEFAULT_AS


Cell: TypeAlias = Callable[[Tree, Cluster], str]


def _field(*path: str, absent: str = "") -> Cell:
    def cell(tree: Tree, cluster: Cluster) -> str:
        for key in path:
            tree = map_at(tree, key) if key != path[-1] else tree.get(key)
        return absent if tree in (None, "") else shown(tree)

    return cell


def _spec(name: str, absent: str = "") -> Cell:
    return _field("spec", name, absent=absent)


def _count(name: str) -> Cell:
    return lambda tree, _: str(len(list_at(spec_of(tree), name)))


def _peers_node(tree: Tree, cluster: Cluster) -> str:
    return owner_of(tree) or "(global)"


def _peers_ip(tree: Tree, cluster: Cluster) -> str:
    return _key(tree, "listenRange") or _spec("peerIP")(tree, cluster)


def _peers_as(tree: Tree, cluster: Cluster) -> str:
    return _key(tree, "asRange") or str(asn_of(spec_of(tree).get("asNumber", 0)))


def _key(tree: Tree, name: str) -> str:
    """Give one of our own keys of a resource, empty where it is not given."""
    return next(
        (text for path in reversed(TEXT_MAPS) if (text := text_map(tree, path).get(PREFIX + name))),
        "",
    )


def _nodes_as(tree: Tree, cluster: Cluster) -> str:
    if not map_at(spec_of(tree), "bgp"):
        return ""
    own = asn_of(map_at(spec_of(tree), "bgp").get("asNumber", 0))
    return str(own) if own else f"({cluster.asn})"


def _keys(tree: Tree, cluster: Cluster) -> str:
    return str(len({*map_at(tree, "data"), *map_at(tree, "stringData")}))


def _classes(tree: Tree, cluster: Cluster) -> str:
    return ",".join(map(str, list_at(spec_of(tree), "classes")))


def _patterns(tree: Tree, cluster: Cluster) -> str:
    interfaces = [map_at({"each": each}, "each") for each in list_at(spec_of(tree), "interfaces")]
    return ",".join(str(each.get("matchPattern") or "*") for each in interfaces)


def shown(value: Tree) -> str:
    """Show the value of a field in a cell."""
    match value:
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return as_json(value, indent=None)
        case None:
            return ""
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a kind.

    Attributes:
        cells: all that there are.
        usual: the headings without being asked for.
        wide: those with ``-o wide``; by default the usual ones.
    """

    cells: dict[str, Cell]
    usual: tuple[str, ...]
    wide: tuple[str, ...] = ()


def _name(tree: Tree, cluster: Cluster) -> str:
    return name_of(tree)


def _columns(usual: str, wide: str = "", **cells: Cell) -> Columns:
    return Columns({"NAME": _name, **cells}, tuple(usual.split()), tuple(wide.split()))


_SCOPED = _columns(
    "SCOPE PEERIP NODE ASN",
    SCOPE=lambda tree, _: scope_of(tree).value,
    PEERIP=_spec("peerIP"),
    NODE=lambda tree, _: owner_of(tree),
    ASN=_peers_as,
)
"""Of bgpPeers, as Calico 2.x showed them."""

_FILTERS = _columns(
    "NAME NUMEXPORTV4 NUMIMPORTV4 NUMEXPORTV6 NUMIMPORTV6",
    NUMEXPORTV4=_count("exportV4"),
    NUMIMPORTV4=_count("importV4"),
    NUMEXPORTV6=_count("exportV6"),
    NUMIMPORTV6=_count("importV6"),
)

COLUMNS: dict[Kind, Columns] = {
    Kind.BGP_PEER: _columns(
        "NAME PEERIP NODE ASN", PEERIP=_peers_ip, NODE=_peers_node, ASN=_peers_as
    ),
    Kind.BGP_FILTER: _FILTERS,
    Kind.ROUTE_POLICY: _FILTERS,
    Kind.BGP_CONFIGURATION: _columns(
        "NAME LOGSEVERITY MESHENABLED ASNUMBER",
        LOGSEVERITY=_spec("logSeverityScreen", "-"),
        MESHENABLED=_spec("nodeToNodeMeshEnabled", "-"),
        ASNUMBER=_spec("asNumber", "-"),
    ),
    Kind.NODE: _columns(
        "NAME",
        "NAME ASN IPV4 IPV6",
        ASN=_nodes_as,
        IPV4=_field("spec", "bgp", "ipv4Address"),
        IPV6=_field("spec", "bgp", "ipv6Address"),
    ),
    Kind.IP_POOL: _columns(
        "NAME CIDR SELECTOR",
        "NAME CIDR NAT IPIPMODE VXLANMODE DISABLED DISABLEBGPEXPORT SELECTOR ASSIGNMENTMODE",
        CIDR=_spec("cidr"),
        NAT=_spec("natOutgoing", "false"),
        IPIPMODE=_spec("ipipMode", "Never"),
        VXLANMODE=_spec("vxlanMode", "Never"),
        DISABLED=_spec("disabled", "false"),
        DISABLEBGPEXPORT=_spec("disableBGPExport", "false"),
        SELECTOR=_spec("nodeSelector", "all()"),
        ASSIGNMENTMODE=_spec("assignmentMode", "Automatic"),
    ),
    Kind.BLOCK_AFFINITY: _columns(
        "NAME NODE CIDR STATE", NODE=_spec("node"), CIDR=_spec("cidr"), STATE=_spec("state")
    ),
    Kind.SECRET: _columns("NAME KEYS", KEYS=_keys),
    Kind.RPKI_CACHE: _columns(
        "NAME ADDRESS PORT",
        "NAME ADDRESS PORT REFRESH RETRY EXPIRE NODES",
        ADDRESS=_spec("address"),
        PORT=_spec("port", str(RTR_PORT)),
        REFRESH=_spec("refreshInterval", "-"),
        RETRY=_spec("retryInterval", "-"),
        EXPIRE=_spec("expireInterval", "-"),
        NODES=_spec("nodeSelector", "all()"),
    ),
    Kind.BFD_CONFIGURATION: _columns(
        "NAME INTERFACES",
        "NAME INTERFACES NODES",
        INTERFACES=_patterns,
        NODES=_spec("nodeSelector", "all()"),
    ),
    Kind.CALICO_NODE_STATUS: _columns("NAME NODE CLASSES", NODE=_spec("node"), CLASSES=_classes),
}


def table(
    kind: Kind, resources: Sequence[Stored], cluster: Cluster, *, wide: bool = False
) -> list[str]:
    """Give the table of resources of one kind."""
    columns = COLUMNS[kind]
    headings = columns.wide if wide and columns.wide else columns.usual
    return _laid_out(headings, [columns.cells[each] for each in headings], resources, cluster)


def scoped_table(resources: Sequence[Stored], cluster: Cluster) -> list[str]:
    """Give the table of bgpPeers by scope, as Calico 2.x showed them."""
    cells = [_SCOPED.cells[heading] for heading in _SCOPED.usual]
    return _laid_out(_SCOPED.usual, cells, resources, cluster)


def custom_table(
    kind: Kind, resources: Sequence[Stored], cluster: Cluster, headings: Sequence[str]
) -> list[str]:
    """Give the table of columns that somebody named.

    Raises:
        ConfigError: there is no such column.
    """
    cells = [_cell(kind, heading) for heading in headings]
    return _laid_out(headings, cells, resources, cluster)


def _cell(kind: Kind, heading: str) -> Cell:
    columns = COLUMNS[kind]
    if heading.upper() in columns.cells:
        return columns.cells[heading.upper()]
    path = _path(MODELS[kind], heading.split("."))
    if path is None or kind is Kind.SECRET:
        known = ", ".join(columns.cells)
        raise ConfigError(
            f"Unknown heading {heading}, valid values are: {known}",
            "" if kind is Kind.SECRET else "and fields, SPEC.… or METADATA.…",
        )
    return _field(*path)


def _path(model: type[Resource], steps: Sequence[str]) -> tuple[str, ...] | None:
    """Find the field that a heading means; what is below a map of texts is taken as it is."""
    path: tuple[str, ...] = ()
    for number, step in enumerate(steps):
        around = model_at(model, path)
        if around is None:
            is_map = number == 2 and path[-1] in ("labels", "annotations", "extensions")
            return (*path, ".".join(steps[number:])) if is_map else None
        names = {item.alias or name for name, item in around.model_fields.items()}
        found = [name for name in names if name.lower() == step.lower()]
        if not found:
            return None
        path = (*path, found[0])
    return path


def _laid_out(
    headings: Sequence[str],
    cells: Sequence[Cell],
    resources: Sequence[Stored],
    cluster: Cluster,
) -> list[str]:
    rows = [[cell(resource.tree, cluster) for cell in cells] for resource in resources]
    lines = [list(headings), *rows]
    widths = [
        max(NARROWEST, *(len(cell) + GAP for cell in column)) for column in zip(*lines, strict=True)
    ]
    laid = [
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return [*laid, ""]
