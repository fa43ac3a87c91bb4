"""The shapes of the answers, as the daemon makes them and the commands show them.

These are the objects of the control socket and of ``-o json`` alike, hence their keys in the style
of Calico's documents, and hence TypedDicts: they are JSON at both ends, and neither end turns them
into anything else. Points in time are seconds since 1970, because what the commands print is the
wall clock of a person; durations are seconds.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

PeerTypeWord = Literal["node-to-node mesh", "global", "node specific", "local workload"]
StateWord = Literal["up", "start", "down"]
AddressFamily = Literal["ipv4", "ipv6"]


class RestartView(TypedDict):
    """What routes that outlived a session wait for (RFC 4724, RFC 9494).

    ``phase`` is ``restarting``, ``long-lived stale`` or ``telling again``, ``seconds`` how long
    they stay at the most, and ``stale`` how many were told before and not again.
    """

    phase: str
    seconds: float
    stale: int


class FamilyView(TypedDict):
    """How many routes of one family a session carries, or left behind."""

    received: int
    accepted: int
    advertised: int
    endOfRib: bool
    restart: NotRequired[RestartView]


class NegotiatedView(TypedDict, total=False):
    """What the two OPENs of a session agreed on.

    ``extendedNextHop`` has the families whose routes may have IPv6 next hops besides; the roles are
    there where they were told (RFC 9234), and ``unknown`` has what the peer offered and we do not
    interpret: codes, and values in hexadecimal.
    """

    holdTime: int
    keepaliveTime: int
    routerID: str
    families: list[str]
    fourOctetAS: bool
    routeRefresh: bool
    enhancedRefresh: bool
    extendedMessages: bool
    extendedNextHop: list[str]
    gracefulRestart: bool
    peerName: str
    peerSoftware: str
    addPath: dict[str, str]
    role: str
    peerRole: str
    unknown: list[str]


class PasswordView(TypedDict):
    """Whether a session is signed (RFC 2385); the password itself is never told.

    ``inUseSince`` is when the connection that stands came up with one, none for one without, and
    ``changes`` whether the next connection has another one, or the first, or none any more.
    ``secret`` is where the one in use comes from, or else the one that waits, as ``SECRET/KEY``.
    """

    configured: bool
    inUseSince: float | None
    changes: bool
    secret: str


class KeyView(TypedDict):
    """A key of TCP-AO by its ids, its algorithm, and the Secret that it comes from."""

    sendID: int
    receiveID: int
    algorithm: str
    secret: str


class TcpAoView(TypedDict):
    """How a session is signed by TCP-AO (RFC 5925); the keys themselves are never told.

    ``keys`` are those of the resource, the one to be used first. Of the connection that stands,
    ``signsBy`` is the send id of the key that we sign by, ``asksFor`` the receive id of the one
    that the peer is asked for (none without a connection), ``bad`` counts the segments that were
    dropped for their signature, and ``changes`` tells whether it still has other keys than these.
    """

    keys: list[KeyView]
    signsBy: int | None
    asksFor: int | None
    bad: int
    changes: bool


class PeerView(TypedDict):
    """One peer and its session.

    ``type`` is Calico's word for where the peer comes from, ``family`` that of the address,
    ``since`` the last change of the state word, ``info`` what follows the BGP state in the status
    table, ``why`` a sentence that says why the session is not up (empty for one that is),
    ``nextTry`` the seconds to the next attempt (none where we only wait), ``families`` has keys
    such as ``ipv4 unicast``, ``ttlSecurity`` is how many hops away the peer may be (0: any), and
    ``tcpAO`` says by which keys the session is signed (none without). ``bfd`` is what BFD says,
    ``up`` or ``down``, or why it does not watch; empty where it is not asked. A peer that nobody
    names has the ``range`` it was accepted from.
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
    password: PasswordView
    tcpAO: TcpAoView | None
    ttlSecurity: int
    bfd: str
    range: NotRequired[str]


class LastWordView(TypedDict):
    """What became of an address in a range that has no peer: when, and in a sentence."""

    address: str
    at: float
    sentence: str


class RangeView(TypedDict):
    """A range from which peers are accepted that nobody names.

    ``remoteAS`` has ranges of AS numbers, ``peers`` counts those that are there and ``limit`` is
    how many may be, ``waiting`` counts connections without an OPEN, ``refused`` those that were
    turned away, by why (``limit``, ``as``, ``open``, ``silent``, ``terms``, ``service``).
    """

    name: str
    resource: str
    networks: list[str]
    remoteAS: str
    peers: int
    limit: int
    waiting: int
    refused: dict[str, int]
    last: list[LastWordView]


class ConditionView(TypedDict):
    """Something wrong in the resources that was isolated."""

    resource: str
    severity: Literal["warning", "error"]
    reason: str
    message: str


class KernelView(TypedDict):
    """The state of the kernel's routing table, as far as it is ours.

    ``refused`` names the routes that the kernel would not take, a sentence each.
    ``nexthopObjects`` says whether routes name such, ``nexthopCompatMode`` what
    net.ipv4.nexthop_compat_mode was at the start, null where the kernel has no such switch,
    ``resilientGroups`` how these keep flows (``128 idle 120``), empty where they do not.
    """

    enabled: bool
    table: int
    protocol: int
    nexthopObjects: bool
    nexthopCompatMode: int | None
    resilientGroups: str
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
    ranges: list[RangeView]
    conditions: list[ConditionView]
    kernel: KernelView


class ResourceConditionView(TypedDict):
    """One condition of a resource: its type, whether it holds, one word for why, and a sentence."""

    type: Literal["Accepted", "Resolved", "Established", "Degraded", "Conflicting"]
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class ResourceView(TypedDict):
    """One resource of the datastore.

    ``place`` is ``file:line`` of what is in force, empty for what is not; ``conditions`` has one of
    each type, Established only where the resource leads to sessions of this node; ``warnings`` are
    sentences about the document.
    """

    kind: str
    name: str
    place: str
    conditions: list[ResourceConditionView]
    warnings: list[str]


class UnconfirmedView(TypedDict):
    """An edit that is rolled back unless it is confirmed; the answer of ``hold`` and ``confirm``.

    ``files`` are those that it changes, as they lie in the datastore, ``remaining`` the seconds to
    the ``deadline``.
    """

    files: list[str]
    deadline: float
    remaining: float


class RolledBackView(TypedDict):
    """The answer of ``rollback``: the files of the edit, and those that were edited since."""

    files: list[str]
    left: list[str]


class ResourcesView(TypedDict):
    """The answer of ``resources``: those asked for, and what was refused and is no resource.

    ``unconfirmed`` is the edit that awaits confirmation, if there is one.
    """

    resources: list[ResourceView]
    problems: list[str]
    unconfirmed: UnconfirmedView | None


class PeerDetailView(TypedDict):
    """The answer of ``peer``: the peer and the last things that happened to its session.

    A line of the history begins with its moment and a blank.
    """

    peer: PeerView
    history: list[str]


class RouteView(TypedDict):
    """One path to one prefix.

    ``via`` says where packets go, in the words of ``ip route``; ``peer`` is the name of the path's
    source, ``reason`` why it lost (``best`` for the best), ``kernel`` is ``installed``, ``not
    installed: …`` or empty, ``attributes`` holds words for every attribute and is filled when all
    is asked for. ``pathIDs`` are the identifiers under which the peer told the path, where it may
    tell several (RFC 7911). A relayed route has its NLRI in words as ``prefix``, its octets as
    ``nlri``, and its fields as ``decoded``. Where anybody has told VRPs, ``rpki`` says whether the
    path is ``Valid``, ``Invalid`` or ``NotFound``. A route of an external network has the kernel's
    table that it stands in as ``table``.
    """

    prefix: str
    pathIDs: list[int]
    family: str
    best: bool
    peer: str
    nextHop: str
    interface: str
    via: list[str]
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
    rpki: NotRequired[str]
    table: NotRequired[int]
    nlri: NotRequired[str]
    decoded: NotRequired[dict[str, Any]]


class RoutesView(TypedDict):
    """The answer of ``routes``, or one chunk of it when it comes as a stream."""

    routes: list[RouteView]


class WhyView(TypedDict):
    """The answer of ``why``.

    ``used`` says whether there is a path that is used. The rest is ``text``, the answer in lines,
    or where ``json`` was asked for ``answer``, the same as an object
    (`speaker.inquiry.answer.Why`).
    """

    used: bool
    text: NotRequired[str]
    answer: NotRequired[dict[str, Any]]


class HeardItemView(TypedDict):
    """Prefixes that one source has told with one set of attributes, used or not.

    ``attributes`` are octets in normal form, ``nextHop`` and ``linkLocal`` octets, all of them in
    hexadecimal; ``metric`` is that of a route of the kernel.
    """

    peer: str
    attributes: str
    nextHop: str
    linkLocal: str
    interface: str
    metric: int | None
    prefixes: list[str]


class HeardView(TypedDict):
    """One chunk of the answer of ``heard``: what sources have told, before any filter."""

    heard: list[HeardItemView]


class ReloadView(TypedDict):
    """The answer of ``reload``: what changed and what was refused, a sentence each."""

    changes: list[str]
    problems: list[str]


class RouteDifferenceView(TypedDict):
    """Prefixes that would come, go, or come with other attributes."""

    appear: list[str]
    vanish: list[str]
    change: list[str]


class MoveView(TypedDict):
    """A prefix that would lead elsewhere: to which source and next hop it leads, and would."""

    prefix: str
    was: str
    becomes: str


class UsedView(TypedDict):
    """What would become of best routes."""

    appear: list[str]
    vanish: list[str]
    move: list[MoveView]


class PeerRoutesView(TypedDict):
    """What would become of the routes of one peer: those taken from it, and those told to it."""

    peer: str
    accepted: RouteDifferenceView
    advertised: RouteDifferenceView


class ForecastView(TypedDict):
    """The answer of ``forecast``, or one chunk of it: what an edit would do to routes.

    ``used`` is about best routes, ``peers`` about each peer for which something differs; ``left``
    counts prefixes that were not looked at because there are too many, and ``unforeseen`` says in
    sentences what could not be worked out. ``sessions`` are sentences about peers that are there
    and that nobody names, whom the resources alone do not tell.
    """

    used: UsedView
    peers: list[PeerRoutesView]
    left: int
    unforeseen: list[str]
    sessions: list[str]


class CacheView(TypedDict):
    """One RPKICache and its session.

    ``state`` is ``down``, ``connecting``, ``syncing`` or ``up``, ``version`` that of the protocol;
    session id and serial number are null where the cache has told nothing that counts. ``vrps`` and
    ``intervals`` (``refresh``, ``retry`` and ``expire``, seconds) are those in force; ``since`` is
    when it became well, or began to fail, ``lastError`` why, ``expiresIn`` the seconds until what
    it said is void.
    """

    name: str
    address: str
    port: int
    state: Literal["stopped", "down", "connecting", "syncing", "up"]
    version: int
    sessionID: int | None
    serial: int | None
    vrps: dict[str, int]
    intervals: dict[str, int]
    since: float
    lastError: str
    expiresIn: float | None


class RpkiView(TypedDict):
    """The answer of ``rpki``: the caches, and how many VRPs others have told, by their names."""

    caches: list[CacheView]
    others: dict[str, dict[str, int]]


class BfdSessionView(TypedDict):
    """One BFD session (RFC 5880).

    Intervals and times are microseconds, ``since`` seconds since the epoch. ``txIntervalUs``,
    ``rxIntervalUs`` and ``detectionTimeUs`` are what both ends have agreed; what the peer told is
    null before it has told anything. ``late`` counts packets that came more than half an interval
    after they were due, ``gaps`` silences by ``gapBounds`` of the process; ``silence`` says for how
    many seconds the peer was not heard when it was given up last. What who watches does not tell is
    null, too.
    """

    name: str
    peers: list[str]
    peer: str
    local: str | None
    interface: str | None
    multihop: bool
    state: Literal["AdminDown", "Down", "Init", "Up"]
    remoteState: Literal["AdminDown", "Down", "Init", "Up"] | None
    since: float | None
    downs: int | None
    diagnostic: str
    remoteDiagnostic: str | None
    discriminator: int
    remoteDiscriminator: int | None
    independent: bool
    txIntervalUs: int
    rxIntervalUs: int
    detectionTimeUs: int
    multiplier: int
    remoteMultiplier: int | None
    polling: bool
    authentication: bool
    received: int | None
    sent: int | None
    late: int | None
    gaps: list[int]
    silence: float | None
    discarded: dict[str, int]
    echoIntervalUs: int
    echoed: int
    echoTrouble: str
    trouble: str


class BfdProcessView(TypedDict):
    """The process that sends and hears the packets of BFD.

    ``outlives`` says whether it goes on while the daemon restarts.
    ``lateness`` counts how late it ran, by the upper ends ``latenessBounds`` in seconds, and
    ``latest`` is the most of it; ``spared`` counts how often a peer's packet lay unread when its
    detection time was over, which hurt nobody. ``unread`` are packets that the kernel dropped since
    nobody read them in time: with a discriminator of ours (``ours``), others that may have been
    somebody's ``first``, and ``junk``.
    """

    pid: int
    outlives: bool
    spared: int
    lateness: list[int]
    latenessBounds: list[float]
    latest: float
    gapBounds: list[float]
    discarded: dict[str, int]
    unread: dict[str, int]
    trouble: str


class BfdLackView(TypedDict):
    """An address that asks for BFD, and is not watched for want of a key."""

    address: str
    reason: str


class BfdView(TypedDict):
    """The answer of ``bfd``.

    ``notConnected`` are addresses that ask for BFD and are on no link of ours, ``withoutKey`` those
    whose key is missing, and why; the process is null where none of ours runs. ``witness`` is who
    watches instead of it, ``trouble`` why he does not.
    """

    sessions: list[BfdSessionView]
    notConnected: list[str]
    withoutKey: list[BfdLackView]
    process: BfdProcessView | None
    witness: str
    trouble: str


class OriginView(TypedDict):
    """What RPKI says of a prefix that comes from an AS, and which peers tell it so.

    The AS is null where the AS_PATH ends with a set.
    """

    asn: int | None
    validity: Literal["Valid", "Invalid", "NotFound"]
    peers: list[str]


class VrpView(TypedDict):
    """A VRP, and the names of those that say so."""

    prefix: str
    maxLength: int
    asn: int
    sources: list[str]


class ValidityView(TypedDict):
    """The answer of ``validity``: origins of a prefix, and the VRPs that cover it.

    ``left`` counts VRPs that are not shown because there are too many.
    """

    prefix: str
    origins: list[OriginView]
    vrps: list[VrpView]
    left: int


class RefreshView(TypedDict):
    """The answer of ``refresh``: the direction, peers with family, and who could not be asked."""

    direction: Literal["in", "out"]
    asked: list[str]
    refused: list[str]


class OrderView(TypedDict):
    """The answer of ``disable`` and ``enable``: the name of the peer."""

    peer: str


class DrainView(TypedDict):
    """A step of ``drain``, or the answer of ``undrain``; seconds are what others still have."""

    step: str
    seconds: float


class DatastoreView(TypedDict):
    """The answer of ``datastore``: the whole path of the directory, and which Node we are.

    ``strictSecrets`` says whether sessions without their password are held down.
    """

    path: str
    node: str
    strictSecrets: bool


class VersionView(TypedDict):
    """The answer of ``version``."""

    version: str
