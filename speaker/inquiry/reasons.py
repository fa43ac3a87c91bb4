"""Everything that a route's story can hinge on, as enumerations whose values are the words.

Some reasons are named where they arise: steps of the decision (`policy.decision.Reason`), what
keeps a route from a peer (`policy.propagation.Withheld`, `policy.calico.ExportReason`) and from the
kernel (`policy.calico.KernelReason`), and what resolution finds (`speaker.rib.resolving`). Those of
the tables themselves are here. `REASONS` names them all, so that a test can go through them. A word
in braces is filled in for each route.
"""

from __future__ import annotations

from enum import StrEnum

from policy.calico import ExportReason, KernelReason
from policy.decision import Reason
from policy.propagation import Withheld
from speaker.rib.resolving import Resolving


class Arrival(StrEnum):
    """How a route came in, or why it was not let in."""

    RULE_ACCEPTS = "{rule} accepts it"
    RULE_REJECTS = "{rule} rejects it"
    NO_RULE_MATCHES = "no import rule matches, so it is accepted"
    NO_FILTER = "there is no import filter"
    REFUSED = "refused: {why}"
    BLOCK = "a block of this node, by {resource}"
    NETWORK = "a network of this node, by {resource}"
    REACHABLE_BY = "a static route by way of {gateway}, by {resource}"
    EMBEDDER = "announced by the program that embeds us"
    CONNECTED = "a connected subnet of {interface}"
    FOREIGN = "a kernel route of somebody else: {route}"
    LEAVING = "its session has ended, and its routes are being taken out"


class Note(StrEnum):
    """What else was done to a route on the way in."""

    GRACEFUL_SHUTDOWN = "community GRACEFUL_SHUTDOWN is honoured: LOCAL_PREF is 0"
    BLACKHOLE = "community BLACKHOLE is honoured: packets are dropped"
    BLACKHOLE_TOO_SHORT = "community BLACKHOLE is not honoured: only for /{length} it would be"
    URGENT = "its priority is better than normal: protocol preference {preference}"
    STALE = "not told again since the peer began to tell everything anew"
    RESTARTING = "its session fell, and the peer restarts: it stays for {seconds} s at the most"
    LAST_RESORT = "its peer is gone for long: a last resort, for {seconds} s at the most"
    JUDGED_ANEW = "the import policy is new, and has not come to this route yet"


class Absence(StrEnum):
    """Why somebody who could tell a route does not."""

    SESSION_DOWN = "the session is not up: {why}"
    HELD = "the session is held down: its password or key is missing"
    NO_FAMILY = "the session does not carry {family}"
    NOT_COMPLETE = "has not told it; the first table is not complete (no End-of-RIB yet)"
    NOT_TOLD = "has not told it"
    PLAIN_MODE = "{route}: routes of the kernel take no part in plain mode"
    IGNORED = "{route}: its interface is left out"
    LINK_SCOPE = "{route}: it means something on its link only"


class Choice(StrEnum):
    """What became of a candidate besides the steps of the decision."""

    ONLY = "the only path"
    SHARES = "shares the traffic with the best: equal up to the cost of the next hop"
    KEPT_UNREACHABLE = "used though its next hop is unreachable: none can be reached"
    ANOTHER_TABLE = "in table {table} of an external network alone"


class InKernel(StrEnum):
    """What the kernel has, or why it has nothing."""

    INSTALLED = "in the kernel"
    TUNNELLED = "in the kernel, through the IPIP tunnel"
    BLACKHOLE = "in the kernel as blackhole"
    UNREACHABLE = "in the kernel as unreachable: its next hop leads nowhere"
    NO_KERNEL = "nothing is installed: the router runs without the kernel"
    STOPPED = "the kernel thread has ended; what it had installed stays"
    NOT_USED = "no path is used, so there is nothing to install"
    ANNOUNCED_ONLY = "announced only: no packets are to go that way"
    NO_TUNNEL = "it would go through tunl0, which is not there"
    CONFLICT = "{why}; it is installed when that goes"
    REFUSED = "the kernel refuses it ({why}); it is tried again"
    UNCLEAR = "not clear ({why}); the next scan will tell"
    PENDING = "about to be installed"
    DEFERRED = "we have restarted: routes are installed after End-of-RIB of {peers}"
    ADOPTED = "a route of an earlier run is still there, until the peers have told everything"
    LEAVING = "no path is used any more, and ours is about to be taken out"


class Telling(StrEnum):
    """What decides whether a peer hears a route."""

    RULE_ACCEPTS = "{rule} accepts it"
    RULE_REJECTS = "{rule} rejects it"
    NOTHING_AGAINST = "nothing speaks against it"
    SESSION_DOWN = "the session is not up: {why}"
    NO_FAMILY = "the session does not carry {family}"
    NOT_USED = "no path is used"
    DEFERRED = "we have restarted: routes are told after End-of-RIB of {peers}"
    EXTERNAL = "routes of an external network are told to nobody"
    OWN = "it came from there"
    IS_NEXT_HOP = "its next hop is the peer itself"
    TOO_LARGE = "its attributes leave no room for a prefix in a message of {octets} octets"
    NO_ROOM = "more than {maximum} prefixes are not told (maxPrefixesOut)"
    NOT_CHOSEN = "no more than the best {paths} paths are told"
    WAITS = "it waits for the peer to read what came before"
    SOON = "it is told with what has just changed"


REASONS: tuple[type[StrEnum], ...] = (
    Arrival,
    Note,
    Absence,
    Choice,
    Reason,
    Resolving,
    InKernel,
    KernelReason,
    Telling,
    Withheld,
    ExportReason,
)
"""All reasons that an answer can give."""
