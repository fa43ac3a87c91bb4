"""The check of `--check`: what a daemon must keep, and what it must change."""

from __future__ import annotations

from benchmarks.peers.checking import differences
from tests.support.routes import attributes, nlri

ONE, TWO = nlri("20.0.0.0/24"), nlri("20.0.1.0/24")
SENT = attributes((65001, 65009), communities=(1, 2), large=((1, 2, 3),), med=7).raw
HERE = bytes((10, 2, 0, 1))


def told(**changes: object) -> bytes:
    facts: dict[str, object] = {
        "path": (65000, 65001, 65009),
        "communities": (1, 2),
        "large": ((1, 2, 3),),
        "next_hop": "10.2.0.1",
    }
    return attributes(**facts | changes).raw  # type: ignore[arg-type]


def wrong(got: bytes) -> dict[str, int]:
    return differences({ONE: SENT}, {ONE: got}, 65000, HERE)


def test_a_route_with_our_as_in_front_is_right() -> None:
    assert wrong(told()) == {}


def test_a_med_need_not_be_passed_on() -> None:
    assert wrong(told(med=7)) == {}


def test_each_thing_that_is_wrong_has_a_name() -> None:
    assert wrong(told(path=(65001, 65009))) == {"as_path": 1}
    assert wrong(told(origin=1)) == {"origin": 1}
    assert wrong(told(communities=(1,))) == {"communities": 1}
    assert wrong(told(large=())) == {"large_communities": 1}
    assert wrong(told(next_hop="10.1.1.1")) == {"next_hop": 1}


def test_communities_have_no_order() -> None:
    assert wrong(told(communities=(2, 1))) == {}


def test_what_is_missing_and_what_nobody_has_sent_is_counted() -> None:
    assert differences({ONE: SENT}, {TWO: told()}, 65000) == {"missing": 1, "never sent": 1}
