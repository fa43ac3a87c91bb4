"""What each field of a BGPFilter's rule does: on what a BIRD tells, and on what a BIRD hears.

A Wren with the plain policy stands between two BIRDs, one outside its AS and one inside. Filters
are edited while it runs; no session may be reset for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab import Family, RunningNode
from speaker.control.client import ask, stream
from tests.support.birds import QUICK, WREN, Bird, around, at, told
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import document, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

OWN = "10.1.0.0/24"
SHORT, LONG, OTHER = "10.2.0.0/16", "10.2.7.0/24", "192.0.2.0/24"
ALL = sorted([SHORT, LONG, OTHER])
REJECT, ACCEPT = {"action": "Reject"}, {"action": "Accept"}

TELL = """ipv4 export filter {
  if net = 192.0.2.0/24 then {
    bgp_community.add((65002,7)); bgp_large_community.add((65002,7,8)); bgp_path.prepend(64999);
  }
  accept; };
""".replace("\n", " ")


def tor(number: int, **spec: Any) -> dict[str, Any]:
    asn = 65002 if number == 2 else 65001
    given = {"node": "w", "peerIP": at(number), "asNumber": asn, "extensions": QUICK}
    return peer(f"b{number}", **{**given, **spec})


def rules(name: str, **chains: list[dict[str, Any]]) -> dict[str, Any]:
    return document("BGPFilter", name, chains)


Between = tuple[Edited, RunningNode, RunningNode]


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    """Give the router and the BIRDs, external and internal, with filters that say nothing yet."""
    directory = tmp_path_factory.mktemp("filters") / "datastore"
    keys = {"wren.bgp/policy": "plain", "wren.bgp/networks": OWN}
    put(directory, node("w", f"{WREN}/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys))
    put(directory, rules("in"), rules("out"))
    put(directory, tor(2, filters=["in"]), tor(3, filters=["out"]))
    networks = {"networks": ALL}
    birds = {2: Bird(65002, lines=TELL, more=networks), 3: Bird(65001)}
    with lab_of(around(directory, birds)) as lab:
        edited = Edited(lab.node("w"), directory)
        before = edited.peers_up([at(2), at(3)])
        yield edited, lab.node("b2"), lab.node("b3")
        assert edited.since() == before


def learnt(running: RunningNode) -> list[str]:
    return sorted(set(running.routes(Family.IPV4)) & set(ALL))


def judge(between: Between, **chains: list[dict[str, Any]]) -> None:
    """Let everything pass again, and then what rules of these chains let pass."""
    edited, _, inside = between
    directory, home = edited.directory, edited.running.home
    put(directory, rules("in"), rules("out"))
    ask(home, "reload")
    becomes("everything is let in", partial(learnt, edited.running), ALL)
    becomes("everything is told", partial(learnt, inside), ALL)
    put(directory, rules("in", **_of("import", chains)), rules("out", **_of("export", chains)))
    ask(home, "reload")


def _of(way: str, chains: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {name: chain for name, chain in chains.items() if name.startswith(way)}


def rule(action: dict[str, Any] = REJECT, **conditions: Any) -> dict[str, Any]:
    return {**action, **conditions}


def prefix(cidr: str, operator: str, **length: int) -> dict[str, Any]:
    more = {"prefixLength": length} if length else {}
    return {"cidr": cidr, "matchOperator": operator, **more}


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        ([rule()], []),
        ([rule(ACCEPT), rule()], ALL),
        ([rule(**prefix(SHORT, "Equal"))], [LONG, OTHER]),
        ([rule(**prefix(SHORT, "NotEqual"))], [SHORT]),
        ([rule(**prefix(SHORT, "In"))], [OTHER]),
        ([rule(**prefix(SHORT, "NotIn"))], [SHORT, LONG]),
        ([rule(**prefix(SHORT, "In", min=20))], [SHORT, OTHER]),
        ([rule(**prefix(SHORT, "In", max=16))], [LONG, OTHER]),
        ([rule(source="RemotePeers")], []),
        ([rule(interface="eth*")], []),
        ([rule(interface="wlan0")], ALL),
        ([rule(peerType="eBGP")], []),
        ([rule(peerType="iBGP")], ALL),
        ([rule(communities={"values": ["65002:7"]})], [SHORT, LONG]),
        ([rule(communities={"values": ["65002:7:8"]})], [SHORT, LONG]),
        ([rule(asPathPrefix=[65002, 64999])], [SHORT, LONG]),
        ([rule(asPathPrefix=[64999])], ALL),
        ([rule(ACCEPT, **prefix(LONG, "Equal")), rule(**prefix(SHORT, "In"))], [LONG, OTHER]),
        ([rule(peerType="eBGP", interface="eth0", **prefix(OTHER, "Equal"))], [SHORT, LONG]),
    ],
    ids=str,
)
def test_what_a_peer_tells_is_judged_by_the_conditions_of_a_rule(
    chain: list[dict[str, Any]], left: list[str], between: Between
) -> None:
    edited, _, inside = between
    judge(between, importV4=chain)
    becomes("it is judged", partial(learnt, edited.running), sorted(left))
    becomes("the other peer hears the rest", partial(learnt, inside), sorted(left))


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        ([rule(source="RemotePeers")], [OWN]),
        ([rule(peerType="iBGP")], []),
        ([rule(peerType="eBGP")], sorted([*ALL, OWN])),
        ([rule(interface="eth0")], [OWN]),
        ([rule(ACCEPT, **prefix(OWN, "Equal")), rule()], [OWN]),
    ],
    ids=str,
)
def test_what_a_peer_hears_is_judged_by_them_too(
    chain: list[dict[str, Any]], left: list[str], between: Between
) -> None:
    _, _, inside = between
    judge(between, exportV4=chain)

    def heard() -> list[str]:
        return sorted(set(inside.routes(Family.IPV4)) & {*ALL, OWN})

    becomes("it is judged", heard, sorted(left))


def test_operations_change_what_is_let_in_and_what_is_told(between: Between) -> None:
    edited, _, inside = between
    operations = [
        {"addCommunity": {"value": "1:2"}},
        {"addCommunity": {"value": "1:2:3"}},
        {"prependASPath": {"prefix": [65010, 65011]}},
        {"setPriority": {"value": 50}},
    ]
    changed = rule(ACCEPT, operations=operations, **prefix(LONG, "Equal"))
    local_pref = 2**31 - 1 - 50
    judge(between, importV4=[changed])

    def taken() -> dict[str, Any]:
        chunks = stream(edited.running.home, "routes", prefix=LONG)
        [route] = [route for chunk in chunks for route in chunk["routes"]]
        fields = ("asPath", "communities", "largeCommunities", "localPref")
        return {name: route[name] for name in fields}

    becomes(
        "it comes in changed",
        taken,
        {
            "asPath": "65010 65011 65002",
            "communities": ["1:2"],
            "largeCommunities": ["1:2:3"],
            "localPref": local_pref,
        },
    )
    # A rule about the priority sees what an operation has set.
    unimportant = [rule(priority=50)]
    put(edited.directory, rules("out", exportV4=unimportant))
    becomes("it is told no more", partial(learnt, inside), sorted([SHORT, OTHER]))
    put(edited.directory, rules("in"), rules("out", exportV4=[changed]))

    def heard() -> dict[str, str]:
        found = told(inside, LONG) or {}
        wanted = ("as_path", "community", "large_community", "local_pref")
        return {name: found[name] for name in wanted if name in found}

    becomes(
        "it is told changed",
        heard,
        {
            "as_path": "65010 65011 65002",
            "community": "(1,2)",
            "large_community": "(1, 2, 3)",
            "local_pref": str(local_pref),
        },
    )
