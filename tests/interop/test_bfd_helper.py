"""A peer restarts whose BFD falls: with it, as BIRD's does, or because nothing is forwarded.

RFC 5882 §4.3: the C bits of both ends tell one from the other.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from lab import RunningNode
from lab.processes import wait_gone
from tests.support.bfd import protocol, sessions, shown, state, watched
from tests.support.birds import WREN, around, at
from tests.support.datastores import put
from tests.support.edited import Edited
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.resources import node, settings
from tests.support.restarters import status
from tests.support.watching import watched as routes_watched

pytestmark = [pytest.mark.netns, pytest.mark.interop]

FROM_BIRD, FROM_WREN = "10.2.0.0/24", "10.3.0.0/24"


def phases(wren: RunningNode) -> dict[str, str]:
    """Tell which peers are waited for, by address."""
    return {
        peer["address"]: view["restart"]["phase"]
        for peer in status(wren)["peers"]
        for view in peer["families"].values()
        if "restart" in view
    }


def test_bfd_that_falls_with_a_restart_costs_nothing_and_other_failures_do(tmp_path: Path) -> None:
    directory = tmp_path / "datastore"
    put(directory, node("w", f"{WREN}/24"))
    plain = {"wren.bgp/policy": "plain"}
    put(directory, settings(nodeToNodeMeshEnabled=False, asNumber=65001, annotations=plain))
    put(directory, watched(2), watched(3))
    session = {"address": WREN, "asn": 65001, "families": ["ipv4"], "hold_time": 90}
    bird = {
        "kind": "bird",
        "asn": 65002,
        "at": f"{at(2)}/24",
        "networks": [FROM_BIRD],
        "extra": protocol(),
        "args": ["-R"],
        "peers": [{**session, "extra": "bfd on; graceful restart on; graceful restart time 60;"}],
    }
    wren = {
        "kind": "wren",
        "asn": 65003,
        "at": f"{at(3)}/24",
        "networks": [FROM_WREN],
        "peers": [{**session, "extra": "wren.bgp/bfd: on"}],
    }
    with lab_of(around(directory, {}, {"b": bird, "o": wren})) as lab:
        w, b, o = (lab.node(name) for name in "wbo")
        Edited(w, directory).peers_up([at(2), at(3)])
        becomes("BFD is up", lambda: [state(w, number) for number in (2, 3)], ["Up", "Up"])
        becomes("both have told", lambda: {FROM_BIRD, FROM_WREN} <= w.kernel_routes().keys(), True)
        assert [sessions(w)[at(number)]["independent"] for number in (2, 3)] == [False, True]
        with routes_watched(w) as watches:
            b.kill()
            becomes("BFD has seen it", lambda: state(w, 2), "Down")
            assert phases(w) == {at(2): "restarting"}
            b.start()
            becomes("it is back", lambda: (state(w, 2), phases(w)), ("Up", {}))
            # Killed alone, the other Wren has its process of BFD go on; what is left falls then.
            process = shown(o)["process"]
            assert process is not None
            programs = o.programs()
            o.signal(signal.SIGKILL)
            assert wait_gone(programs, 10) == []
            becomes("it is waited for", lambda: phases(w), {at(3): "restarting"})
            assert state(w, 3) == "Up"
        assert watches["w"].removed == []
        o.execute(["kill", "-9", str(process["pid"])])
        becomes("its routes go", lambda: FROM_WREN in w.kernel_routes(), False)
        assert phases(w) == {}
        assert FROM_BIRD in w.kernel_routes()
