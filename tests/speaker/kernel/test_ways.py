"""Ways and their objects: what is asked of a kernel that refuses, forgets and is meddled with."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import Afi
from policy.path import Hop
from policy.resilience import Resilience
from speaker.kernel.messages import messages
from speaker.kernel.nexthops import (
    NextHopObject,
    Numbers,
    Single,
    content_of,
    encode_group,
    encode_single,
    read_object,
)
from speaker.kernel.routes import Forwarding
from speaker.kernel.stamps import NLM_F_REPLACE
from speaker.kernel.ways import Ways
from speaker.rib.underlay import RouteKind

OURS = 12
IPV4 = Afi.IPV4


def over(*numbers: int, way: int = 0, metric: int = 0) -> Forwarding:
    """Lead through gateways 10.0.0.N, each behind interface N."""
    hops = tuple(Hop(n, bytes((10, 0, 0, n))) for n in numbers)
    return Forwarding(hops=hops, metric=metric, way=way)


def buckets(one: NextHopObject) -> int:
    return one.resilience.buckets if one.resilience else 0


@dataclass
class Objects:
    """A kernel's objects, and interfaces that are down."""

    there: dict[int, NextHopObject] = field(default_factory=dict)
    down: set[int] = field(default_factory=set)

    def perform(self, message: bytes) -> int:
        [header] = messages(message)
        asked = read_object(message, header.start, header.end)
        exists = asked.number in self.there
        if asked.single is not None:
            if exists or asked.single.interface in self.down:
                return errno.EEXIST if exists else errno.ENETDOWN
        elif not all(number in self.there for number, _ in asked.members):
            return errno.EINVAL
        elif bool(header.flags & NLM_F_REPLACE) != exists:
            return errno.EEXIST if exists else errno.ENOENT
        elif exists and buckets(asked) != buckets(self.there[asked.number]):
            return errno.EINVAL
        self.there[asked.number] = asked
        return 0

    def fall(self, interface: int) -> None:
        """Take a link down: its singles go, groups shrink, and empty ones go, without a word."""
        self.down.add(interface)
        for number, one in list(self.there.items()):
            if one.single is not None and one.single.interface == interface:
                del self.there[number]
        for number, one in list(self.there.items()):
            left = tuple(m for m in one.members if m[0] in self.there)
            if one.members and not left:
                del self.there[number]
            elif one.members:
                self.there[number] = one._replace(members=left)

    def leads(self, number: int) -> set[int]:
        """Tell the interfaces that a group leads through."""
        found = self.there.get(number)
        singles = [self.there[one].single for one, _ in found.members] if found else []
        return {single.interface for single in singles if single is not None}


@dataclass
class Bench:
    kernel: Objects = field(default_factory=Objects)

    def __post_init__(self) -> None:
        self.ways = Ways(254, OURS)
        self.ways.reconcile(self.kernel.there.values())

    def flush(self) -> int:
        """Send what is to be sent; tell how many messages it took."""
        sent = 0
        for give in (self.ways.singles, self.ways.groups):
            requests = give()
            results = [self.kernel.perform(request.message) for request in requests]
            errors = {n: (number, "no") for n, number in enumerate(results) if number}
            self.ways.settle(requests, errors)
            sent += len(requests)
        return sent

    def number(self, forwarding: Forwarding) -> int:
        route = self.ways.route_for(IPV4, forwarding)
        assert route is not None
        return route.nexthop


def test_routes_of_a_way_differ_in_metric_alone() -> None:
    ways = Ways(254, OURS)
    first = ways.route_for(IPV4, over(1, way=1))
    again = ways.route_for(IPV4, over(1, way=1, metric=7))
    assert first is not None
    assert again == replace(first, metric=7)
    assert ways.route_for(IPV4, over(1, way=1)) is first
    assert (first.kind, first.hops, first.way) == (RouteKind.UNICAST, (), 0)


def test_there_is_no_object_without_gateways() -> None:
    ways = Ways(254, OURS)
    assert ways.route_for(IPV4, Forwarding(hops=(Hop(1),))) is None
    assert ways.route_for(IPV4, Forwarding(hops=(), way=1)) is None
    assert not ways.pending


def test_a_way_that_leads_elsewhere_is_one_message_once_the_gateway_is_known() -> None:
    bench = Bench()
    number = bench.number(over(1, way=1))
    bench.number(over(2, way=2))
    assert bench.flush() == 4
    assert bench.number(over(2, way=1)) == number
    assert bench.flush() == 1
    assert bench.kernel.leads(number) == {2}
    assert bench.flush() == 0


def test_merged_ways_are_led_together() -> None:
    bench = Bench()
    both, one = bench.number(over(1, 2, way=1)), bench.number(over(2, way=2))
    bench.flush()
    assert bench.ways.merge(IPV4, 1, over(2, way=2)) == (both, one)
    assert bench.flush() == 1
    assert bench.kernel.leads(both) == {2}
    bench.number(over(3, way=2))
    bench.flush()
    assert bench.kernel.leads(both) == bench.kernel.leads(one) == {3}
    assert bench.ways.aliases == {both: one}
    # The name is free again.
    assert bench.number(over(1, 2, way=1)) not in (both, one)


def test_a_way_merged_into_one_that_never_was_takes_its_name() -> None:
    bench = Bench()
    number = bench.number(over(1, 2, way=1))
    bench.flush()
    assert bench.ways.merge(IPV4, 1, over(2, way=2)) is None
    assert bench.number(over(2, way=2)) == number
    assert bench.ways.merge(IPV4, 8, over(2, way=2)) is None
    assert bench.flush() == 1


def test_groups_of_an_earlier_run_are_taken_by_ways_with_the_same_hops() -> None:
    before = Bench()
    numbers = [before.number(over(1, 2, way=1)), before.number(over(3, way=2))]
    before.flush()
    after = Bench(before.kernel)
    assert [after.number(over(1, 2, way=77)), after.number(over(3, way=78))] == numbers
    assert after.flush() == 0
    assert after.number(over(1, 2, way=79)) not in numbers


def test_what_is_refused_is_left_out_and_tried_again() -> None:
    bench = Bench()
    bench.kernel.down = {1, 3}
    both, alone = bench.number(over(1, 2, way=1)), bench.number(over(3, way=2))
    bench.flush()
    assert bench.kernel.leads(both) == {2}
    assert bench.ways.refusals == {alone: (errno.ENETDOWN, "no")}
    bench.kernel.down.clear()
    bench.ways.retry()
    bench.flush()
    assert bench.kernel.leads(both) == {1, 2}
    bench.ways.try_again(alone)
    bench.flush()
    assert bench.ways.refusals == {}
    assert bench.kernel.leads(alone) == {3}


def test_groups_that_a_falling_link_empties_are_lost_with_their_routes() -> None:
    bench = Bench()
    both, alone = bench.number(over(1, 2, way=1)), bench.number(over(1, way=2))
    bench.flush()
    bench.kernel.fall(1)
    assert bench.ways.reconcile(bench.kernel.there.values()) == {alone}
    bench.flush()
    assert bench.kernel.leads(both) == {2}


def test_what_nobody_names_is_removed() -> None:
    bench = Bench()
    kept = bench.number(over(1, 2, way=1))
    bench.number(over(2, 3, way=2))
    bench.flush()
    removals = bench.ways.unused({kept})
    gone = {read_object(m, 16, len(m)).number for m in removals}
    left = bench.kernel.there.keys() - gone
    assert len(left) == 3
    assert kept in left
    assert bench.ways.unused({kept}) == []


def test_ranges_of_tables_do_not_meet() -> None:
    main, other = Numbers(254), Numbers(1000)
    number = main.free(IPV4, ())
    assert main.owns(number)
    assert not other.owns(number)
    assert main.family(number) is IPV4
    assert main.family(main.free(None, ())) is None
    assert main.free(IPV4, ()) != number


singles = st.builds(
    Single,
    st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
    st.integers(1, 2**31 - 1),
    st.booleans(),
)
numbers = st.integers(1, 2**32 - 1)
seconds = st.integers(1, 65535)


@given(numbers, singles, st.integers(0, 255))
def test_a_single_is_read_back(number: int, single: Single, protocol: int) -> None:
    message = encode_single(number, single, protocol)
    assert read_object(message, 16, len(message)) == NextHopObject(number, protocol, single)
    assert struct.unpack_from("=I", message)[0] == len(message)


@given(
    numbers,
    st.dictionaries(numbers, st.integers(1, 256), min_size=1, max_size=20),
    st.booleans(),
    st.none() | st.builds(Resilience, seconds, seconds, seconds),
)
def test_a_group_is_read_back(
    number: int, weights: dict[int, int], replaces: bool, resilience: Resilience | None
) -> None:
    members = tuple(sorted(weights.items()))
    message = encode_group(number, members, OURS, replaces=replaces, resilience=resilience)
    read = read_object(message, 16, len(message))
    assert read == NextHopObject(number, OURS, None, members, resilience)
    assert struct.unpack_from("=I", message)[0] == len(message)


def test_resilient_ways_have_resilient_groups_and_follow_timers_in_place() -> None:
    bench = Bench()
    bench.ways.set_resilience(Resilience(64, 5))
    number = bench.number(over(1, 2, way=1))
    bench.flush()
    assert bench.kernel.there[number].resilience == Resilience(64, 5)
    assert bench.ways.set_resilience(Resilience(64, 9, 30)) == []
    assert bench.flush() == 1
    assert bench.kernel.there[number].resilience == Resilience(64, 9, 30)
    assert bench.number(over(1, 2, way=1)) == number


def test_another_kind_of_group_takes_a_number_of_its_own_and_the_old_one_goes_on() -> None:
    bench = Bench()
    old = bench.number(over(1, 2, way=1))
    bench.flush()
    [(afi, was, new)] = bench.ways.set_resilience(Resilience(64))
    assert (afi, was) == (IPV4, old)
    assert bench.number(over(1, 2, way=1)) == new
    bench.number(over(3, way=1))
    bench.flush()
    assert bench.kernel.leads(old) == bench.kernel.leads(new) == {3}
    # Back before anybody has moved: the old one still is there.
    assert bench.ways.set_resilience(None) == [(IPV4, new, old)]
    assert bench.flush() == 0
    gone = {read_object(m, 16, len(m)).number for m in bench.ways.unused({old})}
    assert new in gone
    assert old not in gone


def test_groups_of_an_earlier_run_are_taken_only_by_ways_of_their_kind() -> None:
    before = Bench()
    plain = before.number(over(1, 2, way=1))
    before.flush()
    after = Bench(before.kernel)
    after.ways.set_resilience(Resilience(64))
    number = after.number(over(1, 2, way=1))
    assert number != plain
    after.flush()
    again = Bench(after.kernel)
    again.ways.set_resilience(Resilience(64, 7))
    assert again.number(over(1, 2, way=5)) == number
    assert again.flush() == 1


def test_a_group_that_somebody_made_anew_of_another_kind_is_left() -> None:
    bench = Bench()
    bench.ways.set_resilience(Resilience(64))
    number = bench.number(over(1, 2, way=1))
    bench.flush()
    bench.kernel.there[number] = bench.kernel.there[number]._replace(resilience=None)
    assert bench.ways.reconcile(bench.kernel.there.values()) == set()
    [(_, was, new)] = bench.ways.align()
    assert was == number
    bench.flush()
    assert bench.kernel.there[new].resilience == Resilience(64)


def test_ways_merged_while_their_routes_move_to_other_groups() -> None:
    bench = Bench()
    both, one = bench.number(over(1, 2, way=1)), bench.number(over(2, way=2))
    bench.flush()
    moved = {was: new for _, was, new in bench.ways.set_resilience(Resilience(64))}
    assert bench.ways.merge(IPV4, 1, over(2, way=2)) == (moved[both], moved[one])
    # Routes that name the plain group of both have yet to be replaced, so it is no alias.
    assert bench.ways.aliases == {moved[both]: moved[one]}
    bench.flush()
    assert bench.kernel.leads(both) == bench.kernel.leads(moved[both]) == {2}


def test_the_same_gateway_twice_counts_for_both() -> None:
    hop, more = Hop(1, b"\x0a\0\0\1", "", 2), Hop(1, b"\x0a\0\0\1", "", 3)
    other = Hop(2, b"\x0a\0\0\1", "", 255)
    assert content_of((hop, other, more), onlink=False) == (
        (Single(b"\x0a\0\0\1", 1), 5),
        (Single(b"\x0a\0\0\1", 2), 255),
    )
    assert content_of((hop,), onlink=True) == ((Single(b"\x0a\0\0\1", 1, True), 1),)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("lead"), st.integers(1, 4), st.sets(st.integers(1, 4), min_size=1)),
        st.tuples(st.just("merge"), st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.just("fall"), st.integers(1, 4), st.just(0)),
        st.tuples(st.just("rise"), st.integers(1, 4), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("resilience"), st.integers(0, 2), st.integers(1, 2)),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_whatever_happens_every_way_leads_where_it_should(story: list[tuple]) -> None:  # type: ignore[type-arg]
    bench = Bench()
    resilience = None
    wanted: dict[int, Forwarding] = {}
    for what, one, other in story:
        if what == "lead":
            wanted[one] = over(*other, way=one)
        elif what == "merge" and one != other and one in wanted and other in wanted:
            bench.ways.merge(IPV4, one, wanted[other])
            del wanted[one]
        elif what == "fall":
            bench.kernel.fall(one)
        elif what == "rise":
            bench.kernel.down.discard(one)
        elif what == "restart":
            bench = Bench(bench.kernel)
            bench.ways.set_resilience(resilience)
        elif what == "resilience":
            resilience = Resilience(64 * one, other) if one else None
            bench.ways.set_resilience(resilience)
        named = {way: bench.number(forwarding) for way, forwarding in wanted.items()}
        bench.ways.reconcile(bench.kernel.there.values())
        bench.ways.retry()
        bench.flush()
        for way, number in named.items():
            up = {hop.interface for hop in wanted[way].hops} - bench.kernel.down
            if up:
                assert bench.kernel.leads(number) == up
                assert bench.kernel.there[number].resilience == resilience
            else:
                assert number in bench.ways.refusals
