"""The commands that ask a running daemon, against a real socket with prepared answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from speaker import __version__
from speaker.cli.peer import show_peer
from speaker.control.protocol import ControlError
from speaker.control.views import ValidityView
from speaker.moments import show_moment
from tests.support.commands import wren
from tests.support.control import serving
from tests.support.views import cache_view, peer_view, route_view, status_view

UP = peer_view(
    "10.0.0.2",
    uptime=3723.5,
    families={
        "ipv4 unicast": {"received": 3, "accepted": 2, "advertised": 1, "endOfRib": True},
        "ipv6 unicast": {"received": 1, "accepted": 1, "advertised": 4, "endOfRib": False},
    },
    negotiated={
        "holdTime": 90,
        "families": ["ipv4 unicast", "ipv6 unicast"],
        "routeRefresh": True,
        "addPath": {"ipv4 unicast": "both", "ipv6 unicast": "receive"},
    },
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
    told = {"peers": STATUS["peers"], "ranges": [], "conditions": STATUS["conditions"]}
    assert shown == told


def test_peer_tells_of_ranges_below_the_peers(tmp_path: Path) -> None:
    ranges = [
        {
            "name": "Dynamic_rack",
            "resource": "rack",
            "networks": ["10.1.0.0/24", "fd00:1::/64"],
            "remoteAS": "64512-65000",
            "peers": 3,
            "limit": 100,
            "waiting": 1,
            "refused": {"as": 2, "limit": 1},
            "last": [],
        }
    ]
    dynamic = peer_view("10.1.0.7", resource="rack", range="10.1.0.0/24")
    told: Any = status_view(dynamic, ranges=ranges)
    with serving(tmp_path, {"status": lambda _: told}):
        done = wren("peer", "--run-dir", tmp_path)
    assert done.stdout.splitlines()[-1] == (
        "Dynamic_rack: 3 of 100 peers from 10.1.0.0/24, fd00:1::/64 in AS 64512-65000 "
        "(BGPPeer/rack), 1 without an OPEN yet; turned away: 2 (as), 1 (limit)"
    )
    with serving(tmp_path, {"peer": lambda _: {"peer": dynamic, "history": []}}):
        done = wren("peer", "10.1.0.7", "--run-dir", tmp_path)
    assert "accepted from  10.1.0.0/24" in done.stdout


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
        "    addPath       ipv4 unicast both, ipv6 unicast receive\n"
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


IN_USE = "  password  in use since MOMENT (tor/password)"


@pytest.mark.parametrize(
    ("configured", "since", "changes", "line"),
    [
        (True, 1795246914.0, False, IN_USE),
        (
            *(True, 1795246914.0, True),
            f"{IN_USE}; a newer one waits for the next connection",
        ),
        (
            *(True, None, True),
            "  password  none in use; one (tor/password) waits for the next connection",
        ),
        (
            False,
            1795246914.0,
            True,
            f"{IN_USE}; the next connection has none",
        ),
        (True, None, False, "  password  set (tor/password)"),
        (False, None, False, ""),
    ],
)
def test_peer_says_which_password_is_in_use(
    configured: bool, since: float | None, changes: bool, line: str
) -> None:
    told = {"configured": configured, "inUseSince": since, "changes": changes}
    view = peer_view(
        "a", password={**told, "secret": "tor/password" if configured or since else ""}
    )
    lines = show_peer({"peer": view, "history": []}, UTC)
    assert [text for text in lines if "password" in text] == [
        line.replace("MOMENT", show_moment(1795246914.0, UTC))
    ] * bool(line)


def test_peer_says_which_keys_it_has_and_which_is_in_use() -> None:
    first = {"sendID": 1, "receiveID": 1, "algorithm": "hmac-sha-1-96", "secret": "tor/one"}
    second = {"sendID": 2, "receiveID": 3, "algorithm": "aes-128-cmac-96", "secret": "tor/two"}
    view = {"keys": [second, first], "signsBy": 1, "asksFor": 3, "bad": 2, "changes": True}
    [line] = told_of_keys(view)
    assert line == (
        "  TCP-AO   keys 2:3 (tor/two, aes-128-cmac-96), 1 (tor/one, hmac-sha-1-96); signs by 1,"
        " asks the peer for 3; the session still has other keys; 2 segments with a wrong signature"
        " dropped"
    )
    [line] = told_of_keys({**view, "keys": [], "signsBy": None, "bad": 0, "changes": False})
    assert line == "  TCP-AO   no keys any more"
    assert told_of_keys(None) == []


def told_of_keys(view: object) -> list[str]:
    lines = show_peer({"peer": peer_view("a", tcpAO=view), "history": []})
    return [text for text in lines if "TCP-AO" in text]


@pytest.mark.parametrize(("hops", "words"), [(0, ""), (1, "1 hop at"), (2, "2 hops at")])
def test_peer_says_how_far_away_it_may_be(hops: int, words: str) -> None:
    lines = show_peer({"peer": peer_view("a", ttlSecurity=hops), "history": []})
    told = [text for text in lines if "distance" in text]
    assert told == ([f"  distance  {words} the most (ttlSecurity)"] if words else [])


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


def test_routes_shows_path_identifiers_where_there_are_any(tmp_path: Path) -> None:
    routes = [{**BEST, "pathIDs": [1, 7]}, LOST]
    with serving(tmp_path, {"routes": lambda _: iter([{"routes": routes}])}):
        lines = wren("routes", "--run-dir", tmp_path).stdout.splitlines()
    assert [line[:25] for line in lines] == [
        "   PREFIX       PATH ID  ",
        "*  10.1.0.0/24  1,7      ",
        "   10.1.0.0/24  -        ",
    ]


def test_routes_with_all_adds_reasons_and_attributes(tmp_path: Path) -> None:
    with serving(tmp_path, {"routes": Routes()}):
        lines = wren("routes", "--all", "--run-dir", tmp_path).stdout.splitlines()
    assert lines[2:4] == ["     reason: best", "     via: 10.0.0.2 dev eth0"]
    assert lines[5:] == [
        "     reason: longer AS_PATH",
        "     via: 10.0.0.2 dev eth0",
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


RELAYED = route_view(
    "10.1.2.0/24 label 100 rd 65000:1",
    family="ipv4-vpn",
    interface="",
    via=[],
    kernel="",
    nlri="7000064100fde8000000010a0102",
    decoded={"nlri": "10.1.2.0/24", "label": [[100]], "rd": "65000:1"},
)


def test_routes_of_a_relayed_family_are_asked_for_by_any_of_its_names(tmp_path: Path) -> None:
    asked: list[str] = []

    def routes(args: dict[str, Any]) -> Any:
        asked.append(args["family"])
        return iter([{"routes": [RELAYED]}])

    with serving(tmp_path, {"routes": routes}):
        text = wren("routes", "--family", "vpnv4", "--run-dir", tmp_path).stdout.splitlines()
        done = wren("routes", "--family", "ipv4/vpn", "--run-dir", tmp_path, "-o", "json")
    assert asked == ["ipv4-vpn", "ipv4-vpn"]
    assert text[1].split("  ")[:3] == ["*", "10.1.2.0/24 label 100 rd 65000:1", "10.0.0.2"]
    assert json.loads(done.stdout) == {"routes": [RELAYED]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--family", "ipv5"), "'ipv5' is no address family; there are ipv4"),
        (("10.0.0.0/8", "--family", "evpn"), "it is looked for in ipv4 and ipv6 alone"),
    ],
)
def test_what_cannot_be_looked_for_is_wrong_usage(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = wren("routes", *words, "--run-dir", tmp_path)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


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


def test_refresh_shows_who_was_asked_and_fails_if_somebody_could_not_be(tmp_path: Path) -> None:
    answer = {"direction": "in", "asked": ["a ipv4 unicast"], "refused": ["b: not up"]}
    asked: list[dict[str, Any]] = []

    def refresh(args: dict[str, Any]) -> Any:
        asked.append(args)
        return answer

    with serving(tmp_path, {"refresh": refresh}):
        done = wren("refresh", "--run-dir", tmp_path)
        as_json = wren(
            "refresh", "a", "--out", "--family", "ipv4", "--run-dir", tmp_path, "-o", "json"
        )
    assert done.exit_code == as_json.exit_code == 1
    assert (done.stdout, done.stderr) == ("asked a ipv4 unicast\n", "wren: b: not up\n")
    assert json.loads(as_json.stdout) == answer
    assert asked == [
        {"name": None, "out": False, "family": None},
        {"name": "a", "out": True, "family": "ipv4"},
    ]


def test_disable_and_enable_name_the_peer(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def order(args: dict[str, Any]) -> Any:
        asked.append(args)
        return {"peer": "tor"}

    with serving(tmp_path, {"disable": order, "enable": order}):
        off = wren("disable", "10.0.0.9", "--reason", "why", "--run-dir", tmp_path)
        on = wren("enable", "tor", "--run-dir", tmp_path)
        as_json = wren("enable", "tor", "--run-dir", tmp_path, "-o", "json")
    assert (off.exit_code, off.stdout) == (0, "disabled tor\n")
    assert (on.exit_code, on.stdout) == (0, "enabled tor\n")
    assert json.loads(as_json.stdout) == {"peer": "tor"}
    assert asked == [{"name": "10.0.0.9", "reason": "why"}, {"name": "tor"}, {"name": "tor"}]


RESOURCES: dict[str, Any] = {
    "resources": [
        {
            "kind": "BGPPeer",
            "name": "tor",
            "place": "etc/tor.yaml:1",
            "conditions": [
                {
                    "type": "Accepted",
                    "status": "True",
                    "reason": "Accepted",
                    "message": "read from etc/tor.yaml:1",
                },
                {
                    "type": "Resolved",
                    "status": "False",
                    "reason": "UnknownFilter",
                    "message": "there is no BGPFilter [x]",
                },
                {
                    "type": "Established",
                    "status": "False",
                    "reason": "NotAllUp",
                    "message": "1/2: Node_10_0_0_2 is not up",
                },
            ],
            "warnings": ["etc/tor.yaml:7:3: deprecated"],
        },
        {"kind": "Node", "name": "r1", "place": "", "conditions": [], "warnings": []},
    ],
    "problems": ["etc/broken.yaml:1:1: not readable as YAML"],
    "unconfirmed": {"files": ["tor.yaml"], "deadline": 1795246914.0, "remaining": 95.2},
}


def resources(args: dict[str, Any]) -> Any:
    if not args["name"]:
        return RESOURCES
    return {"resources": RESOURCES["resources"][:1], "problems": [], "unconfirmed": None}


def test_status_shows_a_row_for_each_resource_and_what_is_amiss(tmp_path: Path) -> None:
    with serving(tmp_path, {"resources": resources}):
        done = wren("status", "--run-dir", tmp_path)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "KIND     NAME  ACCEPTED  RESOLVED  ESTABLISHED  DEGRADED  CONFLICTING",
        "BGPPeer  tor   yes       no        1/2          -         -",
        "Node     r1    -         -         -            -         -",
        "an edit of tor.yaml awaits 'wren confirm', and is rolled back in 00:01:35",
        "BGPPeer/tor: Resolved is False (UnknownFilter): there is no BGPFilter [x]",
        "refused: etc/broken.yaml:1:1: not readable as YAML",
    ]


def test_status_of_one_resource_has_all_sentences(tmp_path: Path) -> None:
    with serving(tmp_path, {"resources": resources}):
        done = wren("status", "bgpp", "tor", "--run-dir", tmp_path)
    assert done.stdout.splitlines() == [
        "BGPPeer tor",
        "  in  etc/tor.yaml:1",
        "  Accepted     True     Accepted: read from etc/tor.yaml:1",
        "  Resolved     False    UnknownFilter: there is no BGPFilter [x]",
        "  Established  False    NotAllUp: 1/2: Node_10_0_0_2 is not up",
        "  warning: etc/tor.yaml:7:3: deprecated",
    ]


def test_status_as_json_is_the_whole_answer(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def note(args: dict[str, Any]) -> Any:
        asked.append(args)
        return RESOURCES

    with serving(tmp_path, {"resources": note}):
        done = wren("status", "node", "-o", "json", "--run-dir", tmp_path)
    assert json.loads(done.stdout) == RESOURCES
    assert (asked[0]["kind"], asked[0]["name"]) == ("node", "")


CACHES = {
    "caches": [
        cache_view("lab", vrps={"ipv4": 412345, "ipv6": 98765}),
        cache_view(
            "far",
            address="rpki.example.net",
            port=323,
            state="down",
            sessionID=None,
            serial=None,
            lastError="Connection refused",
            expiresIn=None,
        ),
    ],
    "others": {"mine (by hand)": {"ipv4": 2}},
}
VALIDITY: ValidityView = {
    "prefix": "192.0.2.0/24",
    "origins": [
        {"asn": 64500, "validity": "Valid", "peers": ["tor"]},
        {"asn": None, "validity": "Invalid", "peers": ["a", "b"]},
    ],
    "vrps": [{"prefix": "192.0.2.0/23", "maxLength": 24, "asn": 64500, "sources": ["far", "lab"]}],
    "left": 0,
}


def test_rpki_lists_the_caches(tmp_path: Path) -> None:
    with serving(tmp_path, {"rpki": lambda args: CACHES}):
        done = wren("rpki", "--run-dir", tmp_path)
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "NAME ADDRESS PORT STATE VERSION SESSION SERIAL IPV4 IPV6 EXPIRES IN SINCE INFO",
        "lab 192.0.2.1 8282 up 1 7 12 412345 98765 01:59:00 1970-01-01 -",
        "far rpki.example.net 323 down 1 - - 0 0 - 1970-01-01 Connection refused",
        "mine (by hand): 2 VRPs of IPv4, 0 of IPv6",
    ]


def test_rpki_without_a_cache(tmp_path: Path) -> None:
    with serving(tmp_path, {"rpki": lambda args: {"caches": [], "others": {}}}):
        done = wren("rpki", "--run-dir", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no RPKICache is for this node\n"


def test_rpki_says_what_holds_for_a_prefix(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def note(args: dict[str, Any]) -> Any:
        asked.append(args)
        return VALIDITY

    with serving(tmp_path, {"validity": note}):
        done = wren("rpki", "192.0.2.0/24", "AS1.10", "--run-dir", tmp_path)
    assert asked == [{"prefix": "192.0.2.0/24", "asn": 65546}]
    assert done.stdout.splitlines() == [
        "192.0.2.0/24 from AS 64500: Valid, told by tor",
        "192.0.2.0/24 from an AS_SET: Invalid, told by a, b",
        "VRP           MAX LENGTH     AS  BY",
        "192.0.2.0/23          24  64500  far, lab",
    ]


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            {"origins": [], "vrps": []},
            [
                "no peer tells 192.0.2.0/24; name an AS to have it judged",
                "no VRP covers 192.0.2.0/24",
            ],
        ),
        ({"left": 3}, ["and 3 more"]),
    ],
)
def test_rpki_says_what_is_not_there(
    tmp_path: Path, found: dict[str, Any], lines: list[str]
) -> None:
    with serving(tmp_path, {"validity": lambda args: {**VALIDITY, **found}}):
        done = wren("rpki", "192.0.2.0/24", "--run-dir", tmp_path)
    assert done.stdout.splitlines()[-len(lines) :] == lines


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("192.0.2.1/24",), "has host bits set"),
        (("rpki",), "is no prefix"),
        (("192.0.2.0/24", "65536.1"), "AS"),
    ],
)
def test_rpki_refuses_nonsense(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = wren("rpki", *words, "--run-dir", tmp_path)
    assert done.exit_code == 2
    assert said in done.stderr


def test_rpki_as_json_is_the_whole_answer(tmp_path: Path) -> None:
    handlers = {"rpki": lambda args: CACHES, "validity": lambda args: VALIDITY}
    with serving(tmp_path, handlers):
        caches = wren("rpki", "-o", "json", "--run-dir", tmp_path)
        prefix = wren("rpki", "192.0.2.0/24", "-o", "json", "--run-dir", tmp_path)
    assert json.loads(caches.stdout) == CACHES
    assert json.loads(prefix.stdout) == VALIDITY


def test_each_step_of_a_drain_is_an_object_on_a_line_or_a_sentence(tmp_path: Path) -> None:
    steps = [{"step": "waiting", "seconds": 1.5}, {"step": "drained", "seconds": 0.0}]
    with serving(tmp_path, {"drain": lambda args: iter(steps)}):
        done = wren("drain", "-o", "json", "--run-dir", tmp_path)
        text = wren("drain", "--run-dir", tmp_path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == steps
    waiting, drained = text.stdout.splitlines()
    assert waiting.startswith("waiting for traffic to move: ")
    assert drained.startswith("drained: all sessions are down")
