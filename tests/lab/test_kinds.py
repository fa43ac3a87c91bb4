"""What the lab writes for each kind of daemon, word for word.

The golden files hold every file of a node and how it is started. What the daemons make of them is
shown beside them by tests that run them.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from signal import Signals

import pytest

from lab.errors import LabError
from lab.kinds import DAEMONS, Daemon, Place
from lab.topology import Kind
from lab.topology_file import loads
from speaker import load_resources, resolve
from speaker.config.keys import PolicyMode
from speaker.config.resources import NextHopMode
from tests.support.netns import needs_namespaces

GOLDEN = Path(__file__).parent / "golden"

TOPOLOGY = """
nodes:
  us: {%s}
  above: {kind: bird, asn: 65002}
  below: {kind: bird, asn: 65001}
links:
  - {us: [172.31.0.1/24, "fd31::1/64"], above: [172.31.0.2/24, "fd31::2/64"]}
  - {us: [172.31.1.1/24], below: [172.31.1.2/24]}
bgp:
  - {between: [us, above], passive: us, hold_time: 9}
  - {between: [us, below], next_hop_self: [us], client: %s, extra: %s}
"""


def unused(_: Sequence[str] | Signals) -> str:
    raise AssertionError("writing a configuration runs nothing and signals nobody")


def daemon(
    kind: Kind, home: Path, more: str = "", client: str = "below", extra: str = ""
) -> Daemon:
    ours = f'kind: {kind}, asn: 65001, networks: [10.1.0.0/24, "fd00:1::/64"]{more}'
    topology = loads(TOPOLOGY % (ours, client, json.dumps({"us": extra} if extra else {})))
    return DAEMONS[kind](Place(topology, topology.node("us"), home, unused, unused))  # type: ignore[arg-type]  # neither is ever called


def written(made: Daemon) -> str:
    """Show every file and command, without what differs from machine to machine."""
    parts = []
    for path in sorted(path for path in made.home.rglob("*") if path.is_file()):
        name = path.relative_to(made.home)
        parts.append(f"=== {name} {path.stat().st_mode & 0o777:o}\n{path.read_text()}")
    parts += [f"=== command\n{shlex.join(argv)}\n" for argv in made.commands()]
    parts += [f"=== {name}={value}\n" for name, value in made.environment().items()]
    text = "".join(parts)
    return text.replace(str(made.home), "HOME").replace(sys.executable, "PYTHON")


def with_its_needs(kind: Kind) -> object:
    # FRR's files must belong to FRR's user, and only root can give them away.
    marks = [pytest.mark.interop] + [needs_namespaces] * (kind is Kind.FRR)
    return pytest.param(kind, marks=marks)


@pytest.mark.parametrize("kind", [with_its_needs(kind) for kind in sorted(DAEMONS)])
def test_what_is_written_for_a_kind_is_what_it_was(kind: Kind, tmp_path: Path) -> None:
    extra = "" if kind is Kind.WREN else ", router_id: 192.0.2.1, extra: '# the end'"
    made = daemon(kind, tmp_path, extra, client="us" if kind is Kind.EXABGP else "below")

    made.configure()

    assert written(made) == (GOLDEN / f"{kind}.txt").read_text()


def test_what_is_written_for_wren_is_what_the_topology_says(tmp_path: Path) -> None:
    made = daemon(Kind.WREN, tmp_path)
    made.configure()

    plan = resolve(load_resources(tmp_path / "datastore"), "us")

    assert plan.mode is PolicyMode.PLAIN
    assert [
        (p.address, p.peer_asn, p.passive, p.rr_client, p.hold_time, p.next_hop_mode)
        for p in plan.peers.values()
    ] == [
        ("172.31.0.2", 65002, True, False, 9, NextHopMode.AUTO),
        ("172.31.1.2", 65001, False, True, 90, NextHopMode.SELF),
        ("fd31::2", 65002, True, False, 9, NextHopMode.AUTO),
    ]


EXTRA = {
    Kind.BIRD: ("enable as4 off;\nipv4 add paths rx;", "  enable as4 off;\n", "add paths rx; }"),
    Kind.FRR: (
        "local-role peer\nipv4 send-community all",
        "\n neighbor 172.31.1.2 local-role peer\n",
        "\n  neighbor 172.31.1.2 send-community all\n",
    ),
    Kind.GOBGP: (
        'description = "b"\nipv4 [neighbors.afi-safis.add-paths.config]\nipv4 receive = true',
        'peer-as = 65001\n    description = "b"\n',
        '"ipv4-unicast"\n    [neighbors.afi-safis.add-paths.config]\n    receive = true\n',
    ),
    Kind.OPENBGPD: ("announce as-4byte no", "\n  announce as-4byte no\n}\n", ""),
    Kind.EXABGP: ("description x;", "\n  description x;\n", ""),
}


@pytest.mark.parametrize("kind", [with_its_needs(kind) for kind in EXTRA])
def test_a_session_has_its_extra_lines_and_the_others_do_not(kind: Kind, tmp_path: Path) -> None:
    text, in_session, in_family = EXTRA[kind]
    made = daemon(kind, tmp_path, client="us" if kind is Kind.EXABGP else "below", extra=text)

    made.configure()

    assert written(made).count(in_session) == 1
    assert not in_family or written(made).count(in_family) == 1


def test_the_extra_lines_of_wren_are_its_own_keys_and_fields_of_the_peer(tmp_path: Path) -> None:
    made = daemon(Kind.WREN, tmp_path, extra="wren.bgp/fqdn: on\nmaxRestartTime: 9s\n")
    made.configure()

    plan = resolve(load_resources(tmp_path / "datastore"), "us")

    told = {p.address: (p.fqdn, p.restart_time) for p in plan.peers.values()}
    assert told == {
        "172.31.0.2": ("", 120),
        "172.31.1.2": ("us", 9),
        "fd31::2": ("", 120),
    }


def test_extra_lines_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    for text in ("local-role peer", "a: [", "- a"):
        with pytest.raises(LabError, match="the extra lines of a wren node are `key: value`"):
            daemon(Kind.WREN, tmp_path, extra=text).configure()


def test_wren_keeps_what_somebody_else_wrote_into_its_resources(tmp_path: Path) -> None:
    made = daemon(Kind.WREN, tmp_path)
    made.configure()
    path = tmp_path / "datastore" / "resources.json"
    edited = json.loads(path.read_text())
    edited["items"][-1]["spec"]["extensions"]["wren.bgp/role"] = "peer"
    path.write_text(json.dumps(edited))

    for network in ("10.1.0.0/24", "fd00:1::/64"):
        made.withdraw(ip_network(network))

    edited["items"][0]["metadata"]["annotations"].pop("wren.bgp/networks")
    assert json.loads(path.read_text()) == edited


def test_exabgp_cannot_reflect_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="us: exabgp passes no routes on"):
        daemon(Kind.EXABGP, tmp_path).configure()


def test_wren_with_a_datastore_announces_what_stands_there_alone(tmp_path: Path) -> None:
    topology = loads("nodes: {w: {kind: wren, datastore: /etc/wren}}")
    made = DAEMONS[Kind.WREN](Place(topology, topology.node("w"), tmp_path, unused, unused))  # type: ignore[arg-type]  # neither is ever called

    made.configure()

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LabError, match="w announces what its datastore says: edit /etc/wren"):
        made.announce(ip_network("10.0.0.0/8"))
    with pytest.raises(LabError, match="edit /etc/wren"):
        made.withdraw(ip_network("10.0.0.0/8"))


def test_what_wren_announces_at_run_time_stands_in_its_resources(tmp_path: Path) -> None:
    made = daemon(Kind.WREN, tmp_path)
    made.configure()

    made.announce(ip_network("10.77.0.0/16"))
    made.announce(ip_network("10.77.0.0/16"))
    made.withdraw(ip_network("10.1.0.0/24"))
    made.withdraw(ip_network("10.99.0.0/16"))

    items = json.loads((tmp_path / "datastore" / "resources.json").read_text())["items"]
    annotations = items[0]["metadata"]["annotations"]
    assert annotations["wren.bgp/networks"] == "fd00:1::/64,10.77.0.0/16"
