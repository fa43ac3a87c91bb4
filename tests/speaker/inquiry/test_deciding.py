"""Which step a path lost, against which other: each step of the decision has its sentence."""

from __future__ import annotations

import pytest

from fsm.family import IPV4_UNICAST
from policy.attributes import Attribute
from policy.decision import Reason
from policy.path import Path, PeerType, Source, SourceKind
from policy.ranking import DecisionOptions
from speaker.inquiry.deciding import choices
from speaker.inquiry.reasons import Choice
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.adj_rib_in_paths import AdjRibInPaths
from speaker.rib.loc_rib import LocRib
from tests.support.builders import with_id
from tests.support.routes import attribute, local, next_hop, nlri, peer, route

PREFIX = nlri("10.0.0.0/8")


def a(**more: object) -> Source:
    return peer(name="a", at="192.0.2.1", router_id=1, **more)  # type: ignore[arg-type]


def b(**more: object) -> Source:
    return peer(name="b", at="192.0.2.2", router_id=2, **more)  # type: ignore[arg-type]


def internal(name: str, number: int, router_id: int = 1) -> Source:
    at = f"192.0.2.{number}"
    return peer(PeerType.INTERNAL, name=name, at=at, router_id=router_id, asn=65000)


def aigp(metric: int) -> bytes:
    return attribute(Attribute.AIGP, b"\1\0\x0b" + metric.to_bytes(8, "big"))


def said(*paths: Path, max_paths: int = 1, keep: bool = False) -> dict[str, tuple[str, object]]:
    """Give what is said of each path, by the name of its source, in their order."""
    rib = LocRib(IPV4_UNICAST, max_paths=max_paths, keep_unreachable=keep)
    for path in paths:
        rib.note(path)
        AdjRibIn(path.source, IPV4_UNICAST, rib).announce(path, [PREFIX])
    return {path.source.name: (str(why), why.reason) for path, why in choices(rib, PREFIX)}


INSIDE = internal("i", 9)
STEPS: list[tuple[Reason, Path, Path, str]] = [
    (
        Reason.PREFERENCE,
        route(local(), path=()),
        route(b()),
        "lost to static: lower protocol preference (100 against 200)",
    ),
    (
        Reason.LOCAL_PREF,
        route(a(), local_pref=200),
        route(b()),
        "lost to a: lower LOCAL_PREF (100 against 200)",
    ),
    (
        Reason.AIGP,
        route(a(), more=aigp(7)),
        route(b()),
        "lost to a: higher accumulated metric, or none (none against 7)",
    ),
    (
        Reason.AS_PATH,
        route(a()),
        route(b(), path=(65001, 7)),
        "lost to a: longer AS_PATH (2 against 1)",
    ),
    (
        Reason.ORIGIN,
        route(a()),
        route(b(), origin=2),
        "lost to a: worse ORIGIN (INCOMPLETE against IGP)",
    ),
    (
        Reason.MED,
        route(a(), med=10),
        route(b(), med=20),
        "lost to a: higher MULTI_EXIT_DISC (20 against 10)",
    ),
    (Reason.PEER_TYPE, route(a()), route(INSIDE), "lost to a: iBGP against eBGP"),
    (
        Reason.COST,
        route(a()),
        route(b(), via=next_hop("192.0.2.9", cost=5)),
        "lost to a: higher cost to the next hop (5 against 0)",
    ),
    (
        Reason.ROUTER_ID,
        route(a()),
        route(b()),
        "lost to a: higher BGP Identifier (0.0.0.2 against 0.0.0.1)",
    ),
    (
        Reason.CLUSTER_LIST,
        route(internal("a", 1), originator_id=5),
        route(internal("b", 2), originator_id=5, clusters=(1, 2)),
        "lost to a: longer CLUSTER_LIST (2 against 0)",
    ),
    (
        Reason.ADDRESS,
        route(internal("a", 1)),
        route(internal("b", 2)),
        "lost to a: higher peer address (192.0.2.2 against 192.0.2.1)",
    ),
    (
        Reason.STALE,
        route(a(), path=(65001, 7, 8)),
        route(b(), communities=[0xFFFF0006]),
        "lost to a: long-lived stale",
    ),
    (
        Reason.UNREACHABLE,
        route(a()),
        route(b(), via=next_hop(reachable=False)),
        "lost: its next hop is unreachable",
    ),
]


@pytest.mark.parametrize(("reason", "winner", "loser", "words"), STEPS)
def test_each_step_is_named_with_both_values(
    reason: Reason, winner: Path, loser: Path, words: str
) -> None:
    found = said(loser, winner)
    assert list(found) == [winner.source.name, loser.source.name]
    assert found[loser.source.name] == (words, reason)
    assert found[winner.source.name] == ("the best of 2", Reason.BEST)


def test_an_originator_counts_instead_of_the_peer() -> None:
    found = said(route(internal("a", 1), originator_id=4), route(internal("b", 2), originator_id=3))
    assert found["a"][0] == "lost to b: higher BGP Identifier (0.0.0.4 against 0.0.0.3)"


def test_a_med_is_compared_with_that_of_the_same_as_and_not_with_the_best() -> None:
    found = said(
        route(a(), path=(65001,), med=10),
        route(b(), path=(65001,), med=20),
        route(peer(name="c", at="192.0.2.3", router_id=0, asn=65002), path=(65002,), med=99),
    )
    assert list(found) == ["c", "a", "b"]
    assert found["b"][0] == "lost to a: higher MULTI_EXIT_DISC (20 against 10)"


def test_where_med_is_always_compared_it_is_with_the_best() -> None:
    options = DecisionOptions(always_compare_med=True)
    one, two = a(), b()
    one.options = two.options = options
    found = said(
        route(one, path=(65001,), med=20, options=options),
        route(two, path=(65002,), med=10, options=options),
    )
    assert found["a"][0] == "lost to b: higher MULTI_EXIT_DISC (20 against 10)"


def test_another_path_of_the_same_peer() -> None:
    source = peer()
    source.tells_several = True
    rib = LocRib(IPV4_UNICAST)
    table = AdjRibInPaths(source, IPV4_UNICAST, rib)
    for number, at in enumerate(("192.0.2.1", "192.0.2.2")):
        table.announce(route(source, via=next_hop(at)), with_id(number, [PREFIX]))
    _, (_, why) = choices(rib, PREFIX)
    assert (why.words, why.reason) == (
        "lost to peer: another path of the same peer",
        Reason.SAME_PEER,
    )


def test_an_only_path_and_paths_that_share_the_traffic() -> None:
    assert said(route(a())) == {"a": ("the only path", Choice.ONLY)}
    shared = said(route(a()), route(b(), via=next_hop("192.0.2.9")), max_paths=2)
    assert shared["b"] == (
        "shares the traffic with the best: equal up to the cost of the next hop",
        Choice.SHARES,
    )


def test_the_best_of_those_that_lead_nowhere_is_used_only_where_that_is_asked_for() -> None:
    nowhere = next_hop(reachable=False)
    assert said(route(a(), via=nowhere), keep=True)["a"] == (
        "used though its next hop is unreachable: none can be reached",
        Choice.KEPT_UNREACHABLE,
    )
    assert said(route(a(), via=nowhere))["a"] == (
        "lost: its next hop is unreachable",
        Reason.UNREACHABLE,
    )


def test_every_step_has_its_sentence() -> None:
    assert {reason for reason, _, _, _ in STEPS} | {Reason.BEST, Reason.SAME_PEER} == set(Reason)


def test_sources_that_are_no_peers_have_no_address_to_compare() -> None:
    one, two = local(), local(SourceKind.STATIC)
    two.name = "other"
    found = said(route(one, path=()), route(two, path=()))
    assert found["other"][0] == "lost to static: higher peer address"
