"""What fields of a RoutePolicy demand of each other; see `speaker.config.rules`.

What it has in common with a BGPFilter is asked by the rules of `speaker.config.filter_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policy.operations import NextHopWord
from speaker.config.documents import Tree
from speaker.config.filter_rules import filter_rules
from speaker.config.problems import FieldPath, Violation
from speaker.config.scalars import ScalarError, parse_next_hop
from speaker.config.trees import list_at, map_at

_ONE_WAY = {
    "blackhole": (
        "import",
        "blackhole is for what comes in; add the community 65535:666 for the peer to drop packets",
    ),
    "asOverride": ("export", "asOverride is for what the peer is told"),
    "removePrivateAS": ("export", "removePrivateAS is for what the peer is told"),
}
"""Operations that mean something in one direction, and what is said in the other."""

_NEXT_HOPS = {
    "import": (
        (NextHopWord.SELF, NextHopWord.UNCHANGED),
        "on import it is an address or PeerAddress; without setNextHop it is unchanged",
    ),
    "export": (
        (NextHopWord.PEER_ADDRESS,),
        "on export it is an address, Self or Unchanged; a peer is not told its own address",
    ),
}
"""Words for a next hop that mean nothing in a direction, and what does."""

_OF_PEERS = {
    "setLocalPreference": ("eBGP", "LOCAL_PREF is not sent to external peers"),
    "setPriority": ("eBGP", "LOCAL_PREF, which carries it, is not sent to external peers"),
    "asOverride": ("iBGP", "within the AS there is nothing to override"),
    "removePrivateAS": ("iBGP", "within the AS no number is left out"),
}
"""Operations on export that do nothing towards a kind of peer."""


def _operations(tree: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Mapping[str, Any], str, int]]:
    """Give every operation with its path, its rule, the direction and the IP version."""
    for path, rule, version in filter_rules(tree):
        direction = "import" if str(path[1]).startswith("import") else "export"
        for number, operation in enumerate(list_at(rule, "operations")):
            for name, value in operation.items() if isinstance(operation, Mapping) else ():
                if value is not None:
                    yield (*path, "operations", number, name), rule, direction, version


def reasons(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a reason is why a route is rejected, one line of text."""
    for path, rule, _ in filter_rules(tree):
        reason = rule.get("reason")
        if reason and rule.get("action") == "Accept":
            message = "a reason says why a route is rejected; leave it out, or reject"
            yield Violation((*path, "reason"), "exclusive", message)
        if isinstance(reason, str) and not reason.isprintable():
            yield Violation((*path, "reason"), "text", "a reason is one line of printable text")


def directions(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: some operations are for what comes in, and some for what goes out."""
    for path, _, direction, _ in _operations(tree):
        wanted, message = _ONE_WAY.get(str(path[-1]), (direction, ""))
        if wanted != direction:
            yield Violation(path, "direction", message)


def next_hops(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a next hop is of the rule's family, or a word that means something that way."""
    for path, rule, direction, version in _operations(tree):
        if path[-1] != "setNextHop":
            continue
        value = _next_hop(rule, path)
        refused, message = _NEXT_HOPS[direction]
        if isinstance(value, NextHopWord):
            if value in refused:
                yield Violation((*path, "value"), "direction", f"{value}: {message}")
        elif value is not None and value.version != version:
            yield Violation((*path, "value"), "family", f"{value} is not IPv{version}")


def _next_hop(rule: Mapping[str, Any], path: FieldPath) -> Any:
    operation: Tree = list_at(rule, "operations")[int(path[-2])]
    try:
        return parse_next_hop(map_at(operation, "setNextHop").get("value"))
    except ScalarError:
        return None


def bounds(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a range has a bound."""
    for path, rule, _ in filter_rules(tree):
        for name in ("med", "localPreference"):
            found = rule.get(name)
            if isinstance(found, Mapping) and found.get("min") is None and found.get("max") is None:
                yield Violation((*path, name), "required", f"{name} needs min or max, or both")


def empty_ranges(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a range whose least is above its most never matches."""
    for path, rule, _ in filter_rules(tree):
        for name in ("med", "localPreference"):
            low, high = map_at(rule, name).get("min"), map_at(rule, name).get("max")
            if isinstance(low, int) and isinstance(high, int) and low > high:
                yield Violation((*path, name), "never-matches", "min is above max")


def idle_operations(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: operations that do nothing towards the kind of peer that the rule asks for."""
    for path, rule, direction, _ in _operations(tree):
        peer_type, message = _OF_PEERS.get(str(path[-1]), ("", ""))
        if direction == "export" and peer_type and rule.get("peerType") == peer_type:
            yield Violation(path, "no-effect-here", message)
