"""A restart goes on whatever happens meanwhile: peers that stay away, edits, links, bad files.

What is waited for while one of the peers does not return is looked at with BIRDs that hold a route
each; adopted routes must stay until all is known, or until it has taken long enough.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed, link_down
from speaker.control.client import ask
from speaker.control.protocol import ControlError
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes, gateways
from tests.support.restarters import BIRD_RESTARTS, restarting
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.watching import watched

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

MANY, AWAY = 20, 2


def edit(node: RunningNode, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Edit the resources that the lab wrote for a Wren node."""
    path = node.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    change(resources["items"])
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)


def of_kind(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item["kind"] == kind]


def waiting(seconds: float) -> Callable[[list[dict[str, Any]]], None]:
    """Make the edit that sets how long a restart waits."""

    def change(items: list[dict[str, Any]]) -> None:
        [configuration] = of_kind(items, "BGPConfiguration")
        annotations = configuration["metadata"].setdefault("annotations", {})
        annotations["wren.bgp/selectionDeferral"] = str(seconds)

    return change


def said(node: RunningNode, words: str) -> list[tuple[float, str]]:
    """Give what a node has said with these words, and when."""
    found = []
    for line in log_of(node).splitlines():
        if re.search(words, line):
            at, _, rest = line.partition(" ")
            found.append((datetime.fromisoformat(at).timestamp(), rest.split(maxsplit=1)[-1]))
    return found


def has_said(node: RunningNode, words: str) -> bool:
    """Tell whether a node has said these words."""
    return bool(said(node, words))


def segment(peers: int) -> str:
    """Write a segment with Wren and BIRDs on it; the last ones speak IPv4 alone."""
    nodes: dict[str, Any] = {"w": {"kind": "wren", "asn": 65001}}
    lan = {"w": ["172.31.0.1/24", "fd31::1/64"]}
    bgp = []
    for number in range(1, peers + 1):
        name = f"b{number}"
        both = number <= peers - AWAY
        routes = [f"10.{number}.0.0/24"] + [f"fd00:{number}::/64"] * both
        nodes[name] = {"kind": "bird", "asn": 65100 + number, "networks": routes}
        lan[name] = [f"172.31.0.{number + 1}/24", f"fd31::{number + 1:x}/64"]
        families = ["ipv4", "ipv6"] if both else ["ipv4"]
        peering = {"between": ["w", name], "families": families, "hold_time": 30}
        bgp.append({**peering, "extra": {name: BIRD_RESTARTS}})
    return json.dumps({"nodes": nodes, "segments": {"lan": lan}, "bgp": bgp})


def own(node: RunningNode, family: Family) -> set[str]:
    """Give the prefixes that a node has a way to."""
    return {prefix for prefix, hops in gateways(node, family).items() if hops}


def test_two_of_twenty_peers_never_return_and_are_not_waited_for_longer_than_said() -> None:
    with lab_of(segment(MANY)) as lab:
        w = lab.node("w")
        lab.wait_established()
        everything = {f"10.{number}.0.0/24" for number in range(1, MANY + 1)}
        becomes("all is there", partial(own, w, Family.IPV4), everything)
        becomes("all is there", lambda: len(own(w, Family.IPV6)), MANY - AWAY)
        edit(w, waiting(6))
        becomes("it is read", lambda: "for 6 s at the most" in log_of(w), wanted=True)
        with watched(w) as watches:
            w.kill()
            for number in range(MANY - AWAY + 1, MANY + 1):
                lab.node(f"b{number}").kill()
            w.start()
            becomes("IPv6 waits for nobody", lambda: len(said(w, "ipv6 .*are chosen")), 1)
            [message] = restarting(w)
            assert "ipv4 unicast routes wait for End-of-RIB of Node_172_31_0_20" in message
            assert own(w, Family.IPV4) == everything
            becomes("IPv4 neither", lambda: len(said(w, "ipv4 .*are chosen")), 1)
            left = {f"10.{number}.0.0/24" for number in range(1, MANY - AWAY + 1)}
            becomes("what nobody told goes", partial(own, w, Family.IPV4), left)
        [(began, _)] = said(w, "ipv4 kernel routes of an earlier run are adopted")
        [(chosen, why)] = said(w, "ipv4 .*are chosen")
        [(_, why6)] = said(w, "ipv6 .*are chosen")
        assert 5.9 < chosen - began < 9
        assert "every peer has told all it has" in why6
        assert "waited long enough for 2 peers: Node_172_31_0_20, Node_172_31_0_21" in why
        gone = sorted(line.split()[1] for line in watches["w"].removed)
        assert gone == sorted(everything - left)


@contextmanager
def waiting_for_one() -> Iterator[tuple[Lab, RunningNode]]:
    """Have Wren wait for the last of three BIRDs, after a kill."""
    with lab_of(segment(3).replace('"families": ["ipv4", "ipv6"]', '"families": ["ipv4"]')) as lab:
        w = lab.node("w")
        lab.wait_established()
        becomes("all is there", lambda: len(own(w, Family.IPV4)), 3)
        w.kill()
        lab.node("b3").kill()
        w.start()
        becomes("one is waited for", lambda: [len(m.split(",")) for m in restarting(w)], [2])
        becomes("two are up", lambda: list(w.sessions().values()).count(True), 2)
        yield lab, w


def test_edits_while_it_waits_take_effect_and_take_no_route_away() -> None:
    with waiting_for_one() as (_, w), watched(w) as watches:

        def hold_time(items: list[dict[str, Any]]) -> None:
            of_kind(items, "BGPPeer")[0]["spec"]["extensions"]["wren.bgp/holdTime"] = "60"

        def filters(items: list[dict[str, Any]]) -> None:
            rule = {"cidr": "10.99.0.0/16", "matchOperator": "In", "action": "Reject"}
            metadata = {"name": "f"}
            spec = {"importV4": [rule]}
            api = "projectcalico.org/v3"
            items.append(
                {"apiVersion": api, "kind": "BGPFilter", "metadata": metadata, "spec": spec}
            )
            of_kind(items, "BGPPeer")[1]["spec"]["filters"] = ["f"]

        def one_more(items: list[dict[str, Any]]) -> None:
            peer = json.loads(json.dumps(of_kind(items, "BGPPeer")[0]))
            peer["metadata"]["name"] = "late"
            peer["spec"]["peerIP"] = "172.31.0.99"
            items.append(peer)

        def one_less(items: list[dict[str, Any]]) -> None:
            [away] = [p for p in of_kind(items, "BGPPeer") if p["spec"]["peerIP"] == "172.31.0.4"]
            items.remove(away)

        steps = {
            hold_time: "resets the session of Node_172_31_0_2",
            filters: "judges anew what Node_172_31_0_3 advertises",
            one_more: "new peer 172.31.0.99",
        }
        for change, words in steps.items():
            edit(w, change)
            becomes(words, partial(has_said, w, words), wanted=True)
            assert len(own(w, Family.IPV4)) == 3
            assert len(restarting(w)) == 1
        edit(w, one_less)
        becomes("nobody is waited for", partial(restarting, w), [])
        becomes("its route goes", lambda: len(own(w, Family.IPV4)), 2)
    assert [line.split()[1] for line in watches["w"].removed] == ["10.3.0.0/24"]


def test_a_link_that_goes_down_while_it_waits_costs_nothing_but_its_own_time() -> None:
    with waiting_for_one() as (lab, w):
        with link_down(w):
            becomes("the kernel has dropped them", lambda: own(w, Family.IPV4), set())
        lab.node("b3").start()
        lab.wait_established()
        becomes("nobody is waited for", partial(restarting, w), [])
        becomes("all is there", lambda: len(own(w, Family.IPV4)), 3)


def test_a_second_kill_while_it_waits_is_a_restart_like_the_first() -> None:
    with waiting_for_one() as (lab, w), watched(w) as watches:
        with killed(w):
            pass
        # Who was waited for before still is.
        becomes("one is waited for", lambda: [len(m.split(",")) for m in restarting(w)], [2])
        lab.node("b3").start()
        becomes("nobody is waited for", partial(restarting, w), [])
        assert len(own(w, Family.IPV4)) == 3
    assert watches["w"].removed == []


def spoil(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "corrupt":
        path.write_text('{"sessions": {"Node')
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "lines"), [("missing", 0), ("corrupt", 1), ("neither read nor written", 2)]
)
def test_a_start_needs_no_file_that_says_who_was_there(how: str, lines: int) -> None:
    with lab_of(segment(3)) as lab:
        w = lab.node("w")
        lab.wait_established()
        becomes("all is there", lambda: len(own(w, Family.IPV4)), 3)
        with watched(w) as watches:
            w.kill()
            spoil(w.home / "sessions.json", how)
            w.start()
            lab.wait_established()
            becomes("nobody is waited for", partial(restarting, w), [])
            becomes("it is over", lambda: len(said(w, "start of ipv4 .*is over")), 1)
        assert watches["w"].removed == []
        found = [words for _, words in said(w, "sessions.json")]
        assert len(found) == lines, found


class OnDisk:
    """Wren on a small disk, in the place of the node's own.

    Args:
        node: on which it runs.
        disk: with its run directory.
    """

    def __init__(self, node: RunningNode, disk: SmallDisk) -> None:
        self.disk = disk
        [argv] = node.speaks.commands()
        self._argv = disk.seeing([*argv, "--run-dir", str(disk.inside)])
        self._environment = {**os.environ, **node.speaks.environment(), **node._marks}
        self._log = node.home / "on-disk.log"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run until the block ends, and be killed then."""
        with (
            self._log.open("ab") as log,
            subprocess.Popen(
                self._argv, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def said(self, words: str) -> int:
        """Count the lines with these words."""
        return sum(words in line for line in self._log.read_text().splitlines())

    def sessions(self) -> list[bool]:
        """Tell of each session whether it is up; none while nobody answers."""
        try:
            status = ask(self.disk.path, "status")
        except (ControlError, OSError):
            return []
        if any(each["reason"] == "Restarting" for each in status["conditions"]):
            return []
        return [peer["state"] == "up" for peer in status["peers"]]

    def remembered(self) -> int | None:
        """Count the sessions that the file names; None if there is none."""
        try:
            return len(json.loads((self.disk.path / "sessions.json").read_text())["sessions"])
        except FileNotFoundError:
            return None


def test_a_full_disk_holds_up_neither_a_start_nor_a_run() -> None:
    full, again = "sessions.json: No space left on device", "is written again"
    with lab_of(segment(3)) as lab:
        w, b3 = lab.node("w"), lab.node("b3")
        lab.wait_established()
        becomes("all is there", lambda: len(own(w, Family.IPV4)), 3)
        everybody = [True] * len(w.sessions())
        w.kill()
        with watched(w) as watches, small_disk(w) as disk:
            wren = OnDisk(w, disk)
            disk.fill()
            with wren.running():
                becomes("all are up", wren.sessions, everybody)
                becomes("it is said", partial(wren.said, full), 1)
                with killed(b3):
                    becomes("one is away", lambda: wren.sessions().count(False), 1)
                becomes("all are up", wren.sessions, everybody)
                assert (wren.remembered(), wren.said(full), wren.said(again)) == (None, 1, 0)
                disk.make_room()
                becomes("it is written", wren.remembered, len(everybody))
                becomes("that is said", partial(wren.said, again), 1)
                assert sorted(path.name for path in disk.path.glob("*sessions*")) == [
                    "sessions.json"
                ]
                disk.fill()
            with wren.running() as process:
                becomes("all are up", wren.sessions, everybody)
                becomes("it is said", partial(wren.said, full), 2)
                assert wren.remembered() == len(everybody)
                process.terminate()
                assert process.wait(10) == 0
        # At most that of who was away, and has not forwarded: it goes, unless he tells it at once.
        assert {line.split()[1] for line in watches["w"].removed} <= {"10.3.0.0/24"}
