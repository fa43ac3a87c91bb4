"""A lab that runs: what a node's handle does, and what faults leave alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from lab import Family, Lab, LabError, faults, load, loads
from lab.probes import StillNot, holds_for, ping, wait_until
from tests.support.labs import lab_of
from tests.support.netns import needs_namespaces

pytestmark = [pytest.mark.netns, needs_namespaces]

ROOT = Path(__file__).parents[2]

PAIR = """
nodes:
  a: {kind: %s, asn: 65001, networks: [10.1.0.0/24], %s}
  b: {kind: bird, asn: 65002, networks: [10.2.0.0/24]}
links:
  - {a: [172.31.0.1/24], b: [172.31.0.2/24]}
bgp:
  - {between: [a, b], hold_time: 3}
"""


def has(lab: Lab, node: str, prefix: str) -> None:
    wait_until(
        lambda: prefix in lab.node(node).routes(),
        f"{node} has {prefix}",
        nodes=list(lab.nodes.values()),
    )


@pytest.mark.interop
def test_every_kind_around_wren_hears_every_other() -> None:
    example = load(ROOT / "examples" / "interop" / "topology.yaml")
    with Lab(replace(example, name=f"interop{os.getpid()}")) as lab:
        lab.wait_established()
        for family in Family:
            networks = {str(n) for node in example.nodes for n in node.networks if _is(n, family)}
            assert len(networks) == len(lab.nodes)
            for node in lab.nodes.values():
                own = {str(n) for n in node.node.networks}
                told = node.node.kind == "exabgp"  # tells what it hears, not what it announces
                wanted = networks - own if told else networks
                wait_until(
                    lambda: wanted <= set(node.routes(family)),  # noqa: B023 - awaited here
                    f"{node.name} has all {family} networks",
                    nodes=[node],
                )
        assert ping(lab.node("bird"), "10.0.2.1", source="10.0.1.1"), "from BIRD to FRR by Wren"


def _is(network: object, family: Family) -> bool:
    return getattr(network, "version", 0) == family.version


@pytest.mark.interop
def test_a_daemon_that_dropped_the_first_request_to_end_is_asked_again() -> None:
    with lab_of(PAIR % ("exabgp", "")) as lab:
        node = lab.node("a")
        lab.wait_established()
        node.signal(signal.SIGUSR1)  # ExaBGP ignores a signal while it handles this one
        node.stop()
        assert not node.programs()


def test_a_daemon_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.lab._END", 0.2)
    with lab_of(PAIR.replace("bird", "wren") % ("wren", "")) as lab:
        node = lab.node("a")
        node.signal(signal.SIGSTOP)
        with pytest.raises(LabError, match=r"a does not end within 0\.2 s: kill it"):
            node.stop()
        node.kill()
        node.start()


@pytest.mark.interop
@pytest.mark.parametrize("kind", ["wren", "bird", "frr", "gobgp", "openbgpd", "exabgp"])
def test_what_was_announced_at_run_time_outlives_a_restart(kind: str) -> None:
    with lab_of(PAIR % (kind, "")) as lab:
        node = lab.node("a")
        node.announce(ip_network("10.77.0.0/16"))
        node.withdraw(ip_network("10.1.0.0/24"))
        has(lab, "b", "10.77.0.0/16")

        node.stop()
        lab.node("b").kill()  # it might keep what it had from before
        node.start()
        lab.node("b").start()

        has(lab, "b", "10.77.0.0/16")
        assert "10.1.0.0/24" not in lab.node("b").routes()


@pytest.mark.interop
@pytest.mark.parametrize("kind", ["openbgpd", "exabgp"])
def test_a_fault_reaches_a_daemons_children_and_nobody_else(kind: str) -> None:
    with lab_of(PAIR % (kind, "")) as lab:
        node, other = lab.node("a"), lab.node("b")
        lab.wait_established()
        with subprocess.Popen(node.inside(["sleep", "60"])) as bystander:
            with faults.frozen(node):
                wait_until(lambda: not other.is_up_with(), "the hold timer expires")
            lab.wait_established()
            node.kill()
            assert node.programs() == []
            assert node.sessions() == {}
            assert node.routes() == {}
            assert bystander.poll() is None
            bystander.kill()


@pytest.mark.interop
def test_a_link_that_comes_back_has_its_addresses_and_default_route() -> None:
    text = """
nodes:
  h: {kind: host, gateways: [10.9.0.1, "fd09::1"]}
  r: {kind: host, addresses: [10.5.0.1/32, "fd05::1/128"]}
links:
  - {h: [10.9.0.2/24, "fd09::2/64"], r: [10.9.0.1/24, "fd09::1/64"]}
"""
    with lab_of(text) as lab:
        host = lab.node("h")
        for address in ("10.5.0.1", "fd05::1"):
            wait_until(lambda: ping(host, address), f"{address} answers")  # noqa: B023 - awaited here
            with faults.link_down(host):
                assert not ping(host, address)
            wait_until(lambda: ping(host, address), f"{address} answers")  # noqa: B023 - awaited here


@pytest.mark.interop
def test_a_daemon_that_ends_at_once_is_told_in_its_own_words() -> None:
    with (
        pytest.raises(LabError, match=r"^a ended at once: .*syntax error") as caught,
        lab_of(PAIR % ("bird", "extra: nonsense")),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.interop
def test_a_node_is_not_started_twice_but_again_after_a_crash() -> None:
    with lab_of(PAIR % ("bird", "")) as lab:
        node = lab.node("a")
        with pytest.raises(LabError, match="a runs already"):
            node.start()

        (program,) = node.programs()
        os.kill(program.pid, signal.SIGKILL)
        wait_until(lambda: not node.programs(), "the kernel has ended it")
        node.start()

        lab.wait_established()
        assert node.programs() != [program]


@pytest.mark.interop
def test_another_process_takes_a_lab_up_by_its_name() -> None:
    with lab_of(PAIR % ("bird", "")) as lab:
        script = f"""
from ipaddress import ip_network
from lab import Lab
found = Lab.find({lab.topology.name!r})
found.wait_established()
found.node("a").announce(ip_network("10.77.0.0/16"))
found.node("b").kill()
found.node("b").start()
"""
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)

        lab.wait_established()
        has(lab, "b", "10.77.0.0/16")


def test_resources_of_its_own_are_a_wrens_word(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    items = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Node",
            "metadata": {"name": name},
            "spec": {"bgp": {"ipv4Address": f"172.16.0.{number}/24", "asNumber": 64512}},
        }
        for number, name in enumerate(("one", "two"), 1)
    ]
    (cluster / "nodes.json").write_text(json.dumps({"kind": "List", "items": items}))
    text = """
nodes:
  one: {kind: wren, datastore: cluster}
  other: {kind: wren, datastore: cluster, nodename: two, args: [--no-kernel]}
links:
  - {one: [172.16.0.1/24], other: [172.16.0.2/24]}
"""
    with lab_of(text, tmp_path) as lab:
        assert list(lab.node("other").sessions()) == ["172.16.0.1"]
        assert list(lab.node("one").sessions()) == ["172.16.0.2"]

    with (
        pytest.raises(LabError, match=r"^other ended at once: .*three"),
        lab_of(text.replace("two", "three"), tmp_path),
    ):
        pass


def test_what_does_not_come_true_is_told_with_the_logs_beside() -> None:
    with lab_of(PAIR.replace("bird", "wren") % ("wren", "")) as lab:
        with pytest.raises(StillNot, match=r"(?s)still not after 0 s: pigs fly\n--- a\n.*\n--- b"):
            wait_until(lambda: False, "pigs fly", seconds=0.2, nodes=list(lab.nodes.values()))
        assert not holds_for(0.2, lambda: False)


def test_a_host_is_no_speaker() -> None:
    with lab_of("nodes: {h: {kind: host}}") as lab:
        host = lab.node("h")
        host.start()
        host.stop()
        assert host.programs() == []
        with pytest.raises(LabError, match="h is a host and speaks no BGP"):
            host.routes()


def test_a_lab_goes_down_twice_and_up_again() -> None:
    lab = Lab(loads("nodes: {h: {kind: host}}", name=f"twice{os.getpid()}"))
    for _ in range(2):
        lab.up()
        lab.down()
        lab.down()
        assert lab.nodes == {}
