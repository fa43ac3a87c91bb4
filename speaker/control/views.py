"""The shapes of the answers, as the daemon makes them and the commands show them.

These are the objects of the control socket and of ``-o json`` alike, hence their keys in the style
of Calico's documents, and hence TypedDicts: they are JSON at both ends, and neither end turns them
into anything else. Points in time are seconds since 1970, because what the commands print is the
wall clock of a person; durations are seconds.
"""

from __future__ import annotations

from typing import Literal, TypedDict

PeerTypeWord = Literal["node-to-node mesh", "global", "node specific", "local workload"]
StateWord = Literal["up", "start", "down"]
AddressFamily = Literal["ipv4", "ipv6"]


class FamilyView(TypedDict):
    """How many routes of one family a session carries."""

    received: int
    accepted: int
    advertised: int
    endOfRib: bool


class NegotiatedView(TypedDict, total=False):
    """What the two OPENs of a session agreed on."""

    holdTime: int
    keepaliveTime: int
    routerID: str
    families: list[str]
    fourOctetAS: bool
    routeRefresh: bool
    gracefulRestart: bool
    addPath: str


class PeerView(TypedDict):
    """One peer and its session.

    ``type`` is Calico's word for where the peer comes from, ``family`` that of the address,
    ``since`` the last change of the state word, ``info`` what follows the BGP state in the status
    table, ``why`` a sentence that says why the session is not up (empty for one that is),
    ``nextTry`` the seconds to the next attempt (none where we only wait), and ``families`` has keys
    such as ``ipv4 unicast``.
    """

    name: str
    resource: str
    type: PeerTypeWord
    address: str
    port: int
    family: AddressFamily
    localAS: int
    remoteAS: int
    state: StateWord
    bgpState: str
    since: float
    uptime: float | None
    info: str
    why: str
    lastError: str
    nextTry: float | None
    families: dict[str, FamilyView]
    passive: bool
    negotiated: NegotiatedView | None


class ConditionView(TypedDict):
    """Something wrong in the resources that was isolated."""

    resource: str
    severity: Literal["warning", "error"]
    reason: str
    message: str


class KernelView(TypedDict):
    """The state of the kernel's routing table, as far as it is ours.

    ``refused`` names the routes that the kernel would not take, a sentence each.
    """

    enabled: bool
    table: int
    protocol: int
    installed: dict[str, int]
    refused: list[str]


class StatusView(TypedDict):
    """The answer of ``status``."""

    node: str
    asn: int
    routerID: str
    mode: str
    version: str
    pid: int
    since: float
    peers: list[PeerView]
    conditions: list[ConditionView]
    kernel: KernelView


class PeerDetailView(TypedDict):
    """The answer of ``peer``: the peer and the last things that happened to its session.

    A line of the history begins with its moment and a blank.
    """

    peer: PeerView
    history: list[str]


class RouteView(TypedDict):
    """One path to one prefix.

    ``peer`` is the name of its source, ``reason`` why it lost (``best`` for the best), ``kernel``
    is ``installed``, ``not installed: …`` or empty, ``attributes`` holds words for every attribute
    and is filled when all is asked for.
    """

    prefix: str
    family: AddressFamily
    best: bool
    peer: str
    nextHop: str
    interface: str
    asPath: str
    origin: str
    localPref: int | None
    med: int | None
    communities: list[str]
    largeCommunities: list[str]
    preference: int | None
    reason: str
    kernel: str
    attributes: dict[str, str]


class RoutesView(TypedDict):
    """The answer of ``routes``, or one chunk of it when it comes as a stream."""

    routes: list[RouteView]


class ReloadView(TypedDict):
    """The answer of ``reload``: what changed and what was refused, a sentence each."""

    changes: list[str]
    problems: list[str]


class VersionView(TypedDict):
    """The answer of ``version``."""

    version: str
