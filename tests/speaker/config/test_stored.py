"""Resources as they are kept."""

from __future__ import annotations

import pytest

from speaker.config.documents import Document, parse_documents
from speaker.config.kinds import Kind
from speaker.config.stored import Stored, source_of, stored


def kept(text: str) -> Stored | None:
    (document,) = parse_documents(text, "f.yaml")
    assert isinstance(document, Document)
    return stored(document)


def test_a_document_is_known_by_kind_and_name_whether_valid_or_not() -> None:
    found = kept("{kind: bgpp, metadata: {name: tor}, spec: {nonsense: 1}}")
    assert found is not None
    assert (found.key, str(found)) == ((Kind.BGP_PEER, "tor"), "BGPPeer(tor)")
    assert found.tree == {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": {"name": "tor"},
        "spec": {"nonsense": 1},
    }


@pytest.mark.parametrize("text", ["kind: Deployment", "{kind: Node}", "just text", "[1]"])
def test_what_names_no_resource_is_none(text: str) -> None:
    assert kept(text) is None


def test_numbers_and_texts_are_kept_in_one_form() -> None:
    found = kept(
        "{apiVersion: crd.projectcalico.org/v1, kind: Node, metadata: {name: a, labels: {rack: 1, "
        "rr: yes}}, spec: {bgp: {asNumber: '1.10', ipv4Address: 10.0.0.1}, wireguard: null}}"
    )
    assert found is not None
    assert found.tree["metadata"]["labels"] == {"rack": "1", "rr": "true"}
    assert found.tree["spec"]["bgp"]["asNumber"] == 65546


def test_as_numbers_in_filters_too() -> None:
    found = kept(
        "{kind: bgpfilter, metadata: {name: f}, spec: {exportV4: [{asPathPrefix: ['0.7'], "
        "operations: [{prependASPath: {prefix: ['1.0', 2]}}]}]}}"
    )
    assert found is not None
    (rule,) = found.tree["spec"]["exportV4"]
    assert rule["asPathPrefix"] == [7]
    assert rule["operations"][0]["prependASPath"]["prefix"] == [65536, 2]


def test_a_document_of_v1_has_its_v3_name() -> None:
    found = kept(
        "{apiVersion: v1, kind: bgpPeer, metadata: {scope: node, node: Node1, "
        "peerIP: 'aa:bb::ff'}, spec: {asNumber: 64514}}"
    )
    assert found is not None
    assert found.name == "node1.00aa-00bb-0000-0000-0000-0000-0000-00ff"
    assert found.tree["spec"] == {"asNumber": 64514, "peerIP": "aa:bb::ff", "node": "node1"}


def test_the_version_follows_the_content_and_nothing_else() -> None:
    one = kept("{kind: Node, metadata: {name: a}, spec: {bgp: {ipv4Address: 10.0.0.1}}}")
    same = kept(
        "kind: node   # as a comment\nspec:\n  bgp: {ipv4Address: 10.0.0.1}\n"
        "metadata: {name: a, resourceVersion: '7'}\n"
    )
    other = kept("{kind: Node, metadata: {name: a}, spec: {bgp: {ipv4Address: 10.0.0.2}}}")
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.version == same.version != other.version
    assert one.version.isdecimal()


PLAIN = "# of rack 1\nkind: Node   # ours\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (PLAIN, PLAIN),
        (f"# apart\n\n{PLAIN}\n# after\n", PLAIN),
        (f"---\n{PLAIN}...\n", PLAIN),
        (" kind: Node\n metadata: {name: a}\n", ""),
        ("{kind: Node, metadata: {name: a}}", ""),
        ("- kind: Node\n  metadata: {name: a}\n", ""),
        ("%TAG !x! tag:yaml.org,2002:\n---\nkind: !x!str Node\nmetadata: {name: a}\n", ""),
    ],
)
def test_the_source_of_a_document_is_what_can_stand_alone(text: str, source: str) -> None:
    documents = [item for item in parse_documents(text, "f") if isinstance(item, Document)]
    assert [source_of(document, text) for document in documents] == [source] * len(documents)
    assert documents or "%TAG" in text
