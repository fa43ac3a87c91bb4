"""The kinds of resource that are read, the words people use for them, and their versions."""

from __future__ import annotations

from enum import StrEnum

from speaker.config.problems import did_you_mean


class Kind(StrEnum):
    """A kind of resource: Calico's, in its spelling, and our own RoutePolicy and RPKICache."""

    BGP_PEER = "BGPPeer"
    BGP_FILTER = "BGPFilter"
    ROUTE_POLICY = "RoutePolicy"
    BGP_CONFIGURATION = "BGPConfiguration"
    NODE = "Node"
    IP_POOL = "IPPool"
    BLOCK_AFFINITY = "BlockAffinity"
    SECRET = "Secret"
    CALICO_NODE_STATUS = "CalicoNodeStatus"
    RPKI_CACHE = "RPKICache"
    BFD_CONFIGURATION = "BFDConfiguration"


ALIASES: dict[str, Kind] = {
    alias: kind
    for kind, words in {
        Kind.BGP_PEER: "bgppeer bgppeers bgpp bgpps bp bps",
        Kind.BGP_FILTER: "bgpfilter bgpfilters bgpf bgpfs bf bfs",
        Kind.ROUTE_POLICY: "routepolicy routepolicies rp rps",
        Kind.BGP_CONFIGURATION: "bgpconfiguration bgpconfigurations bgpconfig bgpconfigs",
        Kind.NODE: "node nodes no nos",
        Kind.IP_POOL: "ippool ippools ipp ipps pool pools",
        Kind.BLOCK_AFFINITY: "blockaffinity blockaffinities",
        Kind.SECRET: "secret secrets",
        Kind.CALICO_NODE_STATUS: ("caliconodestatus caliconodestatuses nodestatus nodestatuses"),
        Kind.RPKI_CACHE: "rpkicache rpkicaches rpkic rpkics",
        Kind.BFD_CONFIGURATION: "bfdconfiguration bfdconfigurations bfdconfig bfdconfigs",
    }.items()
    for alias in words.split()
}
"""calicoctl's aliases, and alike ones, in lower case."""

CALICO = "projectcalico.org/v3"
"""What Calico's resources are kept in."""

_OURS = ("wren.bgp/v1",)
_VERSIONS = {Kind.SECRET: ("v1",), Kind.ROUTE_POLICY: _OURS, Kind.RPKI_CACHE: _OURS}
_CALICOS = (CALICO, "crd.projectcalico.org/v1")

FILTER_KINDS = (Kind.BGP_FILTER, Kind.ROUTE_POLICY)
"""Kinds of which a peer's chain of filters is made."""


def versions_of(kind: Kind) -> tuple[str, ...]:
    """Give what documents of a kind may have as apiVersion; the first is what they are kept in.

    Calico's older group has the same fields.
    """
    return _VERSIONS.get(kind, _CALICOS)


def name_space(kind: str) -> str:
    """Give what a name must be unique in: its kind, but all filters of a chain are one."""
    return Kind.BGP_FILTER if kind in FILTER_KINDS else kind


def find_kind(word: str) -> Kind | None:
    """Find the kind that a word names, in whatever case."""
    return ALIASES.get(word.lower())


def unknown_kind(word: str) -> str:
    """Say that a kind is not known, with the one that was perhaps meant."""
    return f"kind {word!r} is not read here{or_known(word)}"


def or_known(word: str) -> str:
    """Give the kind that was perhaps meant, or all that there are."""
    return did_you_mean(word, list(Kind)) or f" (known: {', '.join(Kind)})"
