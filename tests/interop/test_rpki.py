"""Origin validation with StayRTR as the cache, and BIRDs that tell routes and hear them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from tests.support.birds import QUICK, WREN, Bird, around, at, told
from tests.support.datastores import put, remove, wren_in
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings
from tests.support.stayrtr import PORT, stayrtr

pytestmark = [pytest.mark.netns, pytest.mark.interop]

VALID, INVALID, UNKNOWN = "10.2.0.0/16", "10.3.0.0/16", "192.0.2.0/24"
LONG = "10.2.7.0/24"
ALL = sorted([VALID, INVALID, UNKNOWN, LONG])
SAID = ((VALID, 16, 65002), (INVALID, 16, 64999))
"""By these the longer prefix is Invalid too."""

GOOD = sorted([VALID, UNKNOWN])


def tor(number: int, asn: int, **spec: Any) -> dict[str, Any]:
    keys = {**QUICK, **spec.pop("keys", {})}
    given = {"node": "w", "peerIP": at(number), "asNumber": asn, "extensions": keys}
    return peer(f"b{number}", **{**given, **spec})


TELLER = tor(2, 65002, keys={"wren.bgp/rejectInvalid": "on"})
CACHE = document("RPKICache", "stayrtr", {"address": at(9), "port": PORT, "retryInterval": "1s"})


class Road:
    """A Wren between a BIRD that tells routes and one that hears them, and a cache beside it."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.edited = Edited(lab.node("w"), directory)
        self.wren = lab.node("w")
        self.hearer = lab.node("b3")
        self.cache_node = lab.node("rtr")
        self.directory = directory

    def heard(self) -> list[str]:
        return sorted(set(self.hearer.routes(Family.IPV4)) & set(ALL))

    def hears(self, what: str, wanted: list[str]) -> None:
        becomes(what, self.heard, wanted)

    def cache(self) -> dict[str, Any]:
        """Ask what has become of the cache."""
        [found] = json.loads(wren_in(self.wren, "rpki", "-o", "json"))["caches"]
        assert isinstance(found, dict)
        return found

    def is_in_sync(self, number: int) -> None:
        """Wait until the cache is followed, with so many VRPs."""
        becomes(
            "the cache is followed",
            lambda: (self.cache()["state"], sum(self.cache()["vrps"].values())),
            ("up", number),
        )

    def changes(self) -> str:
        """Ask the hearing BIRD how many updates and withdrawals it has been told."""
        said = self.hearer.execute(
            ["birdc", "-s", str(self.hearer.home / "bird.ctl"), "show", "protocols", "all"]
        )
        lines = [line.split() for line in said.splitlines() if line.split()[:1] == ["Import"]]
        return " ".join(f"{words[1]} {words[2]}" for words in lines)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    directory = tmp_path_factory.mktemp("rpki") / "datastore"
    keys = {"wren.bgp/policy": "plain"}
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys))
    put(directory, TELLER, tor(3, 65003), CACHE)
    birds = {2: Bird(65002, more={"networks": ALL}), 3: Bird(65003, more={"networks": []})}
    hosts = {"rtr": {"kind": "host", "at": f"{at(9)}/24"}}
    with lab_of(around(directory, birds, hosts)) as lab:
        road = Road(lab, directory)
        before = road.edited.peers_up([at(2), at(3)])
        yield road
        assert road.edited.since() == before


@pytest.fixture
def road(running: Road) -> Iterator[Road]:
    """Give the road with all as it was at first, and no cache running."""
    put(running.directory, TELLER, tor(3, 65003), CACHE)
    yield running
    for file in running.directory.glob("RoutePolicy-*.json"):
        file.unlink()


def caching(road: Road, tmp_path: Path, *, version: int = 1) -> Any:
    return stayrtr(road.cache_node, tmp_path, *SAID, version=version)


def test_invalid_routes_are_kept_out_and_others_are_not(road: Road, tmp_path: Path) -> None:
    """RFC 6811 §2: valid, invalid by AS, invalid by length, not found."""
    with caching(road, tmp_path):
        road.is_in_sync(2)
        road.hears("only good routes are told", GOOD)
        said = wren_in(road.wren, "rpki", LONG)
        assert said.startswith(f"{LONG} from AS 65002: Invalid, told by Node_172_31_0_2\n")
        assert said.splitlines()[2].split() == [VALID, "16", "65002", "stayrtr"]


def test_only_what_a_change_is_about_is_told_again(road: Road, tmp_path: Path) -> None:
    with caching(road, tmp_path) as cache:
        road.is_in_sync(2)
        road.hears("only good routes are told", GOOD)
        before = road.changes()
        cache.say((VALID, 24, 65002), SAID[1])
        road.hears("a longer VRP makes the longer prefix good", sorted([*GOOD, LONG]))
        updates = [int(n) for n in _numbers(road.changes())]
        assert sum(updates) - sum(int(n) for n in _numbers(before)) == 1
        cache.say(*SAID)
        road.hears("and the shorter one bad again", GOOD)
        updates = [int(n) for n in _numbers(road.changes())]
        assert sum(updates) - sum(int(n) for n in _numbers(before)) == 2


def _numbers(said: str) -> list[str]:
    return [word for word in said.split() if word.isdigit()]


def test_a_cache_that_dies_and_returns_changes_nothing(road: Road, tmp_path: Path) -> None:
    with caching(road, tmp_path) as cache:
        road.is_in_sync(2)
        road.hears("only good routes are told", GOOD)
        before = road.changes()
        cache.stop()
        becomes("the cache is missed", lambda: bool(road.cache()["lastError"]), True)
        assert ("RPKICache/stayrtr", "CacheFails") in road.edited.conditions()
        assert road.heard() == GOOD
        # One that starts anew has another session id, and says everything again.
        cache.start()
        becomes("it is followed again", lambda: road.cache()["lastError"], "")
        road.is_in_sync(2)
        assert road.heard() == GOOD
        assert road.changes() == before


def test_version_0_is_spoken_with_a_cache_that_knows_no_other(road: Road, tmp_path: Path) -> None:
    """RFC 8210 §7."""
    with caching(road, tmp_path, version=0) as cache:
        road.is_in_sync(2)
        assert road.cache()["version"] == 0
        road.hears("only good routes are told", GOOD)
        cache.say(SAID[0], (UNKNOWN, 24, 64999))
        road.hears("what changes is followed", sorted([VALID, INVALID]))


def test_a_cache_comes_and_goes_with_its_resource(road: Road, tmp_path: Path) -> None:
    with caching(road, tmp_path):
        road.is_in_sync(2)
        road.hears("only good routes are told", GOOD)
        remove(road.directory, CACHE)
        road.hears("without a cache all are told", ALL)
        put(road.directory, CACHE)
        road.hears("with it again the good ones alone", GOOD)


def test_policy_tells_routes_by_what_rpki_says(road: Road, tmp_path: Path) -> None:
    """RFC 8893 for the way out."""
    said = [
        {"action": "Accept", "rpki": word, "operations": [{"addCommunity": {"value": value}}]}
        for word, value in (("Valid", "65001:1"), ("NotFound", "65001:2"), ("Invalid", "65001:3"))
    ]
    put(road.directory, document("RoutePolicy", "mark", {"importV4": said}))
    put(
        road.directory,
        document("RoutePolicy", "out", {"exportV4": [{"action": "Reject", "rpki": "NotFound"}]}),
    )
    put(road.directory, tor(2, 65002, filters=["mark"]), tor(3, 65003, filters=["out"]))
    with caching(road, tmp_path) as cache:
        road.is_in_sync(2)
        road.hears("what is not found is not told", sorted([VALID, INVALID, LONG]))
        marks = {prefix: partial(_community, road.hearer, prefix) for prefix in ALL}
        becomes("a valid route is marked", marks[VALID], "(65001,1)")
        becomes("an invalid one too", marks[LONG], "(65001,3)")
        cache.say(*SAID, (UNKNOWN, 24, 65002))
        road.hears("what is known now is told", ALL)
        becomes("and marked", marks[UNKNOWN], "(65001,1)")


def _community(node: RunningNode, prefix: str) -> str:
    return (told(node, prefix) or {}).get("community", "")
