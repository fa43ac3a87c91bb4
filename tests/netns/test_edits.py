"""Edits of the resources under running sessions: what `wren plan` says is what happens, no more.

One Wren with BIRDs around it on one segment. Whether a session was reset shows in the moment since
when it is up, which the daemon tells with its status.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, RunningNode
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways
from tests.support.resources import document, node, peer, settings

pytestmark = [pytest.mark.netns, pytest.mark.interop]

QUICK = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2", "wren.bgp/holdTime": "9"}
KEPT, REFUSED = "10.1.0.0/24", "10.1.1.0/24"


def topology(directory: Path) -> str:
    birds = "".join(
        f"""
  b{n}:
    kind: bird
    asn: {65000 + n}
    networks: [10.{n}.0.0/24, 10.{n}.1.0/24]
"""
        for n in (2, 3, 4)
    )
    ends = ", ".join(f"b{n}: [172.31.0.{n}/24]" for n in (2, 3, 4))
    peerings = "".join(f"\n  - {{between: [w, b{n}], hold_time: 9}}" for n in (2, 3, 4))
    return f"""
nodes:
  w: {{kind: wren, asn: 65001, datastore: {directory}}}{birds}
segments:
  lan: {{w: [172.31.0.1/24], {ends}}}
bgp:{peerings}
"""


def tor(number: int, **spec: Any) -> dict[str, Any]:
    """Make the BGPPeer of a BIRD."""
    given = {"node": "w", "peerIP": f"172.31.0.{number}", "asNumber": 65000 + number}
    return peer(f"b{number}", **{**given, "extensions": QUICK, **spec})


def write_node(directory: Path) -> None:
    keys = {"wren.bgp/policy": "plain", "wren.bgp/networks": f"{KEPT},{REFUSED}"}
    put(directory, node("w", "172.31.0.1/24"))
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=keys))
    put(directory, tor(2), tor(3))


FILTER = document(
    "BGPFilter",
    "picky",
    {
        "importV4": [{"action": "Reject", "matchOperator": "Equal", "cidr": "10.2.1.0/24"}],
        "exportV4": [
            {"action": "Accept", "matchOperator": "Equal", "cidr": KEPT},
            {"action": "Reject"},
        ],
    },
)


def learnt(running: RunningNode) -> list[str]:
    """Give what a node has from others, which its kernel must have as well."""
    routes = running.routes(Family.IPV4)
    found = sorted(prefix for prefix, route in routes.items() if route.as_path)
    kernel = gateways(running, Family.IPV4)
    return [prefix for prefix in found if prefix in kernel]


def two(number: int) -> list[str]:
    return [f"10.{number}.0.0/24", f"10.{number}.1.0/24"]


def test_filters_and_new_peers_reset_no_session_as_planned(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_node(directory)
    with lab_of(topology(directory)) as lab:
        w, b2, b3 = lab.node("w"), lab.node("b2"), lab.node("b3")
        edited = Edited(w, directory)
        becomes("w has all", partial(learnt, w), [*two(2), *two(3)])
        becomes("b2 has all", partial(learnt, b2), [KEPT, REFUSED, *two(3)])
        becomes("b3 has all", partial(learnt, b3), [KEPT, REFUSED, *two(2)])
        before = edited.since()
        assert sorted(before) == ["172.31.0.2", "172.31.0.3"]

        planned = edited.edit(FILTER, tor(2, filters=["picky"]))
        assert (planned["resets"], planned["added"], planned["removed"]) == ([], [], [])
        assert len(planned["kept"]) == 2
        becomes("the import is filtered", partial(learnt, w), ["10.2.0.0/24", *two(3)])
        becomes("the export is filtered", partial(learnt, b2), [KEPT])
        becomes("others hear of it", partial(learnt, b3), [KEPT, REFUSED, "10.2.0.0/24"])
        assert edited.since() == before

        planned = edited.edit(tor(4))
        assert (planned["resets"], planned["removed"]) == ([], [])
        assert len(planned["added"]) == 1
        becomes("w has a new peer", partial(learnt, w), ["10.2.0.0/24", *two(3), *two(4)])
        everything = [KEPT, REFUSED, "10.2.0.0/24", *two(3)]
        becomes("the new peer has all", partial(learnt, lab.node("b4")), everything)
        assert {**edited.since(), **before} == edited.since()

        planned = edited.edit(tor(2))
        assert planned["resets"] == []
        becomes("nothing is filtered", partial(learnt, w), [*two(2), *two(3), *two(4)])
        becomes("b2 has all again", partial(learnt, b2), [KEPT, REFUSED, *two(3), *two(4)])
        assert {**edited.since(), **before} == edited.since()


def test_what_resets_a_session_resets_that_one_as_planned(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    write_node(directory)
    with lab_of(topology(directory)) as lab:
        w = lab.node("w")
        edited = Edited(w, directory)
        becomes("w has all", partial(learnt, w), [*two(2), *two(3)])
        before = edited.since()
        planned = edited.edit(tor(3, extensions={**QUICK, "wren.bgp/holdTime": "12"}))
        assert [(reset["peer"], reset["fields"]) for reset in planned["resets"]] == [
            ("Node_172_31_0_3", ["hold_time"])
        ]
        becomes("both are up", lambda: sorted(edited.since()), sorted(before))
        becomes("w has all again", partial(learnt, w), [*two(2), *two(3)])
        after = edited.since()
        assert after["172.31.0.2"] == before["172.31.0.2"]
        assert after["172.31.0.3"] > before["172.31.0.3"]
