"""The kinds of resource that are read, and the words people use for them."""

from __future__ import annotations

from enum import StrEnum

from speaker.config.problems import did_you_mean


class Kind(StrEnum):
    """A kind of resource, in Calico's spelling."""

    BGP_PEER = "BGPPeer"
    BGP_FILTER = "BGPFilter"
    BGP_CONFIGURATION = "BGPConfiguration"
    NODE = "Node"
    IP_POOL = "IPPool"
    BLOCK_AFFINITY = "BlockAffinity"
    SECRET = "Secret"


ALIASES: dict[str, Kind] = {
    alias: kind
    for kind, words in {
        Kind.BGP_PEER: "bgppeer bgppeers bgpp bgpps bp bps",
        Kind.BGP_FILTER: "bgpfilter bgpfilters bgpf bgpfs bf bfs",
        Kind.BGP_CONFIGURATION: "bgpconfiguration bgpconfigurations bgpconfig bgpconfigs",
        Kind.NODE: "node nodes no nos",
        Kind.IP_POOL: "ippool ippools ipp ipps pool pools",
        Kind.BLOCK_AFFINITY: "blockaffinity blockaffinities",
        Kind.SECRET: "secret secrets",
    }.items()
    for alias in words.split()
}
"""calicoctl's aliases, in lower case."""


def find_kind(word: str) -> Kind | None:
    """Find the kind that a word names, in whatever case."""
    return ALIASES.get(word.lower())


def unknown_kind(word: str) -> str:
    """Say that a kind is not known, with the one that was perhaps meant."""
    guess = did_you_mean(word, list(Kind))
    known = f" (known: {', '.join(Kind)})" if not guess else ""
    return f"kind {word!r} is not read here{guess}{known}"
