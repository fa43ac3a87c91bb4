"""Two versions of a node's policies held against each other, route by route.

A `Told` is what a source tells: some prefixes with one set of attributes. `Comparison.take` judges
them under both versions, on the way in and on the way out to every peer that both have, and files
what differs under peer, direction and the rules that decided (`Group`). What does not differ costs
one look for all prefixes that share attributes, and nothing is kept of it, so a table of any size
can be put through.

Each route is taken to be the best to its prefix. Peers that only one version has are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fsm.errors import UpdateMessageError
from fsm.family import Family
from policy.outbound import GroupKey, Outbound, export_partition
from policy.path import Path, SourceKind
from policy.prefix import Nlri, show
from policy.rules import NO_MATCH, Direction
from speaker.errors import ConfigError
from speaker.inquiry.reasons import Arrival
from speaker.trials.node import FAMILIES, Heard, TrialNode, TrialSession

FEW = 3
"""Examples that are kept of each group."""

KEPT = 20_000
"""Attribute sets after which all that was worked out is let go of."""


class Told(NamedTuple):
    """What a source tells.

    Attributes:
        source: a session by name, address or BGPPeer; of the node's own routes their kind.
        heard: attributes; of the node's own routes, their next hop alone.
        kind: BGP, or a kind of the node's own.
        metric: of a route of the kernel.
    """

    source: str
    family: Family
    heard: Heard
    nlris: list[Nlri]
    kind: SourceKind = SourceKind.BGP
    metric: int | None = None


@dataclass(slots=True)
class Group:
    """Routes that fare otherwise, in one way.

    Attributes:
        peers: names of the sessions, of which all fare alike.
        old: verdict and reason under the old version.
        new: the same under the new one.
        examples: prefixes.
    """

    peers: tuple[str, ...]
    direction: Direction
    family: Family
    old: str
    new: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


_Look: TypeAlias = tuple[object, ...] | None
"""What makes outcomes differ; None where there is no route."""


class _Part(NamedTuple):
    """Prefixes that fare alike under one version."""

    words: str
    look: _Look
    path: Path | None
    nlris: list[Nlri]


class _Listeners(NamedTuple):
    """Sessions that hear the same under both versions."""

    old: TrialSession
    new: TrialSession
    old_key: GroupKey
    new_key: GroupKey
    members: tuple[str, ...]


class Comparison:
    """What differs between two versions.

    Args:
        old: the node as it is.
        new: as it would be.
        tell: is called with each route that differs: group and prefix.
        keeps_all: all prefixes are kept, not a few examples.
    """

    def __init__(
        self,
        old: TrialNode,
        new: TrialNode,
        tell: Callable[[Group, str], None] | None = None,
        *,
        keeps_all: bool = False,
    ) -> None:
        self._old, self._new = old, new
        self._tell = tell
        self._keeps_all = keeps_all
        self._pairs = _pairs(old, new)
        self._by_source: dict[str, str] = {}
        self._listeners = {family: self._listeners_of(family) for family in FAMILIES.values()}
        self._groups: dict[tuple[object, ...], Group] = {}
        self._sets = 0
        self.routes = 0
        self.unknown: dict[str, int] = {}
        """Routes of sources that the node has no session with, in both versions."""
        self.unread: dict[str, int] = {}
        """Routes whose attributes neither version lets in, by the reason."""

    @property
    def groups(self) -> list[Group]:
        """All that differs; the most first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    @property
    def only(self) -> tuple[list[str], list[str]]:
        """Names of sessions that only the old version has, and only the new one."""
        paired = {session.plan.name for session in self._pairs.values()}
        return (
            [name for name in self._old.sessions if name not in self._pairs],
            [name for name in self._new.sessions if name not in paired],
        )

    def _listeners_of(self, family: Family) -> list[_Listeners]:
        found: dict[tuple[GroupKey, GroupKey], list[tuple[TrialSession, TrialSession]]] = {}
        for name, new in self._pairs.items():
            old = self._old.sessions[name]
            if family in old.plan.families and family in new.plan.families:
                found.setdefault((old.key(family), new.key(family)), []).append((old, new))
        return [
            _Listeners(*pairs[0], old_key, new_key, tuple(old.plan.name for old, _ in pairs))
            for (old_key, new_key), pairs in found.items()
        ]

    def take(self, told: Told) -> None:
        """Judge routes under both versions."""
        self.routes += len(told.nlris)
        self._sets += 1
        if self._sets % KEPT == 0:
            self._old.forget()
            self._new.forget()
        if told.kind is not SourceKind.BGP:
            self._take_local(told)
            return
        name = self._session_name(told.source)
        if name is None or told.family not in self._old.sessions[name].plan.families:
            self.unknown[told.source] = self.unknown.get(told.source, 0) + len(told.nlris)
            return
        old = list(_imported(self._old.sessions[name], told))
        new = list(_imported(self._pairs[name], told))
        if old[0].look is _REFUSED and new[0].look is _REFUSED:
            self.unread[old[0].words] = self.unread.get(old[0].words, 0) + len(told.nlris)
        joined = list(_joined(old, new))
        for before, after, nlris in joined:
            if before.look != after.look:
                self._file((name,), Direction.IMPORT, told.family, before.words, after.words, nlris)
        for before, after, nlris in joined:
            self._exported(told.family, before, after, nlris, name)

    def take_own(self) -> None:
        """Judge what each version has the node announce by itself."""
        for family in FAMILIES.values():
            before, after = (
                {nlri: path for path, nlris in node.own_routes(family).items() for nlri in nlris}
                for node in (self._old, self._new)
            )
            for nlri in sorted(before.keys() | after.keys()):
                self.routes += 1
                old, new = (
                    _Part("not announced by this node", None, path, [nlri])
                    if path is None
                    else _Part("", _local_look(path), path, [nlri])
                    for path in (before.get(nlri), after.get(nlri))
                )
                self._exported(family, old, new, [nlri], "")

    def _take_local(self, told: Told) -> None:
        old, new = (
            node.local(
                told.kind,
                told.heard.next_hop,
                interface=told.heard.interface,
                metric=told.metric,
            )
            for node in (self._old, self._new)
        )
        before, after = (_Part("", _local_look(path), path, told.nlris) for path in (old, new))
        self._exported(told.family, before, after, told.nlris, "")

    def _session_name(self, source: str) -> str | None:
        """Find a session that both versions have; None where there is none."""
        if source not in self._by_source:
            try:
                name = self._old.session(source).plan.name
            except ConfigError:
                name = ""
            self._by_source[source] = name if name in self._pairs else ""
        return self._by_source[source] or None

    def _exported(
        self, family: Family, before: _Part, after: _Part, nlris: list[Nlri], source: str
    ) -> None:
        if before.path is None and after.path is None:
            return
        is_alike = before.look == after.look
        for listeners in self._listeners[family]:
            if is_alike and listeners.old_key == listeners.new_key:
                continue
            members = tuple(name for name in listeners.members if name != source)
            if not members:
                continue
            told = _told(listeners.old, family, before, nlris)
            to_tell = _told(listeners.new, family, after, nlris)
            for old, new, some in _joined(list(told), list(to_tell)):
                if old.look != new.look:
                    self._file(members, Direction.EXPORT, family, old.words, new.words, some)

    def _file(
        self,
        peers: tuple[str, ...],
        direction: Direction,
        family: Family,
        old: str,
        new: str,
        nlris: Sequence[Nlri],
    ) -> None:
        key = (peers, direction, family, old, new)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(peers, direction, family, old, new)
        group.count += len(nlris)
        room = len(nlris) if self._keeps_all else FEW - len(group.examples)
        if room > 0:
            group.examples += [show(family.afi, nlri) for nlri in nlris[:room]]
        if self._tell is not None:
            for nlri in nlris:
                self._tell(group, show(family.afi, nlri))


_REFUSED = ("refused before any rule",)


def _pairs(old: TrialNode, new: TrialNode) -> dict[str, TrialSession]:
    """Find for each session the one of the new version: of its name, else of its address."""
    by_address = {session.plan.address: session for session in new.sessions.values()}
    found = {
        name: new.sessions.get(name) or by_address.get(session.plan.address)
        for name, session in old.sessions.items()
    }
    return {name: session for name, session in found.items() if session is not None}


def _imported(session: TrialSession, told: Told) -> Iterator[_Part]:
    """Judge routes on the way in, in the parts that rules make of them."""
    try:
        interned = session.intern(told.heard, told.family)
    except UpdateMessageError as error:
        yield _Part(f"resets the session: {error}", _REFUSED, None, told.nlris)
        return
    came = interned.path
    if came is None:
        yield _Part(f"reject: {interned.why_not}", _REFUSED, None, told.nlris)
        return
    policy = session.policy(told.family)
    each = [told.nlris]
    if came.blackhole and policy.shortest_blackhole:
        # What may be dropped is told by length, and judged apart.
        each = [[nlri] for nlri in told.nlris]
    for nlris in each:
        applied = policy.apply(came, nlris)
        if policy.chain is None:
            words = [f"accept: {Arrival.NO_FILTER}"] * len(applied)
        else:
            verdicts = policy.chain.partition(nlris, came, policy.scope)
            words = [
                Arrival.NO_RULE_MATCHES.value
                if verdict is NO_MATCH
                else f"{'accept' if verdict.accepted else 'reject'}: {verdict.reason}"
                for verdict, _ in verdicts
            ]
        for (used, part), said in zip(applied, words, strict=True):
            look = None if used is None else _look(used)
            yield _Part(said, look, used, part)


def _look(path: Path) -> _Look:
    return (path.attributes.raw, path.attributes.next_hop, path.preference, path.blackhole)


def _local_look(path: Path) -> _Look:
    return (path.source.kind, path.next_hop.address, path.metric, path.blackhole)


def _told(session: TrialSession, family: Family, part: _Part, nlris: list[Nlri]) -> Iterator[_Part]:
    """Judge a path on the way out."""
    path = part.path
    if path is None:
        yield _Part(f"not there: {part.words.removeprefix('reject: ')}", None, None, nlris)
        return
    key, sending = session.key(family), session.sending(family)
    for verdict, some in export_partition(nlris, path, key):
        if not verdict.accepted:
            yield _Part(f"reject: {verdict.reason}", None, None, some)
            continue
        out = sending.make(path, verdict)
        if isinstance(out, Outbound):
            yield _Part(f"accept: {verdict.reason}", tuple(out), path, some)
        else:
            yield _Part(f"reject: {out}", None, None, some)


def _joined(old: list[_Part], new: list[_Part]) -> Iterator[tuple[_Part, _Part, list[Nlri]]]:
    """Pair what becomes of the same prefixes."""
    if len(old) == 1 and len(new) == 1:
        yield old[0], new[0], old[0].nlris
        return
    place = {nlri: number for number, part in enumerate(old) for nlri in part.nlris}
    found: dict[tuple[int, int], list[Nlri]] = {}
    for after, part in enumerate(new):
        for nlri in part.nlris:
            found.setdefault((place[nlri], after), []).append(nlri)
    for (before, after), nlris in found.items():
        yield old[before], new[after], nlris
