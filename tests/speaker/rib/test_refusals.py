"""What a source has told and no table has kept: the last of it, with the reason."""

from __future__ import annotations

from fsm.family import IPV4_UNICAST
from policy.prefix import Nlri
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import MAX_PATHS, AdjRibInPaths
from speaker.rib.loc_rib import LocRib
from speaker.rib.refusals import KEPT, Refusals
from tests.support.builders import Facts, Session, body, few_prefixes, with_id
from tests.support.routes import EXTERNAL_PEER, peer, route

ONE, TWO, THREE = few_prefixes(3)
GOOD = Facts().encode()
LOOPED = Facts(path=((2, (65001, 65000)),)).encode()
AS_LOOP = "AS loop: 65000 stands in the AS_PATH 1 times"


def number(n: int) -> Nlri:
    return bytes((32,)) + n.to_bytes(4, "big")


def test_the_oldest_make_room() -> None:
    refusals = Refusals()
    refusals.note([number(n) for n in range(KEPT + 2)], "why")
    refusals.note([number(2)], "again")
    refusals.note([number(KEPT + 2)], "last")
    assert len(refusals) == KEPT
    assert (refusals.get(number(1)), refusals.get(number(3))) == (None, None)
    assert refusals[number(2)] == "again"


def test_of_very_many_at_once_the_last_are_kept() -> None:
    refusals = Refusals()
    refusals.note([number(1), number(2)], "before")
    refusals.note([number(n) for n in range(10, KEPT + 12)], "why")
    assert list(refusals) == [number(n) for n in range(12, KEPT + 12)]
    refusals.note([number(20)], "again")
    assert list(refusals)[-1] == number(20)
    assert len(refusals) == KEPT


def told(session: Session) -> Refusals:
    return session.tables[IPV4_UNICAST].refusals


def test_a_looped_route_is_noted_until_it_is_told_no_more() -> None:
    session = Session()
    session.inbound.learn(body(attributes=GOOD, nlri=ONE))
    assert told(session) == {}
    session.inbound.learn(body(attributes=LOOPED, nlri=ONE + TWO))
    assert told(session) == {ONE: AS_LOOP, TWO: AS_LOOP}
    session.inbound.learn(body(withdrawn=TWO))
    assert told(session) == {ONE: AS_LOOP}
    session.tables[IPV4_UNICAST].clear()
    assert told(session) == {}


def test_routes_of_a_peer_that_tells_several_paths_are_noted_by_prefix() -> None:
    session = Session(several=[IPV4_UNICAST])
    [key] = with_id(7, [ONE])
    session.inbound.learn(body(attributes=LOOPED, nlri=key))
    assert told(session) == {ONE: AS_LOOP}
    session.inbound.learn(body(withdrawn=key))
    assert told(session) == {}
    session.inbound.learn(body(attributes=LOOPED, nlri=key))
    session.tables[IPV4_UNICAST].clear()
    assert told(session) == {}


def test_what_is_beyond_the_maximum_is_noted() -> None:
    rib = AdjRibIn(EXTERNAL_PEER, IPV4_UNICAST, LocRib(IPV4_UNICAST))
    rib.maximum = 1
    rib.announce(route(), [ONE, TWO, THREE])
    assert rib.refusals == dict.fromkeys([TWO, THREE], "too much: no more than 1 prefixes are kept")


def test_a_path_too_many_to_one_prefix_is_noted() -> None:
    source = peer()
    source.tells_several = True
    rib = AdjRibInPaths(source, IPV4_UNICAST, LocRib(IPV4_UNICAST))
    for n in range(MAX_PATHS + 1):
        rib.announce(route(source, med=n), with_id(n, [ONE]))
    assert rib.refusals == {ONE: f"too much: no more than {MAX_PATHS} paths to a prefix"}
