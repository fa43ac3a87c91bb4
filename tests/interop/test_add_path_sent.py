"""Several paths to one prefix, told by Wren to everybody who takes them (RFC 7911)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from lab import RunningNode
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns]

SHARED = ip_network("10.50.0.0/16")
UPSTREAMS = ("bird-one", "bird-two", "bird-three")
TELLERS = {name: 65101 + n for n, name in enumerate(UPSTREAMS)}
TAKES = {
    "bird": "ipv4 add paths rx;",
    # It says so by itself.
    "frr": "",
    "gobgp": "ipv4 [neighbors.afi-safis.add-paths.config]\nipv4 receive = true",
    "openbgpd": "announce add-path recv yes",
}
SENDS = {
    "bird": "ipv4 add paths on;",
    "frr": "ipv4 addpath-tx-all-paths",
    "gobgp": "ipv4 [neighbors.afi-safis.add-paths.config]\nipv4 receive = true\nipv4 send-max = 8",
    "openbgpd": "announce add-path recv yes\nannounce add-path send all",
}


def bird_shows(node: RunningNode) -> list[list[int]]:
    asked = ["show", "route", "all", "where", "net", "=", str(SHARED)]
    said = node.execute(["birdc", "-s", str(node.home / "bird.ctl"), *asked])
    return [_numbers(line) for line in re.findall(r"BGP\.as_path:(.*)", said)]


def frr_shows(node: RunningNode) -> list[list[int]]:
    asked = f"show bgp ipv4 unicast {SHARED} json"
    said = node.execute(["vtysh", "--vty_socket", str(node.home), "-c", asked])
    return [_numbers(path["aspath"]["string"]) for path in json.loads(said).get("paths", [])]


def gobgp_shows(node: RunningNode) -> list[list[int]]:
    said = node.execute(["gobgp", "-u", "127.0.0.1", "-j", "global", "rib"])
    found: list[list[int]] = []
    for path in json.loads(said).get(str(SHARED), []):
        segments = [a["as_paths"] for a in path["attrs"] if a["type"] == 2]
        found += [[n for segment in each for n in segment["asns"]] for each in segments]
    return found


def openbgpd_shows(node: RunningNode) -> list[list[int]]:
    words = ["show", "rib", "in", str(SHARED)]
    said = node.execute(["bgpctl", "-s", str(node.home / "bgpd.sock"), "-j", *words])
    entries: list[dict[str, Any]] = json.loads(said).get("rib", [])
    return [_numbers(entry["aspath"]) for entry in entries]


SHOWS: dict[str, Callable[[RunningNode], list[list[int]]]] = {
    "bird": bird_shows,
    "frr": frr_shows,
    "gobgp": gobgp_shows,
    "openbgpd": openbgpd_shows,
}


def _numbers(words: str) -> list[int]:
    return [int(word) for word in re.findall(r"\d+", words)]


class Relay(Star):
    """Three upstreams with one prefix between them, Wren, and somebody who listens."""

    def __init__(self, star: Star, listener: str) -> None:
        super().__init__(star.lab)
        self.listener = listener

    def announce(self, *tellers: str) -> None:
        for teller in tellers:
            self.node(teller).announce(SHARED)

    def shows(self, *tellers: str) -> None:
        """The listener has the paths by these upstreams and no other."""
        node, show = self.node(self.listener), SHOWS[self.listener]
        becomes(
            f"{self.listener} shows the paths by {', '.join(tellers)}",
            lambda: sorted(show(node)),
            sorted([65001, TELLERS[teller]] for teller in tellers),
        )


@pytest.mark.parametrize("listener", TAKES)
def test_every_path_is_told_and_one_that_goes_leaves_the_others(listener: str) -> None:
    text = star(
        [*UPSTREAMS, listener],
        extra={listener: TAKES[listener]},
        keys={listener: "wren.bgp/addPath: send"},
        families=["ipv4"],
    )
    with lab_of(text) as lab:
        relay = Relay(Star(lab), listener)
        relay.agree()
        one, two, three = UPSTREAMS
        relay.announce(one, two)
        relay.shows(one, two)
        relay.announce(three)
        relay.shows(one, two, three)
        relay.node(one).withdraw(SHARED)
        relay.shows(two, three)
        assert relay.peer(listener)["families"]["ipv4 unicast"]["advertised"] == 6
        relay.set_keys(listener, {"addPath": "send 1"})
        relay.shows(two)
        relay.announce(one)
        relay.shows(one)
        relay.set_keys(listener, {"addPath": "send 2"})
        relay.shows(one, two)
        relay.set_keys(listener, {"addPath": "send"})
        relay.shows(one, two, three)


@pytest.mark.parametrize("other", SENDS)
def test_both_ends_tell_several_paths_on_one_session(other: str) -> None:
    text = star(
        [*UPSTREAMS[:2], other],
        extra={other: SENDS[other]},
        keys={other: "wren.bgp/addPath: both"},
        families=["ipv4"],
    )
    with lab_of(text) as lab:
        relay = Relay(Star(lab), other)
        relay.agree()
        one, two = UPSTREAMS[:2]
        relay.announce(one, two)
        relay.shows(one, two)
        relay.hears("wren", relay.network(other))
        relay.node(one).withdraw(SHARED)
        relay.shows(two)
        relay.agree()
