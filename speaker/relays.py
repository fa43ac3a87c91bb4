"""Relayed families: their tables, and what an embedder announces in them.

A family that is not unicast has a Loc-RIB from the moment somebody negotiates it, announces in it
or asks for it. Routes in it come from peers and go to peers; none is installed, no filter and no
policy of the node speaks of it, and a next hop need not lead anywhere from here.

`Relays` is also the door for an embedder who originates such routes. NLRI are octets as they travel
on the wire, attributes too; ORIGIN, AS_PATH and what reflection needs are added where they are
missing.

Standards: RFC 4271 §9.4; RFC 4760 §3; RFC 8277 §2.4 (a new label takes the place of the old one).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from fsm.errors import UpdateMessageError
from fsm.family import RELAYED, Family, Safi, name_of, parse_family
from policy.attributes import Attribute, AttributeEditor, Origin, PathAttributes
from policy.path import RelayedPath, Source, SourceKind
from policy.prefix import Nlri
from speaker.errors import ConfigError
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.loc_rib import LocRib
from speaker.wire import relay
from speaker.wire.attributes import ScanContext, scan
from speaker.wire.decoded import next_hop_text, nlri_text

_OURS = ScanContext(internal=True, four_octet_as=True, aigp=True)
_ZERO_RD = bytes(8)
_BEHIND_RD = (Safi.MPLS_VPN, Safi.BGP_LS_VPN)


@dataclass(frozen=True, slots=True)
class RelayedRoute:
    """The best path of a relayed route.

    Attributes:
        nlri: as it is announced.
        path: with its attributes and its source.
    """

    family: Family
    nlri: bytes
    path: RelayedPath

    def __str__(self) -> str:
        hop = next_hop_text(self.family, self.path.attributes.next_hop)
        words = nlri_text(self.family, self.nlri)
        return f"{words} via {hop}" if hop else words


class Router(Protocol):
    """What is asked of the router around."""

    @property
    def router_id(self) -> int:
        """Our BGP Identifier."""

    def work(self) -> None:
        """Tables have changed: let a turn run."""


class Relays:
    """The tables of relayed families, and what is announced here.

    Args:
        loc_ribs: of all families; tables are added to them.
        router: around us.
    """

    def __init__(self, loc_ribs: dict[Family, LocRib], router: Router) -> None:
        self._loc_ribs = loc_ribs
        self._router = router
        self._own: dict[Family, AdjRibIn] = {}

    def open(self, families: Iterable[Family]) -> None:
        """See to it that families which are relayed have tables."""
        for family in families:
            if family in RELAYED and family not in self._loc_ribs:
                self._loc_ribs[family] = LocRib(family)

    def routes(self, family: Family | str) -> Iterator[RelayedRoute]:
        """Give the best path of every route of a family.

        Raises:
            ConfigError: it is none that is relayed.
        """
        found = _relayed(family)
        loc_rib = self._loc_ribs.get(found)
        for key, path in list(loc_rib.best.items() if loc_rib is not None else ()):
            yield route_of(found, key, path)

    def announce(
        self,
        family: Family | str,
        nlri: bytes,
        *,
        next_hop: bytes | str = b"",
        attributes: bytes = b"",
    ) -> None:
        """Announce a route as our own, in the place of what we announced under its key before.

        Args:
            family: or its name.
            nlri: one, as it travels.
            next_hop: an address, or octets as they travel; flow specifications have none.
            attributes: path attributes as they travel (route targets, for example).

        Raises:
            ConfigError: one of them is malformed.
        """
        found = _relayed(family)
        key, rest = _divide(found, nlri)
        octets = _next_hop(found, next_hop)
        rib = self._own_rib(found)
        path = RelayedPath(PathAttributes(_attributes(attributes), octets), rib.source, rest)
        rib.announce(path, [key])
        self._router.work()

    def withdraw(self, family: Family | str, nlri: bytes) -> None:
        """Announce a route no more, whatever label it was announced with.

        Raises:
            ConfigError: the NLRI is malformed, or the family none that is relayed.
        """
        found = _relayed(family)
        key, _ = _divide(found, nlri)
        self._own_rib(found).withdraw([key])
        self._router.work()

    def _own_rib(self, family: Family) -> AdjRibIn:
        rib = self._own.get(family)
        if rib is None:
            self.open((family,))
            source = Source("static1", SourceKind.STATIC, router_id=self._router.router_id)
            rib = self._own[family] = AdjRibIn(source, family, self._loc_ribs[family])
        return rib


def route_of(family: Family, key: Nlri, path: object) -> RelayedRoute:
    """Put key and path of a relayed family together."""
    assert isinstance(path, RelayedPath)
    return RelayedRoute(family, relay.RULES[family].join(key, path.rest), path)


def _relayed(family: Family | str) -> Family:
    """Find a family that is relayed."""
    try:
        found = parse_family(family) if isinstance(family, str) else family
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if found not in RELAYED:
        raise ConfigError(f"routes of {name_of(found)} are not relayed")
    return found


def _divide(family: Family, nlri: bytes) -> tuple[Nlri, bytes]:
    try:
        found = relay.cut(family, Attribute.MP_REACH_NLRI, nlri, nlri)
    except UpdateMessageError as error:
        raise ConfigError(f"{nlri.hex()} is no NLRI of {name_of(family)}: {error}") from None
    routes = [(key, rest) for rest, keys in found.routes.items() for key in keys]
    if found.faults or len(routes) != 1:
        why = "; ".join(fault.what for fault in found.faults) or f"it holds {len(routes)} routes"
        raise ConfigError(f"{nlri.hex()} is no NLRI of {name_of(family)}: {why}")
    return routes[0]


def _next_hop(family: Family, given: bytes | str) -> bytes:
    octets = given if isinstance(given, bytes) else b""
    if isinstance(given, str) and given:
        try:
            octets = ip_address(given).packed
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if family.safi in _BEHIND_RD:
            octets = _ZERO_RD + octets
    if len(octets) not in relay.RULES[family].next_hops:
        raise ConfigError(f"{name_of(family)} has no next hops of {len(octets)} octets")
    return octets


def _attributes(octets: bytes) -> bytes:
    """Bring attributes into normal form, with those that every route has."""
    try:
        scanned = scan(octets, _OURS)
    except UpdateMessageError as error:
        raise ConfigError(str(error)) from None
    if scanned.faults:
        raise ConfigError("; ".join(map(str, scanned.faults)))
    editor = AttributeEditor(scanned.raw)
    if editor.get(Attribute.ORIGIN) is None:
        editor.set(Attribute.ORIGIN, bytes((Origin.IGP,)))
    if editor.get(Attribute.AS_PATH) is None:
        editor.set(Attribute.AS_PATH, b"")
    return editor.encode()
