"""Sources, next hops and paths."""

from __future__ import annotations

from policy.path import Hop, NextHop, Path, Preference, SourceKind
from tests.support.routes import EXTERNAL_PEER, attributes, local, next_hop


def test_a_path_takes_the_preference_of_its_kind_of_source() -> None:
    made, via = attributes(), next_hop()
    assert Path(made, EXTERNAL_PEER, via).preference == Preference.BGP
    assert Path(made, local(SourceKind.DIRECT), via).preference == Preference.DIRECT
    assert Path(made, EXTERNAL_PEER, via, preference=0).preference == 0


def test_only_sessions_are_bgp() -> None:
    assert EXTERNAL_PEER.is_bgp
    assert not any(local(kind).is_bgp for kind in SourceKind if kind is not SourceKind.BGP)


def test_hops_compare_by_what_the_kernel_compares() -> None:
    assert Hop(1, b"abcd", "eth0") == Hop(1, b"abcd", "renamed")
    assert len({Hop(1, b"abcd"), Hop(1, b"abcd"), Hop(1, b"abcd", weight=2), Hop(2, b"abcd")}) == 3
    assert Hop(1) != "eth0"


def test_the_interface_of_a_next_hop_is_that_of_its_first_way_out() -> None:
    assert NextHop(b"abcd", hops=(Hop(1, b"", "eth0"), Hop(2, b"", "eth1"))).interface == "eth0"
    assert NextHop(b"abcd").interface == ""


def test_paths_print_where_they_come_from() -> None:
    path = Path(attributes(), EXTERNAL_PEER, next_hop())
    assert repr(path).startswith("Path(peer, PathAttributes(")
    assert repr(EXTERNAL_PEER) == "Source('peer', BGP)"
    assert "reachable=True" in repr(next_hop())
    assert repr(Hop(3, b"\x0a")) == "Hop(interface=3, gateway='0a')"
