"""What each field of a RoutePolicy's rule does: on what a BIRD tells, and on what others hear.

A Wren with the plain policy stands between a BIRD that tells, one inside its AS, and a BIRD, an
FRR, a GoBGP and an OpenBGPD outside of it. Policies are edited while it runs; no session may be
reset for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.kinds import Route
from lab.probes import kernel_routes
from speaker.control.client import ask, stream
from tests.support.birds import QUICK, WREN, WREN_AS, Bird, around, at, told
from tests.support.datastores import log_of, put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

OWN = "10.1.0.0/24"
SHORT, LONG, OTHER = "10.2.0.0/16", "10.2.7.0/24", "192.0.2.0/24"
ALL = sorted([SHORT, LONG, OTHER])
REJECT, ACCEPT = {"action": "Reject"}, {"action": "Accept"}
OUTSIDE = {4: "bird", 5: "frr", 6: "gobgp", 7: "openbgpd"}
FAR = "198.51.100.1"

# Of its paths one has an AS of those outside, and one private numbers around a public one.
TELL = """ipv4 export filter {
  if net = 10.2.7.0/24 then { bgp_path.prepend(65004); bgp_med = 7; }
  if net = 192.0.2.0/24 then {
    bgp_path.prepend(64600); bgp_path.prepend(3333); bgp_med = 33;
    bgp_community.add((65002,7)); bgp_community.add((65002,8)); bgp_community.add((1,1));
    bgp_large_community.add((65002,7,8)); bgp_large_community.add((65002,9,8));
  }
  accept; };
""".replace("\n", " ")


def neighbor(number: int) -> dict[str, Any]:
    asn = WREN_AS if number == 3 else 65000 + number
    way = "in" if number == 2 else "inside" if number == 3 else "outside"
    spec = {"node": "w", "peerIP": at(number), "asNumber": asn, "extensions": QUICK}
    return peer(f"p{number}", **spec, filters=[way])


def rules(name: str, **chains: list[dict[str, Any]]) -> dict[str, Any]:
    return document("RoutePolicy", name, chains)


def rule(action: dict[str, Any] = REJECT, **conditions: Any) -> dict[str, Any]:
    return {**action, **conditions}


def does(*operations: dict[str, Any], **conditions: Any) -> list[dict[str, Any]]:
    return [rule(ACCEPT, operations=list(operations), **conditions)]


class Between:
    """The router, and who stands around it."""

    def __init__(self, lab: Lab, edited: Edited) -> None:
        self.edited = edited
        self.inside = lab.node("b3")
        self.outside = [lab.node(f"{'b' if n == 4 else 'o'}{n}") for n in OUTSIDE]
        self.bird = lab.node("b4")
        self.frr = lab.node("o5")

    def judge(self, **policies: list[dict[str, Any]]) -> None:
        """Let policies be these; without one everything passes as it came."""
        names = {"in": "importV4", "inside": "exportV4", "outside": "exportV4"}
        written = [
            rules(name, **({chain: policies[name]} if name in policies else {}))
            for name, chain in names.items()
        ]
        put(self.edited.directory, *written)
        ask(self.edited.running.home, "reload")

    def taken(self, prefix: str) -> dict[str, Any] | None:
        chunks = stream(self.edited.running.home, "routes", prefix=prefix)
        found = [r for chunk in chunks for r in chunk["routes"] if r["prefix"] == prefix]
        return found[0] if found else None

    def kernel(self, prefix: str) -> tuple[str, tuple[str, ...]] | None:
        found = kernel_routes(self.edited.running, Family.IPV4).get(prefix)
        return None if found is None else (found.kind, found.gateways)

    def _frr(self, words: str) -> Any:
        vtysh = ["vtysh", "--vty_socket", str(self.frr.home)]
        said = self.frr.execute([*vtysh, "-c", f"show bgp {words} json"])
        return json.loads(said[said.index("{") :])

    def heard_by_frr(self, prefix: str) -> dict[str, Any]:
        paths = self._frr(f"ipv4 unicast {prefix}").get("paths", [{}])
        found: dict[str, Any] = paths[0]
        return found

    def updates_of_frr(self) -> int:
        return int(self._frr(f"neighbors {WREN}")[WREN]["messageStats"]["updatesRecv"])


def learnt(running: RunningNode) -> list[str]:
    return sorted(set(running.routes(Family.IPV4)) & set(ALL))


def route(running: RunningNode, prefix: str) -> Route | None:
    return running.routes(Family.IPV4).get(prefix)


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    """Give the router and all around it, with policies that say nothing yet."""
    directory = tmp_path_factory.mktemp("policies") / "datastore"
    keys = {"wren.bgp/policy": "plain", "wren.bgp/networks": OWN}
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=WREN_AS, annotations=keys))
    put(directory, rules("in"), rules("inside"), rules("outside"), *map(neighbor, range(2, 8)))
    birds = {2: Bird(65002, lines=TELL, more={"networks": ALL}), 3: Bird(WREN_AS), 4: Bird(65004)}
    wren = {"address": WREN, "asn": WREN_AS, "families": ["ipv4"], "hold_time": 9}
    others = {
        f"o{n}": {"kind": kind, "asn": 65000 + n, "peers": [wren], "at": f"{at(n)}/24"}
        for n, kind in OUTSIDE.items()
        if n != 4
    }
    with lab_of(around(directory, birds, others)) as lab:
        edited = Edited(lab.node("w"), directory)
        before = edited.peers_up(map(at, range(2, 8)))
        yield Between(lab, edited)
        assert edited.since() == before


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({"asPathRegex": "_3333_"}, [SHORT, LONG]),
        ({"asPathRegex": "^65002$"}, [LONG, OTHER]),
        ({"asPathRegex": "_6500_"}, ALL),
        ({"communities": {"values": ["1:2", "65002:7"]}}, [SHORT, LONG]),
        ({"communities": {"values": ["1:2", "65002:7"], "match": "All"}}, ALL),
        ({"communities": {"values": ["65002:*", "65002:*:8"], "match": "All"}}, [SHORT, LONG]),
        ({"med": {"min": 8}}, [SHORT, LONG]),
        ({"med": {"max": 40}}, [SHORT]),
        ({"localPreference": {"min": 100, "max": 100}}, []),
        ({"localPreference": {"min": 101}}, ALL),
        ({"nextHops": [at(2)]}, []),
        ({"nextHops": ["10.0.0.0/8"]}, ALL),
        ({"neighbors": ["172.31.0.0/30"]}, []),
        ({"neighbors": [at(3)]}, ALL),
    ],
    ids=str,
)
def test_what_a_peer_tells_is_judged_by_the_conditions_of_a_rule(
    conditions: dict[str, Any], left: list[str], between: Between
) -> None:
    between.judge()
    becomes("everything is let in", partial(learnt, between.edited.running), ALL)
    between.judge(**{"in": [rule(**conditions)]})
    becomes("it is judged", partial(learnt, between.edited.running), sorted(left))
    becomes("the other peer hears the rest", partial(learnt, between.inside), sorted(left))


def test_what_is_let_in_is_changed(between: Between) -> None:
    operations: list[dict[str, Any]] = [
        {"setLocalPreference": {"value": 321}},
        {"setMED": {"value": 44}},
        {"removeCommunities": {"values": ["65002:*", "65002:9:8"]}},
        {"addCommunity": {"value": "65002:99"}},
    ]
    between.judge(**{"in": does(*operations)})

    def heard() -> dict[str, str]:
        found = told(between.inside, OTHER) or {}
        wanted = ("as_path", "local_pref", "med", "community", "large_community")
        return {name: found[name] for name in wanted if name in found}

    changed = {
        "as_path": "65002 3333 64600",
        "local_pref": "321",
        "med": "44",
        "community": "(1,1) (65002,99)",
        "large_community": "(65002, 7, 8)",
    }
    becomes("it is told changed", heard, changed)


def test_a_blackhole_is_one_in_the_kernel(between: Between) -> None:
    between.judge(**{"in": does({"blackhole": {}}, cidr=LONG, matchOperator="Equal")})
    becomes("packets are dropped", partial(between.kernel, LONG), ("blackhole", ()))
    assert between.kernel(SHORT) == ("unicast", (at(2),))
    between.judge()
    becomes("packets are forwarded", partial(between.kernel, LONG), ("unicast", (at(2),)))


def test_a_next_hop_that_is_set_is_resolved_as_one_that_came(between: Between) -> None:
    shell = between.edited.running.execute
    between.judge(**{"in": does({"setNextHop": {"value": at(9)}})})
    becomes("packets go there", partial(between.kernel, OTHER), ("unicast", (at(9),)))
    becomes(
        "the inside hears it", lambda: (told(between.inside, OTHER) or {}).get("next_hop"), at(9)
    )
    between.judge(**{"in": does({"setNextHop": {"value": FAR}})})
    becomes("it leads nowhere", partial(between.kernel, OTHER), None)
    shell(["ip", "route", "add", f"{FAR}/32", "via", at(8)])
    becomes("packets go its way", partial(between.kernel, OTHER), ("unicast", (at(8),)))
    shell(["ip", "route", "replace", f"{FAR}/32", "via", at(9)])
    becomes("they follow it", partial(between.kernel, OTHER), ("unicast", (at(9),)))
    shell(["ip", "route", "del", f"{FAR}/32"])
    becomes("it leads nowhere again", partial(between.kernel, OTHER), None)
    between.judge(**{"in": does({"setNextHop": {"value": "PeerAddress"}})})
    becomes("packets go to the peer", partial(between.kernel, OTHER), ("unicast", (at(2),)))


@pytest.mark.parametrize(
    ("operation", "prefix", "path"),
    [
        ({"removePrivateAS": {}}, OTHER, (65001, 3333, 64600)),
        ({"removePrivateAS": {"mode": "All"}}, OTHER, (65001, 3333)),
        ({"removePrivateAS": {"replaceAS": True}}, OTHER, (65001, 65001, 3333, 64600)),
        (
            {"removePrivateAS": {"mode": "All", "replaceAS": True}},
            OTHER,
            (65001, 65001, 3333, 65001),
        ),
        ({"prependASPath": {"prefix": [65001, 65001]}}, OTHER, (65001,) * 3 + (65002, 3333, 64600)),
    ],
    ids=str,
)
def test_the_as_path_that_others_hear(
    operation: dict[str, Any], prefix: str, path: tuple[int, ...], between: Between
) -> None:
    between.judge(outside=does(operation))
    for running in between.outside:
        becomes(f"{running.name} hears it", partial(route, running, prefix), Route(WREN, path))


def test_a_peer_takes_back_what_has_its_own_as_where_that_is_overridden(between: Between) -> None:
    """RFC 4364 §7: each hears our AS in the place of its own, and of its own alone."""
    between.judge()
    becomes("a loop is seen", partial(learnt, between.bird), sorted([SHORT, OTHER]))
    between.judge(outside=does({"asOverride": {}}))
    for running in between.outside:
        path = (65001, 65002, 65001 if running is between.bird else 65004)
        becomes(f"{running.name} hears it", partial(route, running, LONG), Route(WREN, path))


@pytest.mark.parametrize(
    ("value", "hop"), [("Unchanged", at(2)), ("Self", WREN), (at(9), at(9))], ids=str
)
def test_the_next_hop_that_others_hear(value: str, hop: str, between: Between) -> None:
    between.judge(
        outside=does({"setNextHop": {"value": value}}),
        inside=does({"setNextHop": {"value": value}}),
    )
    for running in between.outside:
        wanted = Route(hop, (65001, 65002))
        becomes(f"{running.name} hears it", partial(route, running, SHORT), wanted)
    becomes("the inside too", lambda: (told(between.inside, SHORT) or {}).get("next_hop"), hop)


def test_a_peer_is_not_told_its_own_address(between: Between) -> None:
    between.judge(outside=does({"setNextHop": {"value": at(5)}}, cidr=SHORT, matchOperator="Equal"))
    becomes(
        "one hears the other's", partial(route, between.bird, SHORT), Route(at(5), (65001, 65002))
    )
    becomes("and that one does not", partial(learnt, between.frr), [LONG, OTHER])


def test_med_and_communities_that_others_hear(between: Between) -> None:
    operations: list[dict[str, Any]] = [
        {"setMED": {"value": 55}},
        {"setLocalPreference": {"value": 999}},
        {"removeCommunities": {"values": ["*:*", "65002:9:*"]}},
        {"addCommunity": {"value": "65001:5"}},
    ]
    between.judge(outside=does(*operations), inside=does(*operations))

    def of_bird(running: RunningNode) -> dict[str, str]:
        found = told(running, OTHER) or {}
        wanted = ("med", "local_pref", "community", "large_community")
        return {name: found[name] for name in wanted if name in found}

    changed = {"med": "55", "community": "(65001,5)", "large_community": "(65002, 7, 8)"}
    # An external peer is told no LOCAL_PREF: what it shows is its own.
    becomes("BIRD hears it", partial(of_bird, between.bird), {**changed, "local_pref": "100"})
    becomes(
        "so does the inside", partial(of_bird, between.inside), {**changed, "local_pref": "999"}
    )

    def of_frr() -> dict[str, Any]:
        path = between.heard_by_frr(OTHER)
        return {
            "med": path["metric"],
            "community": path["community"]["string"],
            "large": path["largeCommunity"]["string"],
        }

    heard = {"med": 55, "community": "65001:5", "large": "65002:7:8"}
    becomes("FRR hears it", of_frr, heard)


def test_an_edit_touches_no_more_than_what_it_changes(between: Between) -> None:
    """Other operations with the same outcome tell nobody anything, and one route is one UPDATE."""
    mark, more = ({"addCommunity": {"value": value}} for value in ("1:5", "1:6"))
    idle = {"removeCommunities": {"values": ["9:9"]}}
    one = {"cidr": OTHER, "matchOperator": "Equal"}

    def communities(prefix: str) -> str:
        return str(between.heard_by_frr(prefix).get("community", {}).get("string"))

    between.judge(**{"in": does(mark)})
    becomes("it is told", partial(communities, SHORT), "1:5")
    becomes("all of it", partial(communities, OTHER), "1:1 1:5 65002:7 65002:8")
    before = between.updates_of_frr()
    between.judge(**{"in": does(idle, mark)})
    between.judge(**{"in": does(mark, idle, **one) + does(idle, mark)})
    between.judge(**{"in": does(mark, more, **one) + does(mark)})
    becomes("one route is told", partial(communities, OTHER), "1:1 1:5 1:6 65002:7 65002:8")
    assert communities(SHORT) == "1:5"
    assert between.updates_of_frr() == before + 1


def test_a_bad_edit_leaves_everything_as_it_is(between: Between) -> None:
    between.judge(**{"in": [rule(asPathRegex="_3333_", reason="not through there")]})
    becomes("it is judged", partial(learnt, between.edited.running), sorted([SHORT, LONG]))
    put(between.edited.directory, rules("in", importV4=[rule(asPathRegex="_(3333_")]))
    said = ask(between.edited.running.home, "reload")
    [problem] = said["problems"]
    assert "RoutePolicy-in.json:1:" in problem
    assert "spec.importV4[0].asPathRegex" in problem
    assert "a ( without its )" in problem
    assert learnt(between.edited.running) == sorted([SHORT, LONG])
    put(between.edited.directory, document("BGPFilter", "in", {}))
    said = ask(between.edited.running.home, "reload")
    assert any("has that name already" in each for each in said["problems"])
    assert learnt(between.edited.running) == sorted([SHORT, LONG])
    (between.edited.directory / "BGPFilter-in.json").unlink()
    assert "Traceback" not in log_of(between.edited.running)


IPV6 = """
nodes:
  w: {{kind: wren, datastore: {directory}}}
  tells: {{kind: bird, asn: 65002, networks: ["fd00:2::/48", "fd00:3::/48"], peers: [{peer}]}}
  hears: {{kind: {kind}, asn: 65003, peers: [{peer}]}}
segments:
  lan: {{w: ["fd31::1/64"], tells: ["fd31::2/64"], hears: ["fd31::3/64"]}}
"""


@pytest.mark.parametrize("kind", ["bird", "frr", "gobgp", "openbgpd"])
def test_next_hops_and_blackholes_of_ipv6(kind: str, tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    keys = {"wren.bgp/policy": "plain"}
    put(directory, node("w", None, "fd31::1/64"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=WREN_AS, annotations=keys))
    spec = {"node": "w", "extensions": QUICK}
    put(directory, peer("tells", peerIP="fd31::2", asNumber=65002, filters=["in"], **spec))
    put(directory, peer("hears", peerIP="fd31::3", asNumber=65003, filters=["out"], **spec))
    hole = {"cidr": "fd00:3::/48", "matchOperator": "Equal"}
    inward = does({"blackhole": {}}, **hole) + does({"setNextHop": {"value": "fd31::9"}})
    outward = does({"setNextHop": {"value": "fd31::7"}}, **hole)
    outward += does({"setNextHop": {"value": "Unchanged"}}, {"prependASPath": {"prefix": [65001]}})
    put(directory, rules("in", importV6=inward), rules("out", exportV6=outward))
    wren = f"{{address: 'fd31::1', asn: {WREN_AS}, families: [ipv6], hold_time: 9}}"
    with lab_of(IPV6.format(directory=directory, kind=kind, peer=wren)) as lab:
        w, hears = lab.node("w"), lab.node("hears")

        def kernel() -> dict[str, tuple[str, tuple[str, ...]]]:
            found = kernel_routes(w, Family.IPV6)
            return {p: (r.kind, r.gateways) for p, r in found.items() if p.startswith("fd00:")}

        wanted = {"fd00:2::/48": ("unicast", ("fd31::9",)), "fd00:3::/48": ("blackhole", ())}
        becomes("the kernel has both", kernel, wanted)

        def heard() -> dict[str, Route]:
            found = hears.routes(Family.IPV6)
            return {prefix: route for prefix, route in found.items() if prefix.startswith("fd00:")}

        told_of = {
            "fd00:2::/48": Route("fd31::9", (65001, 65001, 65002)),
            "fd00:3::/48": Route("fd31::7", (65001, 65002)),
        }
        becomes("the other hears both", heard, told_of)
