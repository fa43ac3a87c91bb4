"""Peers restart, and Wren keeps their routes: for as long as they said, and not a moment longer."""

from __future__ import annotations

import json
import re
import time
from functools import partial

import pytest

from lab import Family, RunningNode
from lab.faults import killed
from lab.probes import wait_until
from speaker.control.client import ask
from tests.support.datastores import log_of
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces
from tests.support.pairs import becomes, gateways
from tests.support.restarters import BIRD, FRR, GOBGP, KINDS, OTHER, RESTARTED, ring
from tests.support.star import WREN_AS, Star, star
from tests.support.traffic import Counts, flowing, lost
from tests.support.watching import removed, watched

pytestmark = [pytest.mark.netns, pytest.mark.interop, needs_namespaces]

PAIRS = ((BIRD, FRR), (GOBGP, OTHER))


def test_each_kind_of_peer_restarts_and_nothing_is_lost() -> None:
    """FRR drops the IPv6 routes of its own kernel for a moment when it has restarted."""
    with ring() as found:
        for kind in KINDS:
            node = found.node(kind)
            others = [each for each in found.installing if each is not node]
            with watched(*others) as watches, flowing(found.flows(*PAIRS)) as counts:
                with killed(node, *RESTARTED[kind]):
                    becomes(f"Wren has lost {kind}", partial(is_up, found, kind), wanted=False)
                found.is_settled()
            told: Counts = {
                flow: count
                for flow, count in counts.items()
                if (kind, flow.sender, ":" in flow.source) != (FRR, node, True)
            }
            assert (kind, lost(told), removed(watches)) == (kind, {}, {})


def test_a_peer_that_comes_back_with_another_identifier_loses_nothing() -> None:
    with ring((BIRD, OTHER)) as found:
        node = found.node(BIRD)
        path = node.home / "bird.conf"
        text = path.read_text(encoding="utf-8")
        [before] = re.findall("router id (.*);", text)
        path.write_text(text.replace(f"router id {before};", "router id 9.9.9.9;"))
        flows = found.flows((BIRD, OTHER))
        with watched(found.wren, found.node(OTHER)) as watches, flowing(flows) as counts:
            with killed(node):
                becomes("Wren has lost BIRD", partial(is_up, found, BIRD), wanted=False)
            found.is_settled()
        assert found.peer(BIRD)["negotiated"]["routerID"] == "9.9.9.9" != before
        assert (lost(counts), removed(watches)) == ({}, {})


def is_up(found: Star, kind: str) -> bool:
    """Tell whether Wren's IPv4 session with a peer is up."""
    return bool(found.wren.sessions().get(found.there(kind)))


def seconds_until_gone(node: RunningNode, prefix: str, since: float) -> float:
    """Measure how long a kernel route stays, from a moment on."""
    wait_until(lambda: prefix not in gateways(node, Family.IPV4), f"{prefix} goes", nodes=[node])
    return time.monotonic() - since


def test_routes_of_peers_that_never_return_go_after_their_restart_time() -> None:
    kinds = (FRR, OTHER)
    words = {OTHER: "maxRestartTime: 3s"}
    node = {FRR: "router bgp 65101\n bgp graceful-restart\n bgp graceful-restart restart-time 3\n"}
    with lab_of(star(kinds, extra=words, node=node, families=["ipv4"])) as lab:
        found = Star(lab)
        found.agree()
        killed_at = {}
        for kind in kinds:
            found.node(kind).kill(*RESTARTED[kind])
            killed_at[kind] = time.monotonic()
        for kind, since in killed_at.items():
            took = seconds_until_gone(found.wren, found.network(kind), since)
            assert 2.7 < took < 6, kind


LONG_LIVED = {
    BIRD: """
graceful restart on;
graceful restart time 2;
long lived graceful restart on;
long lived stale time 4;
""",
}
HELPS = {BIRD: "restartMode: LongLivedGracefulRestart"}

INSIDE = "bird-2"
KNOWS_NONE = {
    BIRD: LONG_LIVED[BIRD].replace("time 4", "time 60"),
    INSIDE: "long lived graceful restart off;",
}
PARTLY = {
    **HELPS,
    INSIDE: "restartMode: LongLivedGracefulRestart\nwren.bgp/llgrPartialDeployment: on",
}


def test_long_lived_stale_routes_are_a_last_resort_and_go_after_the_stale_time() -> None:
    """RFC 9494: a better word for the same prefix wins, and nobody hears of it who would not."""
    with lab_of(star((BIRD, OTHER), extra=LONG_LIVED, keys=HELPS, families=["ipv4"])) as lab:
        found = Star(lab)
        found.agree()
        prefix = found.network(BIRD)
        began = time.monotonic()
        found.node(BIRD).kill()
        becomes(
            "it is a last resort",
            lambda: "its ipv4 unicast routes are a last resort, for 4 s" in log_of(found.wren),
            wanted=True,
        )
        assert 1.8 < time.monotonic() - began < 5
        assert prefix in gateways(found.wren, Family.IPV4)
        assert 5.8 < seconds_until_gone(found.wren, prefix, began) < 10
        found.forgets(OTHER, prefix)


def test_within_the_as_a_last_resort_is_a_last_choice_for_who_does_not_know_it() -> None:
    """RFC 9494 §4.6: an iBGP peer without the capability, and fresh routes when they are back."""
    text = star(
        (BIRD, INSIDE),
        asns={INSIDE: WREN_AS},
        extra=KNOWS_NONE,
        keys=PARTLY,
        families=["ipv4"],
    )
    with lab_of(text) as lab:
        found = Star(lab)
        found.agree()
        prefix = found.network(BIRD)

        def heard() -> tuple[str, str]:
            # A BIRD that has not recovered takes its old routes back before it tells new ones.
            return marks(found.birdc(INSIDE, "show", "route", "all", "where", f"net = {prefix}"))

        said = found.birdc(INSIDE, "show", "protocols", "all", found.bird_protocol(INSIDE))
        assert said.count("Long-lived graceful restart") == 1, "Wren offers it, and BIRD does not"
        becomes("the route is heard as it is", heard, ("100", ""))
        with killed(found.node(BIRD)):
            stale = ("0", "(65535,6) (65535,65281)")
            becomes("it is a last choice that stays inside", heard, stale)
            assert "(llgrPartialDeployment)" in json.dumps(
                ask(found.wren.home, "why", prefix=prefix)
            )
        becomes("it is fresh again", heard, ("100", ""))


def marks(said: str) -> tuple[str, str]:
    """Read LOCAL_PREF and the communities of a route in BIRD's words."""
    found = dict(re.findall(r"BGP\.(local_pref|community): (.*)", said))
    return found.get("local_pref", "").strip(), found.get("community", "").strip()


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_wren_that_never_returns_is_a_last_resort_after_two_minutes() -> None:
    long_lived = "restartMode: LongLivedGracefulRestart\nmaxRestartTime: 4s"
    both = {OTHER: long_lived}
    with lab_of(star((OTHER, BIRD), extra=both, keys=both, families=["ipv4"])) as lab:
        found = Star(lab)
        found.agree()
        prefix = found.network(OTHER)
        began = time.monotonic()
        found.node(OTHER).kill()
        words = "its ipv4 unicast routes are a last resort, for 4 s"
        becomes(words, lambda: words in log_of(found.wren), wanted=True, seconds=150)
        assert 119 < time.monotonic() - began < 125
        assert prefix in gateways(found.wren, Family.IPV4)
        assert 123 < seconds_until_gone(found.wren, prefix, began) < 130
        found.forgets(BIRD, prefix)
