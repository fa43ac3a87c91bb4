"""The commands of Calico's own documents, typed as they type them, with ``wren`` for ``calicoctl``.

From the page on bgpPeer of Calico 2.x to the pages on BGPPeer of the Enterprise edition 2.3 and of
3.28, and the page on configuring BGP peers. What needs running routers is in
`tests/netns/test_calico_documents.py`.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from speaker.datastore.directory import load_resources
from tests.support.shells import Shell


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    path = tmp_path / "etc"
    path.mkdir()
    return path


@pytest.fixture
def shell(tmp_path: Path, etc: Path) -> Shell:
    return Shell(tmp_path / "home", WREN_DATASTORE=str(etc))


def stripped(text: str) -> str:
    """Give the text as documents print it, without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def test_bgppeer_of_calico_2(shell: Shell, etc: Path) -> None:
    shell.type(
        dedent("""\
        cat << EOF | wren create -f -
        apiVersion: v1
        kind: bgppeer
        metadata:
          scope: node
          node: rack1-host1
          peerIP: 192.168.1.1
        spec:
          asNumber: 63400
        EOF
        """)
    )
    assert stripped(shell.type("wren get bgppeer --node=rack1-host1")) == (
        "SCOPE   PEERIP        NODE          ASN\nnode    192.168.1.1   rack1-host1   63400\n"
    )
    (peer,) = load_resources(etc).peers.values()
    assert (peer.spec.node, peer.spec.as_number) == ("rack1-host1", 63400)


@pytest.mark.parametrize(
    ("scope", "number", "words"),
    [
        ("{peerIP: 192.168.1.1, node: a}", "1", "scope is global or node"),
        ("{peerIP: 192.168.1.1, scope: rack}", "1", "scope is global or node"),
        ("{peerIP: 192.168.1.1, scope: node}", "1", "scope node needs a node"),
        ("{peerIP: 192.168.1.1, scope: global, node: a}", "1", "scope global has no node"),
        ("{peerIP: nowhere, scope: global}", "1", "is no peer address"),
        ("{scope: global}", "1", "peerIP is required"),
        ("{peerIP: 192.168.1.1, scope: global}", "1.1.1", "is no AS number"),
    ],
)
def test_the_requirements_of_bgppeer_of_calico_2(
    shell: Shell, etc: Path, scope: str, number: str, words: str
) -> None:
    given = f"metadata: {scope}, spec: {{asNumber: '{number}'}}"
    document = f"{{apiVersion: v1, kind: bgpPeer, {given}}}"
    said = shell.run(f"wren create -f - <<'EOF'\n{document}\nEOF\n")
    assert (said.code, said.out) == (1, "")
    assert words in said.err
    assert list(etc.iterdir()) == []


def test_an_as_number_may_be_in_dotted_notation(shell: Shell) -> None:
    shell.type(
        "wren create -f - <<'EOF'\n{apiVersion: v1, kind: bgpPeer, metadata: {scope: global, "
        "peerIP: 192.168.1.1}, spec: {asNumber: '1.10'}}\nEOF\n"
    )
    assert "65546" in shell.type("wren get bgpPeer")


SAMPLE = """\
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata:
  name: some.name
spec:
  node: rack1-host1
  peerIP: 192.168.1.1
  asNumber: 63400
"""


@pytest.mark.parametrize("alias", ["bgppeer", "bgppeers", "bgpp", "bgpps", "bp", "bps", "BGPPeers"])
def test_the_sample_of_bgppeer(shell: Shell, alias: str) -> None:
    shell.type(f"wren apply -f - <<EOF\n{SAMPLE}EOF\n")
    assert stripped(shell.type(f"wren get {alias}")) == (
        "NAME        PEERIP        NODE          ASN\n"
        "some.name   192.168.1.1   rack1-host1   63400\n"
    )
    assert shell.type(f"wren get {alias} some.name -o yaml --export") == (
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: some.name\nspec:\n"
        "  asNumber: 63400\n  node: rack1-host1\n  peerIP: 192.168.1.1\n"
    )
    shell.type(f"wren delete {alias} some.name")


FIELDS = {
    "2.3": """\
        extensions: {key: value}
        password: {secretKeyRef: {name: bgp-secrets, key: rr-password}}
        sourceAddress: UseNodeIP
        failureDetectionMode: BFDIfDirectlyConnected
        restartMode: LongLivedGracefulRestart
        maxRestartTime: 1h
        birdGatewayMode: DirectIfDirectlyConnected
        """,
    "3.28": """\
        keepOriginalNextHop: true
        password: {secretKeyRef: {name: bgp-secrets, key: rr-password}}
        sourceAddress: None
        maxRestartTime: 120s
        numAllowedLocalASNumbers: 1
        ttlSecurity: 255
        reachableBy: 192.168.1.254
        """,
}


@pytest.mark.parametrize("edition", FIELDS)
def test_every_field_of_the_table_is_taken(shell: Shell, etc: Path, edition: str) -> None:
    fields = dedent(FIELDS[edition]).replace("\n", "\n  ").rstrip()
    said = shell.run(f"wren apply -f - <<EOF\n{SAMPLE}  {fields}\nEOF\n")
    assert said.code == 0, said.err
    shown = shell.type("wren get bgppeer some.name -o yaml")
    for line in fields.splitlines():
        assert line.split(":")[0].strip() in shown
    assert list(load_resources(etc).peers) == ["some.name"]


def test_filters_of_the_table_must_exist(shell: Shell) -> None:
    names = '"my-calico-bgp-filter1","my-calico-bgp-filter2"'
    said = shell.run(f"wren apply -f - <<'EOF'\n{SAMPLE}  filters: [ {names} ]\nEOF\n")
    assert said.code == 1
    assert "BGPFilter(s) not found: my-calico-bgp-filter1, my-calico-bgp-filter2" in said.err


SELECTOR = "! has(my-label) || my-label starts with 'prod' && role in {'frontend','business'}"


@pytest.mark.parametrize(
    ("labels", "matches"),
    [
        ("", True),
        ("role=other", True),
        ("my-label=production,role=frontend", True),
        ("my-label=prod,role=business", True),
        ("my-label=production,role=other", False),
        ("my-label=production", False),
        ("my-label=test,role=frontend", False),
    ],
)
def test_the_example_of_selectors(shell: Shell, labels: str, matches: bool) -> None:
    said = shell.type(f'wren selector "{SELECTOR}" --labels "{labels}"')
    assert said == ("true\n" if matches else "false\n")


def test_the_default_as_number(shell: Shell) -> None:
    assert shell.type("wren config get asNumber") == "64512\n"
    assert shell.type("wren config set asNumber 64513") == ""
    assert shell.type("wren config get asNumber") == "64513\n"


def test_the_as_number_of_a_node(shell: Shell, etc: Path) -> None:
    (etc / "node.yaml").write_text(
        "- apiVersion: v1\n  kind: node\n  metadata:\n    name: kube-node1\n  spec:\n    bgp:\n"
        "      ipv4Address: 172.31.3.11/32\n"
    )
    shown = shell.type("wren get node kube-node1 -o yaml")
    assert "  bgp:\n    ipv4Address: 172.31.3.11/32\n" in shown
    shell.type(
        dedent("""\
        wren apply -f - <<EOF
        - apiVersion: v1
          kind: node
          metadata:
            name: kube-node1
          spec:
            bgp:
              asNumber: 65011
              ipv4Address: 172.31.3.11/32
        EOF
        """)
    )
    assert stripped(shell.type("wren get node -o wide")) == (
        "NAME         ASN     IPV4             IPV6\nkube-node1   65011   172.31.3.11/32\n"
    )
    assert [file.name for file in etc.iterdir()] == ["node.yaml"]


def test_the_mesh_is_turned_off_and_on(shell: Shell, etc: Path) -> None:
    assert shell.type("wren config get nodeToNodeMesh") == "on\n"
    shell.type("wren config set nodeToNodeMesh off")
    assert shell.type("wren config get nodeToNodeMesh") == "off\n"
    assert load_resources(etc).configurations["default"].spec.node_to_node_mesh_enabled is False
    shell.type("wren config set nodeToNodeMesh on")
    assert shell.type("wren config get nodeToNodeMesh") == "on\n"


def test_a_global_peer(shell: Shell, etc: Path) -> None:
    created = shell.type(
        dedent("""\
        cat << EOF | wren create -f -
        apiVersion: v1
        kind: bgpPeer
        metadata:
          peerIP: 192.20.30.40
          scope: global
        spec:
          asNumber: 64567
        EOF
        """)
    )
    assert created == "Successfully created 1 'BGPPeer' resource(s)\n"
    assert stripped(shell.type("wren get bgpPeer --scope=global")) == (
        "SCOPE    PEERIP         NODE   ASN\nglobal   192.20.30.40          64567\n"
    )
    assert shell.type("wren delete bgpPeer 192.20.30.40 --scope=global") == (
        "Successfully deleted 1 'BGPPeer' resource(s)\n"
    )
    assert list(etc.iterdir()) == []


def test_a_node_specific_peer(shell: Shell, etc: Path) -> None:
    shell.type(
        dedent("""\
        cat << EOF | wren create -f -
        apiVersion: v1
        kind: bgpPeer
        metadata:
          peerIP: aa:bb::ff
          scope: node
          node: node1
        spec:
          asNumber: 64514
        EOF
        """)
    )
    assert stripped(shell.type("wren get bgpPeer --node=node1")) == (
        "SCOPE   PEERIP      NODE    ASN\nnode    aa:bb::ff   node1   64514\n"
    )
    assert stripped(shell.type("wren get bgpPeer --node=node2")) == (
        "SCOPE   PEERIP   NODE   ASN\n"
    )
    shell.type("wren delete bgpPeer aa:bb::ff --scope=node --node=node1")
    assert list(etc.iterdir()) == []
