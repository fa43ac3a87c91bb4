"""Routes from elsewhere, for a comparison: from a daemon, from its ``routes -o json``, from MRT.

Each source gives `Told`, a batch at a time; prefixes with equal attributes come together as far as
they are near each other, and no table is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import islice
from typing import Any, BinaryIO

from fsm.family import Family
from policy.attributes import Attribute, AttributeEditor, Origin
from policy.path import SourceKind
from policy.prefix import Nlri, parse_prefix, show_address
from speaker.config.scalars import ScalarError, parse_community
from speaker.control.views import HeardView, RouteView
from speaker.errors import ConfigError
from speaker.trials.case_files import parse_as_path
from speaker.trials.cases import path_octets
from speaker.trials.comparing import Told
from speaker.trials.node import FAMILIES, Heard
from speaker.wire.mrt import RibEntry, entry_attributes, rib_entries

BATCH = 32_768
"""Entries among which equal attributes are looked for."""

_KINDS = {f"{kind.value}1": kind for kind in SourceKind if kind is not SourceKind.BGP}


def from_mrt(file: BinaryIO, as_peer: str = "") -> Iterator[Told]:
    """Read a TABLE_DUMP_V2.

    Args:
        file: that is read.
        as_peer: the session that all of it is taken to come from; else each peer of the dump is
            looked for by its address.

    Raises:
        MrtError: it is no dump, or is cut off.
    """
    entries = rib_entries(file)
    while batch := list(islice(entries, BATCH)):
        yield from _grouped(batch, as_peer)


def _grouped(entries: Iterable[RibEntry], as_peer: str) -> Iterator[Told]:
    groups: dict[tuple[bytes, Family, bytes], list[Nlri]] = {}
    for family, nlri, peer, attributes in entries:
        key = (peer.address, family, attributes)
        if key in groups:
            groups[key].append(nlri)
        else:
            groups[key] = [nlri]
    for (address, family, attributes), nlris in groups.items():
        heard = Heard(*entry_attributes(attributes))
        # One prefix may stand several times under a peer that tells several paths.
        yield Told(as_peer or show_address(address), family, heard, list(dict.fromkeys(nlris)))


def from_daemon(chunks: Iterable[HeardView]) -> Iterator[Told]:
    """Take what a daemon says that its peers have told."""
    for chunk in chunks:
        for item in chunk["heard"]:
            nlris = [parse_prefix(prefix) for prefix in item["prefixes"]]
            heard = Heard(
                bytes.fromhex(item["attributes"]),
                bytes.fromhex(item["nextHop"]),
                bytes.fromhex(item["linkLocal"]),
                item["interface"],
            )
            for afi, family in FAMILIES.items():
                some = [nlri for of, nlri in nlris if of is afi]
                kind = _KINDS.get(item["peer"], SourceKind.BGP)
                if some and kind is not SourceKind.STATIC:
                    yield Told(item["peer"], family, heard, some, kind, item["metric"])


def from_views(views: Iterable[RouteView]) -> Iterator[Told]:
    """Take the routes of ``wren routes -o json``.

    Raises:
        ConfigError: something in it is no such route.
    """
    for view in views:
        try:
            told = _from_view(view)
        except (KeyError, TypeError, ValueError, ScalarError) as error:
            raise ConfigError(
                f"no route of 'wren routes -o json': {error!r}", "give the output as it came"
            ) from None
        if told is not None:
            yield told


def _from_view(view: RouteView) -> Told | None:
    afi, nlri = parse_prefix(view["prefix"])
    next_hop = ip_address(view["nextHop"]).packed if view["nextHop"] else b""
    kind = _KINDS.get(view["peer"], SourceKind.BGP)
    if kind is SourceKind.STATIC or "nlri" in view:
        # The node's own are those of the plans; relayed ones pass no policy.
        return None
    if kind is not SourceKind.BGP:
        return Told(
            view["peer"], FAMILIES[afi], Heard(b"", next_hop, b"", view["interface"]), [nlri], kind
        )
    heard = Heard(_octets(view, next_hop), next_hop, b"", view["interface"])
    return Told(view["peer"], FAMILIES[afi], heard, [nlri])


def _octets(view: Mapping[str, Any], next_hop: bytes) -> bytes:
    editor = AttributeEditor(b"")
    editor.set(Attribute.ORIGIN, bytes((Origin[view["origin"]],)))
    editor.set(Attribute.AS_PATH, path_octets(parse_as_path(view["asPath"])))
    if len(next_hop) == 4:
        editor.set(Attribute.NEXT_HOP, next_hop)
    for code, name in ((Attribute.MULTI_EXIT_DISC, "med"), (Attribute.LOCAL_PREF, "localPref")):
        if view[name] is not None:
            editor.set(code, int(view[name]).to_bytes(4, "big"))
    communities = [*view["communities"], *view["largeCommunities"]]
    editor.add_communities(map(parse_community, communities))
    return editor.encode()
