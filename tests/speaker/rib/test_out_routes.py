"""What paths become on their way out: made once, remembered while used, and made anew when due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.family import IPV4_UNICAST
from policy.attributes import WellKnown, tlv
from policy.operations import AddCommunity
from policy.outbound import GroupKey
from policy.path import PeerType
from policy.rules import Verdict
from speaker.rib.attribute_table import OCTETS_EACH
from speaker.rib.out_routes import OutRoutes
from tests.support.builders import OUR_ADDRESS, OUR_AS
from tests.support.routes import INTERNAL_PEER, peer, route

KEY = GroupKey(IPV4_UNICAST, PeerType.EXTERNAL, OUR_AS, OUR_ADDRESS, router_id=1)
INTERNAL = replace(KEY, peer_type=PeerType.INTERNAL, is_client=True)
PLAIN = Verdict(accepted=True)
MARKED = Verdict(accepted=True, operations=(AddCommunity(0xFDE80009),))


def test_a_path_is_made_once_for_each_set_of_operations() -> None:
    routes, path = OutRoutes(KEY), route()
    plain, marked = routes.make(path, PLAIN), routes.make(path, MARKED)
    assert plain is not None
    assert marked is not None
    assert routes.make(path, PLAIN) is plain
    assert routes.make(path, MARKED) is marked
    assert plain.attributes != marked.attributes
    assert routes.size == 2


def test_what_is_refused_becomes_nothing() -> None:
    routes = OutRoutes(KEY)
    assert routes.make(route(), Verdict(accepted=False)) is None
    assert routes.size == 0


@pytest.mark.parametrize("verdict", [PLAIN, MARKED])
def test_what_does_not_fit_into_a_message_becomes_nothing(verdict: Verdict) -> None:
    """RFC 8654 §4."""
    large = route(more=tlv(0xC0, 250, bytes(4060)))
    assert OutRoutes(KEY).make(large, verdict) is None
    assert OutRoutes(replace(KEY, max_message=65535)).make(large, verdict) is not None


def test_who_must_not_hear_a_route_is_known_while_it_is_used() -> None:
    routes, path = OutRoutes(INTERNAL), route(INTERNAL_PEER, next_hop="192.0.2.77")
    out = routes.make(path, PLAIN)
    hop = bytes((192, 0, 2, 77))
    assert out is not None
    assert (out.avoids, routes.avoided, routes.sources) == (hop, {hop}, {path.source})
    routes.keep(set())
    assert (routes.avoided, routes.sources) == (set(), set())


def test_only_what_is_used_is_remembered() -> None:
    routes, one, other = OutRoutes(KEY), route(), route(path=(65002,))
    kept = routes.make(one, PLAIN)
    routes.make(one, MARKED)
    routes.make(other, PLAIN)
    routes.keep({kept})
    assert routes.size == 1
    assert routes.make(one, PLAIN) is kept


def test_large_ones_count_by_their_octets() -> None:
    routes = OutRoutes(KEY)
    out = routes.make(route(more=tlv(0xC0, 250, bytes(2 * OCTETS_EACH))), PLAIN)
    assert out is not None
    assert routes.size == len(out.attributes) // OCTETS_EACH == 2
    routes.keep({out})
    assert routes.size == 2
    routes.keep(set())
    assert routes.size == 0


def test_a_path_is_made_anew_when_its_distance_is_another() -> None:
    routes, path, other = OutRoutes(KEY), route(), route(path=(65002,))
    before = [routes.make(each, verdict) for each in (path, other) for verdict in (PLAIN, MARKED)]
    routes.inherited = {path: before[0]}
    routes.remake({path})
    after = [routes.make(each, verdict) for each in (path, other) for verdict in (PLAIN, MARKED)]
    assert [one is two for one, two in zip(before, after, strict=True)] == [
        False,
        False,
        True,
        True,
    ]


def test_what_an_alike_group_has_made_is_not_made_again() -> None:
    former, routes, path = OutRoutes(KEY), OutRoutes(KEY), route()
    made = former.make(path, PLAIN)
    routes.inherited = former.plain
    assert routes.make(path, PLAIN) is made
    assert routes.sources == {path.source}


def test_a_path_that_may_be_heard_no_more_is_forgotten() -> None:
    routes = OutRoutes(KEY)
    secret = route(peer(name="one"), communities=[WellKnown.NO_EXPORT])
    heard = route(peer(name="other"))
    # Both were told once, by what was right then.
    for path in (secret, heard):
        routes.make(path, PLAIN)
    for path in (secret, heard):
        routes.forget(path.source)
    assert list(routes.plain) == [heard]
