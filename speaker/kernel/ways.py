"""Ways: sets of next hops, and the kernel's objects that routes name for them.

A *way* is whatever its owner counts as one set of next hops; where it leads may change. Each way
has a group object, and routes name the group. So when a way leads elsewhere, one message moves
every route behind it. Two ways may also become one (`merge`): a set of two next hops of which one
has died is the set of the other; routes keep the group they name, and the way has several groups
from then on.

`Ways` is *desired minus installed* like `speaker.kernel.fib`: `route_for` and `merge` say what is
wanted, `requests` gives what has to be sent, `took` and `refused` are told how it went, and
`reconcile` takes in what the kernel has, at the start (groups of an earlier run are adopted when
a way with the same hops turns up) and whenever something may have changed it: the kernel drops
objects of a link that falls, and empty groups with all their routes, without a word.

Groups are resilient, all of them, or none is (`resilience`). A group cannot become what it is not,
so a way gets another group then (`align`), and its routes have to name that one; the old group goes
on leading the way until no route names it.

There are no sockets here and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fsm.family import Afi
from policy.resilience import Resilience
from speaker.kernel.groups import FULL, Group, Key, Refusal, Request, Way, buckets_of
from speaker.kernel.nexthops import (
    Content,
    Members,
    NextHopObject,
    Numbers,
    Single,
    content_of,
    encode_group,
    encode_removal,
    encode_single,
)
from speaker.kernel.routes import Forwarding, normal
from speaker.rib.underlay import RouteKind


class Ways:
    """All ways and objects of one router.

    Args:
        table: our routing table.
        protocol: the number that marks objects as ours.

    Attributes:
        refusals: why the kernel has nothing of a group, by the group's number.
        aliases: for groups that a merged way has brought along: the number that counts instead.
        resilience: how groups are to keep flows; None for plain ones. `align` follows a change.
    """

    def __init__(self, table: int, protocol: int) -> None:
        self.numbers = Numbers(table)
        self.refusals: dict[int, Refusal] = {}
        self.aliases: dict[int, int] = {}
        self.resilience: Resilience | None = None
        self._protocol = protocol
        self._ways: dict[Key, Way] = {}
        self._way_of: dict[int, Way] = {}
        self._groups: dict[int, Group] = {}
        self._singles: dict[Single, int] = {}
        self._failed: dict[Single, Refusal] = {}
        self._surplus: set[int] = set()
        self._spare: dict[tuple[Afi, Content, int], list[Group]] = {}
        self._dirty: dict[int, None] = {}
        self._short: dict[int, None] = {}

    # What is wanted.

    def route_for(self, afi: Afi, forwarding: Forwarding) -> Forwarding | None:
        """Give the route that names the object for this forwarding; its way leads so from now on.

        Returns:
            None where there can be no object: no hops, a hop without gateway, no number free.
        """
        hops = forwarding.hops
        if forwarding.way:
            way = self._ways.get((afi, forwarding.way))
        else:
            way = self._ways.get((afi, (hops, forwarding.onlink)))
        if way is None or (way.wanted is not forwarding and not self._lead(way, forwarding)):
            way = self._make(afi, forwarding)
            if way is None:
                return None
        metric = forwarding.metric
        route = way.routes.get(metric)
        if route is None:
            number = way.groups[0].number
            route = normal(afi, Forwarding(RouteKind.UNICAST, (), metric, nexthop=number))
            way.routes[metric] = route
        return route

    def known(self, afi: Afi, name: int) -> bool:
        """Tell whether routes were ever asked for by a way of this name."""
        return (afi, name) in self._ways

    def merge(self, afi: Afi, name: int, into: Forwarding) -> tuple[int, int] | None:
        """Let one way become another; every route by it is by the other from now on.

        Returns:
            The number that its routes named and the number that counts from now on, where these
            are two.
        """
        old = self._ways.get((afi, name))
        if old is None or not _is_fit(into):
            return None
        del self._ways[old.key]
        new = self._ways.get((afi, into.way))
        if new is None:
            old.key = (afi, into.way)
            self._ways[old.key] = old
            self._lead(old, into)
            return None
        counted, merged = new.groups[0].number, old.groups[0].number
        new.groups += old.groups
        for group in old.groups:
            self._way_of[group.number] = new
            # Routes that name a group of another kind have yet to be replaced.
            if self._is_right(group):
                self.aliases[group.number] = counted
            self._dirty[group.number] = None
        self._lead(new, into)
        return merged, counted

    def hops_of(self, number: int) -> Forwarding | None:
        """Tell where the routes that name a group of ours are to lead."""
        way = self._way_of.get(number)
        return None if way is None else way.wanted

    def try_again(self, number: int) -> None:
        """Have a group that was refused sent again."""
        if self.refusals.pop(number, None) is not None:
            self._dirty[number] = None

    def retry(self) -> None:
        """Have everything sent again that the kernel refused."""
        self._failed.clear()
        self._dirty.update(self._short)

    def align(self) -> list[tuple[Afi, int, int]]:
        """Give each way whose first group is not of the wanted kind one that is.

        Returns:
            For each such way the family of its routes, the number that they named, and the one that
            they are to name.
        """
        moved = []
        for way in self._ways.values():
            old, afi = way.groups[0], way.key[0]
            if self._is_right(old):
                continue
            fit = [one for one in way.groups if self._is_right(one)]
            # What counts as another cannot count itself.
            fit = [one for one in fit if one.number not in self.aliases]
            group = fit[0] if fit else self._free_group(afi, way.content)
            if group is None:
                continue
            way.groups = [group, *(one for one in way.groups if one is not group)]
            way.routes.clear()
            self._way_of[group.number] = way
            moved.append((afi, old.number, group.number))
        return moved

    def set_resilience(self, resilience: Resilience | None) -> list[tuple[Afi, int, int]]:
        """Say how groups are to keep flows; return what `align` does."""
        if resilience == self.resilience:
            return []
        self.resilience = resilience
        # Where only timers differ, the groups stay.
        self._dirty.update(dict.fromkeys(self._way_of))
        return self.align()

    def _is_right(self, group: Group) -> bool:
        """Tell whether a group is of the wanted kind, or can be made so."""
        return buckets_of(group.resilience) == buckets_of(self.resilience)

    def _resilience_of(self, group: Group) -> Resilience | None:
        """Tell how a group is to keep flows; one that cannot be as wanted stays as it is."""
        return self.resilience if self._is_right(group) else group.resilience

    def _free_group(self, afi: Afi, content: Content) -> Group | None:
        """Give a group of the wanted kind that no way has; None where no number is free."""
        spare = self._spare.get((afi, content, buckets_of(self.resilience)))
        if spare:
            group = spare.pop()
            if group.resilience != self.resilience:
                self._dirty[group.number] = None
            return group
        number = self.numbers.free(afi, self._groups)
        if not number:
            return None
        group = Group(number, self._protocol, resilience=self.resilience)
        self._groups[number] = group
        self._dirty[number] = None
        return group

    def _make(self, afi: Afi, forwarding: Forwarding) -> Way | None:
        if not _is_fit(forwarding):
            return None
        content = content_of(forwarding.hops, onlink=forwarding.onlink)
        group = self._free_group(afi, content)
        if group is None:
            return None
        key = (afi, forwarding.way or (forwarding.hops, forwarding.onlink))
        way = self._ways[key] = Way(key, forwarding, content, [group])
        self._way_of[group.number] = way
        return way

    def _lead(self, way: Way, forwarding: Forwarding) -> bool:
        """Take in where a way leads; tell whether it is still one that can have an object."""
        if not _is_fit(forwarding):
            return False
        way.wanted = forwarding
        content = content_of(forwarding.hops, onlink=forwarding.onlink)
        if content != way.content:
            way.content = content
            for group in way.groups:
                self._dirty[group.number] = None
        return True

    # What is asked of the kernel.

    @property
    def pending(self) -> bool:
        """Tell whether `requests` would give anything."""
        return bool(self._dirty)

    def singles(self) -> list[Request]:
        """Give requests for the singles that are missing; groups come after these are settled."""
        wanted: dict[Single, None] = {}
        for number in self._dirty:
            way = self._way_of.get(number)
            if way is not None:
                wanted.update(dict.fromkeys(single for single, _ in way.content))
        requests: list[Request] = []
        taken = set(self._singles.values()) | self._surplus
        for single in wanted:
            self._failed.pop(single, None)
            if single in self._singles:
                continue
            number = self.numbers.free(None, taken)
            if number:
                taken.add(number)
                message = encode_single(number, single, self._protocol, len(requests))
                requests.append(Request(number, message, single))
        return requests

    def groups(self) -> list[Request]:
        """Give requests for the groups that are not as they should be."""
        requests: list[Request] = []
        for number in self._dirty:
            way, group = self._way_of.get(number), self._groups[number]
            if way is None:
                continue
            members = self._members(way.content)
            self._short.pop(number, None)
            if len(members) < len(way.content):
                self._short[number] = None
            if not members:
                self.refusals[number] = next(
                    (self._failed[one] for one, _ in way.content if one in self._failed), FULL
                )
                continue
            resilience = self._resilience_of(group)
            if group.is_as(members, self._protocol, resilience):
                continue
            message = encode_group(
                number,
                members,
                self._protocol,
                replaces=group.has is not None,
                resilience=resilience,
                sequence=len(requests),
            )
            requests.append(Request(number, message, None, members, resilience))
        self._dirty.clear()
        return requests

    def settle(self, requests: Iterable[Request], errors: Mapping[int, Refusal]) -> bool:
        """Take in the outcome of requests; tell whether all went well.

        Args:
            requests: as `singles` or `groups` gave them.
            errors: by place: errno and the kernel's words.
        """
        for place, request in enumerate(requests):
            error, single, number = errors.get(place), request.single, request.number
            if single is not None:
                if error is None:
                    self._singles[single] = number
                else:
                    self._failed[single] = error
            elif error is None:
                group = self._groups[number]
                group.has, group.protocol = request.members, self._protocol
                group.resilience = request.resilience
                self.refusals.pop(number, None)
            else:
                self._short[number] = None
                if self._groups[number].has is None:
                    self.refusals[number] = error
        return not errors

    def _members(self, content: Content) -> Members:
        singles = self._singles
        return tuple(
            sorted((singles[single], weight) for single, weight in content if single in singles)
        )

    # What the kernel has.

    def reconcile(self, found: Collection[NextHopObject]) -> set[int]:
        """Take in all objects of the kernel; return the groups that went, and with them routes."""
        ours = [one for one in found if self.numbers.owns(one.number)]
        self._take_singles(ours)
        groups = {one.number: one for one in ours if one.members}
        lost = self._compare_groups(groups)
        singles = {number: single for single, number in self._singles.items()}
        for number in groups.keys() - self._groups.keys():
            self._adopt(groups[number], singles)
        return lost

    def _take_singles(self, ours: list[NextHopObject]) -> None:
        self._singles, self._surplus = {}, set()
        for one in ours:
            if self.numbers.family(one.number) is not None:
                continue
            if (
                one.single is None
                or one.protocol != self._protocol
                or self._singles.setdefault(one.single, one.number) != one.number
            ):
                self._surplus.add(one.number)

    def _compare_groups(self, groups: Mapping[int, NextHopObject]) -> set[int]:
        lost: set[int] = set()
        for number, group in self._groups.items():
            there = groups.get(number)
            if there is None and group.has is not None:
                lost.add(number)
            group.has = None if there is None else there.members
            group.protocol = self._protocol if there is None else there.protocol
            if there is not None:
                group.resilience = there.resilience
            way = self._way_of.get(number)
            if way is not None and (
                group.has != self._members(way.content)
                or len(way.content) != len(group.has)
                or group.protocol != self._protocol
                or group.resilience != self._resilience_of(group)
            ):
                self._dirty[number] = None
        return lost

    def _adopt(self, found: NextHopObject, singles: Mapping[int, Single]) -> None:
        """Keep a group of an earlier run; a way with the same hops may take it."""
        group = Group(found.number, found.protocol, found.members, found.resilience)
        self._groups[found.number] = group
        afi = self.numbers.family(found.number)
        if afi is not None and all(number in singles for number, _ in found.members):
            content = tuple(sorted((singles[number], weight) for number, weight in found.members))
            key = (afi, content, buckets_of(found.resilience))
            self._spare.setdefault(key, []).append(group)

    # What is no longer used.

    def unused(self, used: Collection[int]) -> list[bytes]:
        """Forget groups that no route names, and singles that no group holds; give the removals.

        Args:
            used: numbers of the groups that routes name or are to name.
        """
        gone = [number for number in self._groups if number not in used]
        removals = [self._forget(number) for number in gone]
        held = {number for group in self._groups.values() for number, _ in group.has or ()}
        kept = {single for way in self._ways.values() for single, _ in way.content}
        for single, number in list(self._singles.items()):
            if single not in kept and number not in held:
                del self._singles[single]
                removals.append(number)
        for number in self._surplus - held:
            self._surplus.discard(number)
            removals.append(number)
        return [encode_removal(number, place) for place, number in enumerate(removals)]

    def _forget(self, number: int) -> int:
        group = self._groups.pop(number)
        for table in (self._dirty, self._short, self.refusals, self.aliases):
            table.pop(number, None)
        for spare in self._spare.values():
            if group in spare:
                spare.remove(group)
        way = self._way_of.pop(number, None)
        if way is not None:
            way.groups.remove(group)
            if not way.groups:
                del self._ways[way.key]
        return number


def _is_fit(forwarding: Forwarding) -> bool:
    """Tell whether there can be an object: packets leave through gateways alone."""
    return bool(forwarding.hops) and all(hop.gateway for hop in forwarding.hops)
