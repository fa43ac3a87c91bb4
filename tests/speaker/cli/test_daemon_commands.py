"""The commands that ask a running daemon, against a real socket with prepared answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speaker import __version__
from speaker.cli.moments import show_moment
from speaker.control.protocol import ControlError
from tests.support.commands import wren
from tests.support.control import serving
from tests.support.views import peer_view, route_view, status_view

UP = peer_view(
    "10.0.0.2",
    uptime=3723.5,
    families={
        "ipv4 unicast": {"received": 3, "accepted": 2, "advertised": 1, "endOfRib": True},
        "ipv6 unicast": {"received": 1, "accepted": 1, "advertised": 4, "endOfRib": False},
    },
    negotiated={"holdTime": 90, "families": ["ipv4 unicast", "ipv6 unicast"], "routeRefresh": True},
)
DOWN = peer_view(
    "192.0.2.1",
    name="Node_192_0_2_1",
    resource="tor",
    type="node specific",
    remoteAS=65001,
    state="start",
    bgpState="Active",
    info="Socket: Connection refused",
    why="the peer refuses connections (Connection refused); the next try is in 4 s",
    lastError="Connection refused",
    nextTry=4.2,
    passive=True,
)
STATUS = status_view(
    UP,
    DOWN,
    conditions=[
        {
            "resource": "BGPPeer/tor",
            "severity": "warning",
            "reason": "UnknownFilter",
            "message": "there is no BGPFilter [x]",
        }
    ],
)


def status(args: dict[str, Any]) -> Any:
    return STATUS


def detail(args: dict[str, Any]) -> Any:
    known = {"Mesh_10_0_0_2": UP, "Node_192_0_2_1": DOWN}
    if args["name"] not in known:
        raise ControlError(f"there is no peer {args['name']}", "look at 'wren peer'")
    return {"peer": known[args["name"]], "history": ["1795246914.043 Connect → OpenSent"]}


def test_node_status_prints_the_table_and_an_empty_line_at_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": status}):
        done = wren("node", "status", "--run-dir", tmp_path)
    assert done.exit_code == 0
    assert done.stdout.startswith("Calico process is running.\n\nIPv4 BGP status\n+----")
    assert done.stdout.endswith("\nIPv6 BGP status\nNo IPv6 peers found.\n\n")


def test_node_status_gives_the_whole_answer_as_json(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": status}):
        done = wren("node", "status", "--run-dir", tmp_path, "-o", "json")
    assert json.loads(done.stdout) == STATUS


def test_node_status_without_a_daemon(tmp_path: Path) -> None:
    done = wren("node", "status", "--run-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stdout == "The BGP backend process (Wren) is not running.\n"
    assert str(tmp_path) in done.stderr


def test_the_run_directory_may_come_from_the_environment(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": status}):
        done = wren("node", "status", "-o", "json", env={"WREN_RUN_DIR": str(tmp_path)})
    assert json.loads(done.stdout)["node"] == "r1"


def test_peer_lists_all_peers_and_what_is_wrong(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": status}):
        done = wren("peer", "--run-dir", tmp_path)
    assert done.stdout == (
        "NAME            ADDRESS       AS  STATE  BGP STATE      UPTIME  RECEIVED  ACCEPTED"
        "  ADVERTISED  INFO\n"
        "Mesh_10_0_0_2   10.0.0.2   64512  up     Established  01:02:03         4         3"
        "           5  -\n"
        "Node_192_0_2_1  192.0.2.1  65001  start  Active              -         0         0"
        "           0  Socket: Connection refused\n"
        "warning: BGPPeer/tor: there is no BGPFilter [x]\n"
    )


def test_peer_lists_peers_and_conditions_as_json(tmp_path: Path) -> None:
    with serving(tmp_path, {"status": status}):
        done = wren("peer", "--run-dir", tmp_path, "-o", "json")
    shown = json.loads(done.stdout)
    assert shown == {"peers": STATUS["peers"], "conditions": STATUS["conditions"]}


def test_peer_shows_one_session_in_detail_with_its_history(tmp_path: Path) -> None:
    with serving(tmp_path, {"peer": detail}):
        done = wren("peer", "Mesh_10_0_0_2", "--history", "--run-dir", tmp_path)
    moment = show_moment(1795246914.043)
    assert done.stdout == (
        "Mesh_10_0_0_2\n"
        "  type     node-to-node mesh\n"
        "  address  10.0.0.2 port 179\n"
        "  session  AS 64512 here, AS 64512 there\n"
        "  state    up (Established)\n"
        "  up for   01:02:03\n"
        "  negotiated\n"
        "    holdTime      90\n"
        "    families      ipv4 unicast, ipv6 unicast\n"
        "    routeRefresh  yes\n"
        "  ipv4 unicast: 3 received, 2 accepted, 1 advertised\n"
        "  ipv6 unicast: 1 received, 1 accepted, 4 advertised, no End-of-RIB yet\n"
        "\n"
        "history\n"
        f"  {moment} Connect → OpenSent\n"
    )


def test_peer_that_is_down_shows_why_and_when_it_tries_again(tmp_path: Path) -> None:
    with serving(tmp_path, {"peer": detail}):
        lines = wren("peer", "Node_192_0_2_1", "--run-dir", tmp_path).stdout.splitlines()
    assert "  resource      tor" in lines
    assert "  session       AS 64512 here, AS 65001 there, passive" in lines
    assert "  state         start (Active Socket: Connection refused)" in lines
    assert "  next attempt  in 00:00:04" in lines
    assert "  last error    Connection refused" in lines
    why = "the peer refuses connections (Connection refused); the next try is in 4 s"
    assert f"  why           {why}" in lines


def test_the_history_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    with serving(tmp_path, {"peer": detail, "status": status}):
        assert "history" not in wren("peer", "Mesh_10_0_0_2", "--run-dir", tmp_path).stdout
        done = wren("peer", "--history", "--run-dir", tmp_path)
    assert done.exit_code == 2
    assert "NAME" in done.stderr


def test_peer_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    with serving(tmp_path, {"peer": detail}):
        done = wren("peer", "x", "--run-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stderr == "wren: there is no peer x; look at 'wren peer'\n"


def test_peer_in_detail_as_json(tmp_path: Path) -> None:
    with serving(tmp_path, {"peer": detail}):
        done = wren("peer", "Mesh_10_0_0_2", "--run-dir", tmp_path, "-o", "json")
    assert json.loads(done.stdout) == detail({"name": "Mesh_10_0_0_2"})


BEST = route_view("10.1.0.0/24", asPath="65001 {65002}", med=5)
LOST = route_view(
    "10.1.0.0/24",
    best=False,
    peer="Node_192_0_2_1",
    nextHop="192.0.2.1",
    localPref=None,
    kernel="",
    reason="longer AS_PATH",
    communities=["64512:1", "64512:2"],
    attributes={"aggregator": "65001 192.0.2.9"},
)


class Routes:
    """A handler that answers in chunks and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def __call__(self, args: dict[str, Any]) -> Iterator[Any]:
        self.asked = args
        yield {"routes": [BEST]}
        yield {"routes": [LOST]}


def test_routes_shows_paths_and_marks_the_best(tmp_path: Path) -> None:
    with serving(tmp_path, {"routes": Routes()}):
        done = wren("routes", "--run-dir", tmp_path)
    assert done.stdout == (
        "   PREFIX       NEXT HOP   INTERFACE  PEER            PREF  MED  AS PATH        ORIGIN"
        "  KERNEL\n"
        "*  10.1.0.0/24  10.0.0.2   eth0       Mesh_10_0_0_2    100    5  65001 {65002}  IGP   "
        "  installed\n"
        "   10.1.0.0/24  192.0.2.1  eth0       Node_192_0_2_1     -    -  -              IGP   "
        "  -\n"
    )


def test_routes_with_all_adds_reasons_and_attributes(tmp_path: Path) -> None:
    with serving(tmp_path, {"routes": Routes()}):
        lines = wren("routes", "--all", "--run-dir", tmp_path).stdout.splitlines()
    assert lines[2] == "     reason: best"
    assert lines[4:] == [
        "     reason: longer AS_PATH",
        "     communities: 64512:1 64512:2",
        "     aggregator: 65001 192.0.2.9",
    ]


def test_routes_puts_the_chunks_together_as_json(tmp_path: Path) -> None:
    with serving(tmp_path, {"routes": Routes()}):
        done = wren("routes", "--run-dir", tmp_path, "-o", "json")
    assert json.loads(done.stdout) == {"routes": [BEST, LOST]}


def test_routes_hands_on_what_is_asked_for(tmp_path: Path) -> None:
    routes = Routes()
    options = ("--peer", "Mesh_10_0_0_2", "--all", "--family", "ipv6", "--limit", "10")
    with serving(tmp_path, {"routes": routes}):
        wren("routes", "FD00::0/16", *options, "--run-dir", tmp_path)
    assert routes.asked == {
        "prefix": "fd00::/16",
        "peer": "Mesh_10_0_0_2",
        "all": True,
        "family": "ipv6",
        "limit": 10,
    }


def test_an_address_is_a_prefix_of_its_whole_length(tmp_path: Path) -> None:
    routes = Routes()
    with serving(tmp_path, {"routes": routes}):
        wren("routes", "10.0.0.1", "--run-dir", tmp_path)
    assert routes.asked["prefix"] == "10.0.0.1/32"


def test_no_routes_print_nothing_on_stdout(tmp_path: Path) -> None:
    with serving(tmp_path, {"routes": lambda args: {"routes": []}}):
        done = wren("routes", "--run-dir", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no routes\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1/24", "host bits set; the prefix is 10.0.0.0/24"),
        ("somewhere", "is no prefix"),
        ("10.0.0.0/33", "is no prefix"),
    ],
)
def test_a_prefix_that_is_none_is_wrong_usage(text: str, message: str, tmp_path: Path) -> None:
    done = wren("routes", text, "--run-dir", tmp_path)
    assert done.exit_code == 2
    assert message in done.stderr


def test_reload_shows_changes_and_fails_if_something_was_refused(tmp_path: Path) -> None:
    answer = {"changes": ["removes Mesh_10_0_0_2"], "problems": ["x.yaml:1:1: no [rule]"]}
    with serving(tmp_path, {"reload": lambda args: answer}):
        done = wren("reload", "--run-dir", tmp_path)
        as_json = wren("reload", "--run-dir", tmp_path, "-o", "json")
    assert done.exit_code == as_json.exit_code == 1
    assert done.stdout == "removes Mesh_10_0_0_2\n"
    assert done.stderr == "refused: x.yaml:1:1: no [rule]\n"
    assert json.loads(as_json.stdout) == answer


def test_reload_that_finds_nothing_new_is_fine(tmp_path: Path) -> None:
    with serving(tmp_path, {"reload": lambda args: {"changes": [], "problems": []}}):
        done = wren("reload", "--run-dir", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "nothing changed\n")


def test_version_shows_both_ends(tmp_path: Path) -> None:
    with serving(tmp_path, {"version": lambda args: {"version": "0.0.9"}}):
        done = wren("version", "--run-dir", tmp_path)
        as_json = wren("version", "--run-dir", tmp_path, "-o", "json")
    assert done.stdout == f"command  {__version__}\ndaemon   0.0.9\n"
    assert json.loads(as_json.stdout) == {"command": __version__, "daemon": {"version": "0.0.9"}}


def test_version_without_a_daemon_is_no_failure(tmp_path: Path) -> None:
    done = wren("version", "--run-dir", tmp_path)
    assert (done.exit_code, done.stdout) == (0, f"command  {__version__}\ndaemon   not running\n")
