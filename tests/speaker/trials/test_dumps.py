"""Routes from elsewhere come out as they were told."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from policy.path import SourceKind
from speaker.control.views import HeardItemView
from speaker.errors import ConfigError
from speaker.trials import dumps
from speaker.trials.comparing import Told
from speaker.trials.dumps import from_daemon, from_mrt, from_views
from speaker.trials.node import Heard
from tests.support.mrt import peer_table, rib
from tests.support.routes import address, attributes, nlri

SET = attributes([65001, 7], next_hop="10.0.0.9", med=5)
OTHER = attributes([65001], next_hop="10.0.0.9")


def view(**more: Any) -> Any:
    """Make a route as ``wren routes -o json`` has it."""
    return {
        "prefix": "10.1.0.0/16",
        "peer": "Node_10_0_0_9",
        "nextHop": "10.0.0.9",
        "interface": "eth0",
        "asPath": "65001 {7,8} 9".replace(",", " "),
        "origin": "EGP",
        "med": 5,
        "localPref": None,
        "communities": ["65001:7"],
        "largeCommunities": ["1:2:3"],
        **more,
    }


def test_a_shown_route_has_its_attributes_again() -> None:
    [told] = from_views([view()])
    wanted = attributes(
        b"\x02\x01"
        + (65001).to_bytes(4, "big")
        + b"\x01\x02"
        + (7).to_bytes(4, "big")
        + (8).to_bytes(4, "big")
        + b"\x02\x01"
        + (9).to_bytes(4, "big"),
        origin=1,
        next_hop="10.0.0.9",
        med=5,
        communities=[65001 << 16 | 7],
        large=[(1, 2, 3)],
    )
    heard = Heard(wanted.raw, address("10.0.0.9"), b"", "eth0")
    assert told == Told("Node_10_0_0_9", IPV4_UNICAST, heard, [nlri("10.1.0.0/16")])


def test_routes_of_the_node_itself() -> None:
    static, relayed = view(peer="static1"), view(nlri="00")
    [told] = from_views([static, relayed, view(peer="kernel1", nextHop="")])
    assert (told.kind, told.heard) == (SourceKind.KERNEL, Heard(b"", b"", b"", "eth0"))


@pytest.mark.parametrize("wrong", [{"prefix": "x"}, {"origin": "x"}, {"med": "x"}, {"asPath": "x"}])
def test_what_is_no_route_is_an_error(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="no route of 'wren routes -o json'"):
        list(from_views([view(**wrong)]))


def test_what_a_daemon_has_heard_comes_by_family() -> None:
    item: HeardItemView = {
        "peer": "kernel1",
        "attributes": SET.raw.hex(),
        "nextHop": "0a000009",
        "linkLocal": "",
        "interface": "eth0",
        "metric": 7,
        "prefixes": ["10.0.0.0/8", "2001:db8::/32"],
    }
    heard = Heard(SET.raw, address("10.0.0.9"), b"", "eth0")
    kernel = SourceKind.KERNEL
    assert list(from_daemon([{"heard": [item]}])) == [
        Told("kernel1", IPV4_UNICAST, heard, [nlri("10.0.0.0/8")], kernel, 7),
        Told("kernel1", IPV6_UNICAST, heard, [nlri("2001:db8::/32")], kernel, 7),
    ]


def test_the_prefixes_of_a_dump_come_with_their_attributes_once() -> None:
    records = [
        rib(0, nlri("10.0.0.0/16"), [(0, SET.raw), (0, OTHER.raw)]),
        rib(1, nlri("10.1.0.0/16"), [(0, SET.raw), (0, SET.raw)]),
    ]
    file = BytesIO(peer_table([("10.0.0.9", 65001)]) + b"".join(records))
    found = list(from_mrt(file))
    assert [(told.source, told.heard.raw, told.nlris) for told in found] == [
        ("10.0.0.9", SET.raw, [nlri("10.0.0.0/16"), nlri("10.1.0.0/16")]),
        ("10.0.0.9", OTHER.raw, [nlri("10.0.0.0/16")]),
    ]


@given(st.lists(st.booleans(), max_size=20), st.integers(1, 7))
def test_batches_leave_nothing_out(which: list[bool], size: int) -> None:
    records = [
        rib(n, nlri(f"10.{n}.0.0/16"), [(0, (SET if one else OTHER).raw)])
        for n, one in enumerate(which)
    ]
    octets = peer_table([("10.0.0.9", 65001)]) + b"".join(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dumps, "BATCH", size)
        found = list(from_mrt(BytesIO(octets), "tor"))
    assert {told.source for told in found} <= {"tor"}
    assert sorted(nlri for told in found for nlri in told.nlris) == [
        nlri(f"10.{n}.0.0/16") for n in range(len(which))
    ]
