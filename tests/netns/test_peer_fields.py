"""What each field of a BGPPeer does, seen from the BIRD at the other end, and live.

Every test begins with a session as the field's default has it, edits the field, and sees what
changes at the peer; the session of another peer has to go on through all of it.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, RunningNode
from lab.kinds import Route
from lab.probes import kernel_routes
from tests.support.birds import QUICK, WREN, Bird, around, at, told, two
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, peer, settings
from tests.support.scripted_peer import KEEPALIVE
from tests.support.wiretap import Tap

pytestmark = [pytest.mark.netns, pytest.mark.interop]

OWN = "10.1.0.0/24"


def tor(number: int, **spec: Any) -> dict[str, Any]:
    """Make the BGPPeer of a BIRD."""
    given = {"node": "w", "peerIP": at(number), "asNumber": 65000 + number}
    return peer(f"b{number}", **{**given, "extensions": QUICK, **spec})


def write(directory: Path, *peers: dict[str, Any], address: str = f"{WREN}/24") -> None:
    keys = {"wren.bgp/policy": "plain", "wren.bgp/networks": OWN}
    put(directory, node("w", address))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys))
    put(directory, *peers)


def path_of(running: RunningNode, prefix: str) -> tuple[int, ...] | None:
    route = running.routes(Family.IPV4).get(prefix)
    return None if route is None else route.as_path


def gateways_of(running: RunningNode, prefix: str) -> tuple[str, ...] | None:
    route = kernel_routes(running, Family.IPV4).get(prefix)
    return None if route is None else route.gateways


def test_local_as_number_is_what_the_peer_sees_and_prepends_alone(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2, localASNumber=65009), tor(3))
    birds = {2: Bird(65002, sees=65009), 3: Bird(65003)}
    with lab_of(around(directory, birds)) as lab:
        edited = Edited(lab.node("w"), directory)
        b2, b3 = lab.node("b2"), lab.node("b3")
        edited.peers_up([at(2), at(3)])
        becomes("b2 sees the AS of its session", partial(path_of, b2, OWN), (65009,))
        becomes("and nothing but it", partial(path_of, b2, two(3)[0]), (65009, 65003))
        becomes("b3 sees the node's", partial(path_of, b3, two(2)[0]), (65001, 65002))


def test_local_as_number_of_the_peer_makes_the_session_internal(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2), tor(3, localASNumber=65003))
    birds = {2: Bird(65002), 3: Bird(65003, sees=65003)}
    with lab_of(around(directory, birds)) as lab:
        edited = Edited(lab.node("w"), directory)
        edited.peers_up([at(2), at(3)])
        b3 = lab.node("b3")
        becomes("b3 has an internal route", partial(path_of, b3, OWN), ())
        becomes("b3 has b2's route", partial(path_of, b3, two(2)[0]), (65002,))
        attributes = told(b3, two(2)[0])
        assert attributes is not None
        assert attributes["next_hop"] == at(2)
        assert attributes["as_path"] == "65002"
        assert attributes["local_pref"] == "100"


def test_source_address_is_the_nodes_or_the_kernels_choice(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2), tor(3, sourceAddress="None"), address="10.255.0.1/32")
    birds = {
        2: Bird(65002, at="10.255.0.1", passive=True, lines="multihop;"),
        3: Bird(65003, passive=True),
    }
    topology = around(directory, birds, addresses=["10.255.0.1/32"])
    with lab_of(topology) as lab:
        edited = Edited(lab.node("w"), directory)
        lab.node("b2").execute(["ip", "route", "add", "10.255.0.1/32", "via", WREN])
        before = edited.peers_up([at(2), at(3)])
        # b2 knows no peer at the address that the kernel would choose.
        planned = edited.edit(tor(2, sourceAddress="None"))
        assert [reset["fields"] for reset in planned["resets"]] == [["source_address"]]
        assert edited.peers_up([at(3)]) == {at(3): before[at(3)]}
        edited.edit(tor(2))
        assert edited.peers_up([at(2), at(3)])[at(3)] == before[at(3)]


def test_a_peer_is_reached_over_several_hops_by_its_gateway(tmp_path: Path) -> None:
    """Every session is multihop; reachableBy puts the host route into the kernel."""
    directory = tmp_path / "datastore"
    far = "192.0.2.9"
    reached = peer("far", node="w", peerIP=far, asNumber=65009, reachableBy=at(4), extensions=QUICK)
    write(directory, tor(2), reached)
    birds = {2: Bird(65002)}
    far_peer = {"address": WREN, "asn": 65001, "families": ["ipv4"], "extra": "multihop;"}
    text = json.loads(around(directory, birds, {"gw": {"kind": "host", "at": f"{at(4)}/24"}}))
    text["nodes"]["far"] = {
        "kind": "bird",
        "asn": 65009,
        "networks": ["10.9.0.0/24"],
        "gateways": ["192.0.2.1"],
        "peers": [{**far_peer, "passive": True, "hold_time": 9}],
    }
    text["links"] = [{"gw": ["192.0.2.1/24"], "far": [f"{far}/24"]}]
    with lab_of(json.dumps(text)) as lab:
        w, b2 = lab.node("w"), lab.node("b2")
        edited = Edited(w, directory)
        before = edited.peers_up([at(2), far])
        becomes("the host route", partial(gateways_of, w, f"{far}/32"), (at(4),))
        becomes("what leads there", partial(gateways_of, w, "10.9.0.0/24"), (at(4),))
        becomes("b2 has its routes", partial(path_of, b2, "10.9.0.0/24"), (65001, 65009))
        planned = edited.edit(peer("far", node="w", peerIP=far, asNumber=65009, extensions=QUICK))
        assert planned["resets"] == []
        becomes("no host route", partial(gateways_of, w, f"{far}/32"), None)
        becomes("nothing leads there", partial(gateways_of, w, "10.9.0.0/24"), None)
        becomes("b2 has it no more", partial(path_of, b2, "10.9.0.0/24"), None)
        edited.edit(reached)
        becomes("b2 has it again", partial(path_of, b2, "10.9.0.0/24"), (65001, 65009))
        assert edited.since()[at(2)] == before[at(2)]


def test_next_hop_modes_of_internal_and_external_peers(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    inside = {"asNumber": 65001}
    write(directory, tor(2), tor(3, **inside), tor(4))
    birds = {2: Bird(65002), 3: Bird(65001), 4: Bird(65004)}
    with lab_of(around(directory, birds)) as lab:
        edited = Edited(lab.node("w"), directory)
        before = edited.peers_up([at(2), at(3), at(4)])

        def hear(internal: str, external: str) -> None:
            prefix = two(2)[0]
            for name, hop, path in (
                ("b3", internal, (65002,)),
                ("b4", external, (65001, 65002)),
            ):
                routes = partial(lab.node(name).routes, Family.IPV4)
                becomes(f"{name} hears {hop}", lambda: routes().get(prefix), Route(hop, path))  # noqa: B023 - awaited here

        hear(at(2), WREN)
        for mode, hops in {
            "Self": (WREN, WREN),
            "Keep": (at(2), at(2)),
            "Auto": (at(2), WREN),
        }.items():
            planned = edited.edit(tor(3, **inside, nextHopMode=mode), tor(4, nextHopMode=mode))
            assert planned["resets"] == []
            hear(*hops)
        edited.edit(tor(3, **inside, keepOriginalNextHop=True), tor(4, keepOriginalNextHop=True))
        hear(at(2), at(2))
        assert edited.since() == before


def test_own_as_is_taken_as_often_as_allowed(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2), tor(3))
    twice = "ipv4 export filter { bgp_path.prepend(65001); bgp_path.prepend(65001); accept; };"
    with lab_of(around(directory, {2: Bird(65002, lines=twice), 3: Bird(65003)})) as lab:
        w = lab.node("w")
        edited = Edited(w, directory)
        before = edited.peers_up([at(2), at(3)])
        path = partial(path_of, w, two(2)[0])
        becomes("b3 has told", partial(path_of, w, two(3)[0]), (65003,))
        for count, seen in ((1, None), (2, (65002, 65001, 65001)), (0, None)):
            planned = edited.edit(tor(2, numAllowedLocalASNumbers=count))
            assert planned["resets"] == []
            becomes(f"allowed {count} times", path, seen)
        assert edited.since() == before


def test_the_keepalive_time_is_what_travels_and_what_the_hold_time_allows(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2), tor(3))
    with lab_of(around(directory, {2: Bird(65002), 3: Bird(65003)})) as lab:
        w = lab.node("w")
        edited = Edited(w, directory)
        before = edited.peers_up([at(2), at(3)])
        with Tap(w) as tap:

            def sent(number: int) -> int:
                return len(tap.heard(KEEPALIVE, WREN, at(number)))

            edited.edit(tor(2, keepaliveTime="1s"))
            edited.peers_up([at(2), at(3)])
            assert edited.conditions() == []
            becomes("b2 hears more", lambda: sent(2) > 2 * sent(3) > 2, wanted=True)
            edited.edit(tor(2, keepaliveTime="60s"))
            edited.peers_up([at(2), at(3)])
            count = sent(2)
            becomes("b2 hears enough", lambda: sent(2) > count + 3, wanted=True)
        assert ("BGPPeer/b2", "KeepaliveTime") in edited.conditions()
        assert edited.since()[at(3)] == before[at(3)]


def test_the_gateway_mode_lets_a_neighbour_stand_in_for_a_far_next_hop(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write(directory, tor(2), tor(3))
    far = "ipv4 next hop address 203.0.113.9;"
    with lab_of(around(directory, {2: Bird(65002, lines=far), 3: Bird(65003)})) as lab:
        w, b3 = lab.node("w"), lab.node("b3")
        edited = Edited(w, directory)
        before = edited.peers_up([at(2), at(3)])
        prefix = two(2)[0]
        becomes("b3's routes are there", partial(gateways_of, w, two(3)[0]), (at(3),))
        assert path_of(b3, prefix) is None
        for _ in range(2):
            planned = edited.edit(tor(2, birdGatewayMode="DirectIfDirectlyConnected"))
            assert planned["resets"] == []
            becomes("b2 is the gateway", partial(gateways_of, w, prefix), (at(2),))
            becomes("b3 hears of it", partial(path_of, b3, prefix), (65001, 65002))
            edited.edit(tor(2, birdGatewayMode="Recursive"))
            becomes("nothing resolves it", partial(gateways_of, w, prefix), None)
            becomes("b3 hears no more", partial(path_of, b3, prefix), None)
        assert edited.since() == before
