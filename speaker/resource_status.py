"""What each resource of the datastore has come to on this node.

A resource is refused or accepted, finds what it refers to or not, leads to sessions that are up or
not, works with less than it asks for, contradicts another one. Each of these is a condition with
a reason and a sentence, in the words that Kubernetes' users know (`ConditionType`). Everything is
worked out when somebody asks, from what was read, from the plan and from the sessions; nothing is
kept for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from speaker.config.conditions import Condition, ConditionType, Gravity
from speaker.config.kinds import Kind, find_kind, unknown_kind
from speaker.config.problems import Problem
from speaker.config.report import Report
from speaker.config.store import Resources
from speaker.control.protocol import ControlError
from speaker.control.views import (
    CacheView,
    PeerView,
    ResourceConditionView,
    ResourcesView,
    ResourceView,
    UnconfirmedView,
)
from speaker.datastore.directory import LoadResult

_DEFAULT = "default"

_GOOD: dict[ConditionType, tuple[str, str]] = {
    ConditionType.RESOLVED: ("Resolved", "everything that it refers to is there"),
    ConditionType.DEGRADED: ("AsAsked", "nothing is less than it asks for"),
    ConditionType.CONFLICTING: ("NoConflict", "no other resource contradicts it"),
}


class ResourceStatus:
    """What resources have come to, at one moment.

    Args:
        loaded: what the datastore holds.
        conditions: of the plan and of the sessions.
        peers: all sessions.
        held: sessions that are held down, with the names of their BGPPeers.
        caches: all of RPKI.
    """

    def __init__(
        self,
        loaded: LoadResult,
        conditions: Iterable[Condition],
        peers: Sequence[PeerView],
        held: Sequence[tuple[str, str]] = (),
        caches: Sequence[CacheView] = (),
    ) -> None:
        self._loaded = loaded
        self._reports: dict[tuple[str, str], list[Report]] = {}
        self._conditions: dict[tuple[str, str], list[Condition]] = {}
        for report in loaded.reports:
            if report.kind and report.name:
                self._reports.setdefault((str(report.kind), report.name), []).append(report)
        for condition in (*conditions, *_of_documents(loaded)):
            kind, slash, name = condition.resource.partition("/")
            # What is said of a session without BGPPeer is said of the mesh.
            key = (kind, name) if slash else (Kind.BGP_CONFIGURATION.value, _DEFAULT)
            self._conditions.setdefault(key, []).append(condition)
        self._sessions: dict[tuple[str, str], list[tuple[str, bool, str]]] = {}
        for peer in peers:
            self._lead_to(peer["resource"], peer["name"], peer["state"] == "up", peer["why"])
        for cache in caches:
            key = (Kind.RPKI_CACHE.value, cache["name"])
            up = cache["state"] == "up" and not cache["lastError"]
            self._sessions[key] = [(cache["name"], up, cache["lastError"])]
        for name, resource in held:
            self._lead_to(resource, name, False, "it is held down")

    def _lead_to(self, resource: str, session: str, is_up: bool, why: str) -> None:
        key = (Kind.BGP_PEER.value, resource)
        if not resource:
            key = (Kind.BGP_CONFIGURATION.value, _DEFAULT)
        self._sessions.setdefault(key, []).append((session, is_up, why))

    def view(
        self, kind: str = "", name: str = "", unconfirmed: UnconfirmedView | None = None
    ) -> ResourcesView:
        """Give all resources, those of a kind, or one.

        Args:
            kind: or its alias; empty for all.
            name: empty for all.
            unconfirmed: the edit that awaits confirmation.

        Raises:
            ControlError: there is no such kind, or no such resource.
        """
        wanted = find_kind(kind) if kind else None
        if kind and wanted is None:
            raise ControlError(unknown_kind(kind))
        known = {*self._in_force(), *self._reports, *self._sessions, *self._conditions}
        keys = [key for key in sorted(known) if wanted in (None, key[0]) and name in ("", key[1])]
        if name and not keys:
            raise ControlError(f"there is no {wanted or 'resource'} {name} in the datastore")
        return {
            "resources": [self._resource(*key) for key in keys],
            "problems": [] if kind else [str(item) for item in self._nobodys()],
            "unconfirmed": unconfirmed,
        }

    def _in_force(self) -> Iterator[tuple[str, str]]:
        for kind, resources in self._loaded.resources.by_kind().items():
            for name in resources:
                yield kind.value, name

    def _nobodys(self) -> Iterator[Problem]:
        """Give what was refused and has no kind or no name."""
        for report in self._loaded.reports:
            if not (report.kind and report.name):
                yield from report.problems

    def _resource(self, kind: str, name: str) -> ResourceView:
        reports = self._reports.get((kind, name), [])
        warnings = [warning for report in reports for warning in report.warnings]
        conditions = [self._accepted(kind, name, reports), *self._worked_out(kind, name)]
        return {
            "kind": kind,
            "name": name,
            "place": _place(self._loaded.resources, kind, name),
            "conditions": conditions,
            "warnings": [str(warning) for warning in warnings if warning.rule != "no-effect"],
        }

    def _accepted(self, kind: str, name: str, reports: list[Report]) -> ResourceConditionView:
        found = [
            item
            for item in self._conditions.get((kind, name), [])
            if item.type is ConditionType.ACCEPTED
        ]
        if found:
            return _condition(ConditionType.ACCEPTED, "False", found[0].reason, _sentences(found))
        place = _place(self._loaded.resources, kind, name)
        problems = [problem for report in reports for problem in report.problems]
        if problems:
            stays = f"what stood in {place} before stays in force" if place else "it is left out"
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            return _condition(
                ConditionType.ACCEPTED, "False", "Invalid", f"{problems[0]}{more}; {stays}"
            )
        if place:
            return _condition(ConditionType.ACCEPTED, "True", "Accepted", f"read from {place}")
        return _condition(ConditionType.ACCEPTED, "True", "Default", "not written; defaults hold")

    def _worked_out(self, kind: str, name: str) -> Iterator[ResourceConditionView]:
        conditions = self._conditions.get((kind, name), [])
        sessions = self._sessions.get((kind, name), [])
        in_force = (kind, name) not in self._reports or _place(self._loaded.resources, kind, name)
        for type_ in (
            ConditionType.RESOLVED,
            ConditionType.ESTABLISHED,
            ConditionType.DEGRADED,
            ConditionType.CONFLICTING,
        ):
            found = [item for item in conditions if item.type is type_]
            if type_ is ConditionType.ESTABLISHED:
                if sessions or kind == Kind.BGP_PEER:
                    yield _established(sessions)
            elif found:
                status = "False" if type_ is ConditionType.RESOLVED else "True"
                yield _condition(type_, status, found[0].reason, _sentences(found))
            elif not in_force:
                yield _condition(type_, "Unknown", "NotAccepted", "it is not in force")
            else:
                status = "True" if type_ is ConditionType.RESOLVED else "False"
                yield _condition(type_, status, *_GOOD[type_])


def _established(sessions: list[tuple[str, bool, str]]) -> ResourceConditionView:
    """Say how many of a resource's sessions are up, and why the first of the others is not."""
    if not sessions:
        return _condition(
            ConditionType.ESTABLISHED, "Unknown", "NoSessions", "0/0: no session of this node"
        )
    down = [(name, why) for name, is_up, why in sessions if not is_up]
    counted = f"{len(sessions) - len(down)}/{len(sessions)}"
    if not down:
        return _condition(ConditionType.ESTABLISHED, "True", "AllUp", counted)
    name, why = down[0]
    more = f" (and {len(down) - 1} more)" if len(down) > 1 else ""
    said = f"{counted}: {name} is not up{more}" + (f": {why}" if why else "")
    return _condition(ConditionType.ESTABLISHED, "False", "NotAllUp", said)


def _of_documents(loaded: LoadResult) -> Iterator[Condition]:
    """Give what documents say by themselves: fields without effect, names used twice."""
    for report in loaded.reports:
        for warning in report.warnings:
            if warning.rule == "no-effect":
                resource = f"{report.kind}/{report.name}"
                yield Condition(resource, Gravity.WARNING, "NoEffect", warning.message)
    twice = {
        (item.file, item.line, item.column): item for item in loaded.problems if item.rule == _TWICE
    }
    for report in loaded.reports:
        problem = twice.get((report.file, *report.places.get("metadata.name", (report.line, 1))))
        if problem is not None:
            message = f"{problem.message}, and again in {report.file}:{report.line}"
            yield Condition(f"{report.kind}/{report.name}", Gravity.ERROR, "DuplicateName", message)


_TWICE = "duplicate-name"


def _place(resources: Resources, kind: str, name: str) -> str:
    known = find_kind(kind)
    return resources.place(known, name) if known else ""


def _sentences(conditions: list[Condition]) -> str:
    return "; ".join(dict.fromkeys(condition.message for condition in conditions))


def _condition(
    type_: ConditionType, status: str, reason: str, message: str
) -> ResourceConditionView:
    assert status in ("True", "False", "Unknown")
    return {
        "type": type_.value,
        "status": status,  # type: ignore[typeddict-item]  # asserted above
        "reason": reason,
        "message": message,
    }
