from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from lab.errors import TopologyError
from lab.topology import Family, Kind, Node, Peer, Peering
from lab.topology_file import dumps, load, loads

WHOLE = """\
name: whole
nodes:
  w1:
    kind: wren
    datastore: cluster
    nodename: node-one
    asn: 64512
    args: [--table, 7]
  w2:
    kind: wren
    asn: 4200000001
    router_id: 1.2.3.4
    addresses: [10.1.0.1/32, "fd00:1::1/128"]
    networks: [10.1.0.0/24]
    peers:
      - {address: 10.0.0.9, asn: 65009, local: 10.0.0.2, families: [ipv4, ipv6], passive: true}
      - {address: 10.0.0.8, asn: 65009, client: true, next_hop_self: true, hold_time: 0, extra: x}
  b:
    kind: bird
    asn: 65001
    extra: |
      protocol bfd { }
  h:
    kind: host
    gateways: [10.9.0.1]
links:
  - w1: [10.0.0.1/24, "fd00::1/64"]
    w2: [10.0.0.2/24, "fd00::2/64"]
segments:
  lan:
    w2: [10.9.0.1/24]
    b: [10.9.0.3/24]
    h: [10.9.0.2/24]
bgp:
  - [w1, w2]
  - between: [w2, b]
    families: [ipv4]
    passive: b
    client: b
    next_hop_self: [w2]
    hold_time: 0
    extra: {b: "enable as4 off;", w2: "wren.bgp/role: peer"}
"""


EXTRA = (("b", "enable as4 off;"), ("w2", "wren.bgp/role: peer"))


def test_every_word_of_the_format_is_read() -> None:
    topology = loads(WHOLE, base=Path("/labs"))

    assert topology.node("w1") == Node(
        "w1",
        Kind.WREN,
        asn=64512,
        datastore=Path("/labs/cluster"),
        nodename="node-one",
        args=("--table", "7"),
    )
    assert topology.node("w2").networks == (ip_network("10.1.0.0/24"),)
    assert topology.node("w2").peers == (
        Peer(
            ip_address("10.0.0.9"),
            65009,
            ip_address("10.0.0.2"),
            (Family.IPV4, Family.IPV6),
            passive=True,
        ),
        Peer(
            ip_address("10.0.0.8"), 65009, client=True, next_hop_self=True, hold_time=0, extra="x"
        ),
    )
    assert topology.node("b").extra == "protocol bfd { }\n"
    assert topology.node("h").gateways == (ip_address("10.9.0.1"),)
    assert [link.name for link in topology.links] == ["", "lan"]
    assert topology.links[0].ends[1].addresses == (
        ip_interface("10.0.0.2/24"),
        ip_interface("fd00::2/64"),
    )
    assert topology.peerings == (
        Peering(("w1", "w2")),
        Peering(("w2", "b"), (Family.IPV4,), "b", "b", ("w2",), 0, EXTRA),
    )


def test_what_is_written_is_read_as_the_same() -> None:
    topology = loads(WHOLE, base=Path("/labs"))

    assert loads(dumps(topology), base=Path("/elsewhere")) == topology


def test_a_lab_without_a_name_has_its_files_or_its_directorys(tmp_path: Path) -> None:
    text = "nodes: {h: {kind: host}}"
    (tmp_path / "rack.yaml").write_text(text)
    (tmp_path / "twins").mkdir()
    (tmp_path / "twins" / "topology.yaml").write_text(text)

    assert load(tmp_path / "rack.yaml").name == "rack"
    assert load(tmp_path / "twins" / "topology.yaml").name == "twins"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: nodes is missing"),
        ("nodes: [", "f:1: not YAML: expected the node content"),
        ("- a", "f:1: expected a mapping"),
        ("name: x\nnodes:\n  h: {kind: host}\nlink: []", "f:4: link: unknown key; did you mean"),
        ("nodes:\n  r: {kind: brid, asn: 1}", "f:2: nodes.r.kind: 'brid' is not a kind; kinds: "),
        ("nodes:\n  r:\n    asn: 1", "f:2: nodes.r: kind is missing"),
        ("nodes:\n  r:\n    kind: bird\n    asn: x", "f:4: nodes.r.asn: 'x' is not a whole number"),
        ("nodes:\n  r:\n    kind: bird\n    asn: 0", "f:4: nodes.r.asn: AS 0 is not within"),
        ("nodes:\n  h: {kind: host}\n  h: {kind: host}", "f:3: nodes.h: written twice"),
        (
            "nodes:\n  h:\n    kind: host\n    addresses:\n    - 10.0.0.1/32\n    - 10.0.0.300/32",
            "f:6: nodes.h.addresses[1]: '10.0.0.300/32' is not an address with prefix length",
        ),
        (
            "nodes:\n  h:\n    kind: bird\n    asn: 1\n    networks: [10.0.0.1/24]",
            "f:5: nodes.h.networks[0]: '10.0.0.1/24' is not a prefix: 10.0.0.1/24 has host bits",
        ),
        ("nodes: {h: {kind: host}}\nlinks:\n  - {h: []}", "f:3: links[0]: a link has two ends"),
        ("nodes: {h: {kind: host}}\nlinks:\n  - h", "f:3: links[0]: expected node names"),
        ("nodes: {h: {kind: host}}\nbgp:\n  - [h]", "f:3: bgp[0]: expected the names of two nodes"),
        (
            "nodes: {h: {kind: host}}\nbgp:\n  - {between: [h, h], extra: x}",
            "f:3: bgp[0].extra: expected node names, each with its lines",
        ),
        ("nodes: {h: {kind: host}}\nbgp:\n  - [h, i]", "f:3: bgp[0]: h is a host"),
        (
            "nodes: {b: {kind: bird, asn: 1, peers: [\n{address: 10.0.0.1, asn: 1, passive: 1}]}}",
            "f:2: nodes.b.peers[0].passive: 1 is not true or false",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(TopologyError) as caught:
        loads(text, source="f")

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"/none\.yaml: No such file or directory"):
        load(tmp_path / "none.yaml")
