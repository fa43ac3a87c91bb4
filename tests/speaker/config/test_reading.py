"""What is said about documents; which ones are valid stands in `test_contract`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.config.filter_resources import BGPFilterSpec
from speaker.config.kinds import Kind
from speaker.config.models import fields_of
from speaker.config.reading import read_file, validate
from speaker.config.report import Report
from speaker.config.resources import (
    BGPConfigurationSpec,
    BGPPeer,
    BGPPeerSpec,
    IPPoolSpec,
    Node,
    SecretResource,
)
from tests.support.resources import document, peer, read


def check(item: Any) -> Report:
    (report,) = read_file(json.dumps(item), "f.json")
    return report


def broken(report: Report) -> set[tuple[str, str]]:
    return {(problem.field, problem.rule) for problem in report.problems}


ANY = {"peerIP": "10.0.0.1", "asNumber": 64512}

INVALID_KEYS: list[tuple[dict[str, Any], str, str]] = [
    (
        {**ANY, "extensions": {"wren.bgp/pasive": "on"}},
        "spec.extensions['wren.bgp/pasive']",
        "unknown-key",
    ),
    (
        {**ANY, "extensions": {"wren.bgp/policy": "plain"}},
        "spec.extensions['wren.bgp/policy']",
        "unknown-key",
    ),
    *(
        (
            {**ANY, "extensions": {f"wren.bgp/{key}": value}},
            f"spec.extensions['wren.bgp/{key}']",
            "key-value",
        )
        for key, value in [
            ("passive", "maybe"),
            ("families", "ipv5"),
            ("families", ""),
            ("holdTime", "2"),
            ("holdTime", "65536"),
            ("holdTime", "10s"),
            ("connectRetry", "0"),
            ("connectRetry", "-1"),
            ("idleHold", "5"),
            ("idleHold", "30,5"),
            ("routeReflectorClient", "yes please"),
            ("addPath", "sometimes"),
            ("addPath", "receive 2"),
            ("addPath", "send 0"),
            ("addPath", "both two"),
            ("gracefulRestart", ""),
            ("interface", ""),
            ("interface", "eth0%"),
            ("interface", "a" * 16),
            ("interface", ".."),
        ]
    ),
    ({**ANY, "peerIP": "fe80::2"}, "spec.peerIP", "link-local"),
    ({**ANY, "peerIP": "[febf::2]:1790"}, "spec.peerIP", "link-local"),
    ({**ANY, "peerIP": "fe80::2%eth0"}, "spec.peerIP", "peer-ip"),
    *(
        (
            {**target, "extensions": {"wren.bgp/interface": "eth0"}},
            "spec.extensions['wren.bgp/interface']",
            "link-local",
        )
        for target in (ANY, {"peerIP": "fec0::1", "asNumber": 5}, {"peerSelector": "all()"})
    ),
    (
        {"peerSelector": "all()", "extensions": {"wren.bgp/passive": "on"}},
        "spec.extensions['wren.bgp/passive']",
        "exclusive",
    ),
]


@pytest.mark.parametrize(("spec", "field", "rule"), INVALID_KEYS, ids=str)
def test_an_invalid_key_of_a_peer(spec: dict[str, Any], field: str, rule: str) -> None:
    report = check(peer("p", **spec))
    assert (field, rule) in broken(report)
    assert report.resource is None


def test_all_problems_of_a_document_are_told_at_once_with_their_places() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: BGPPeer
        metadata:
          name: Bad
        spec:
          peerIP: 10.0.0.300
          asNumber: 1.10
          node: a
          nodeSelector: has(
          ttlSecurity: 999
        """)
    assert [(problem.line, problem.column, problem.field) for problem in report.problems] == [
        (4, 3, "metadata.name"),
        (6, 3, "spec.peerIP"),
        (7, 3, "spec.asNumber"),
        (9, 3, "spec.nodeSelector"),
        (9, 3, "spec.nodeSelector"),
        (10, 3, "spec.ttlSecurity"),
    ]


@pytest.mark.parametrize(
    ("tree", "field", "rule", "words"),
    [
        ({"kind": "BGPPeers2"}, "kind", "unknown-kind", "did you mean BGPPeer?"),
        ({"kind": "Deployment"}, "kind", "unknown-kind", "known:"),
        ({"spec": {}}, "kind", "required", "kind"),
        ({"kind": 5}, "kind", "required", "kind"),
        ([1], "", "type", "mapping"),
        ({"kind": "Node", "metadata": {"name": "n"}}, "apiVersion", "required", "apiVersion"),
        ({"kind": "Node", "apiVersion": "apps/v1"}, "apiVersion", "api-version", "v3"),
        ({"kind": "Node", "apiVersion": "v1", "metadata": {}}, "apiVersion", "api-version", "v3"),
        ({"kind": "IPPool", "apiVersion": "x", "spec": 5}, "spec", "type", ""),
    ],
)
def test_an_envelope_that_is_wrong(tree: Any, field: str, rule: str, words: str) -> None:
    (report,) = read_file(json.dumps([tree]), "f.json")
    (found,) = [
        problem for problem in report.problems if (problem.field, problem.rule) == (field, rule)
    ]
    assert words in found.message


@pytest.mark.parametrize("word", ["bgpPeer", "BGPPEERS", "bp", "bgpp", "BGPPeer"])
def test_a_kind_may_be_written_in_many_ways(word: str) -> None:
    item = peer("p", **ANY)
    report = check({**item, "kind": word})
    assert report.valid
    assert report.kind == Kind.BGP_PEER


def test_an_unknown_field_comes_with_a_suggestion() -> None:
    (problem,) = check(peer("p", **ANY, sourceAdress="None")).problems
    assert problem.message == "sourceAdress is no field here; did you mean sourceAddress?"


def test_an_unknown_field_deep_inside_comes_with_a_suggestion() -> None:
    item = document("BGPFilter", "f", {"exportV4": [{"action": "Accept", "peertype": "eBGP"}]})
    (problem,) = check(item).problems
    assert problem.field == "spec.exportV4[0].peertype"
    assert problem.message.endswith("did you mean peerType?")


def test_label_values_become_text() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: Node
        metadata:
          name: n
          labels: {rr: yes, rack: 1, version: 1.10, empty: , quoted: 'yes'}
        """)
    assert isinstance(report.resource, Node)
    assert report.resource.metadata.labels == {
        "rr": "true",
        "rack": "1",
        "version": "1.1",
        "empty": "",
        "quoted": "yes",
    }


def test_a_secret_hides_its_values() -> None:
    (report,) = read("""\
        apiVersion: v1
        kind: Secret
        metadata: {name: s, namespace: kube-system}
        type: Opaque
        data: {a: aHVzaA==}
        stringData: {b: hush}
        """)
    assert isinstance(report.resource, SecretResource)
    for key in ("a", "b"):
        found = report.resource.get(key)
        assert found is not None
        assert found.reveal() == b"hush"
    assert report.resource.get("c") is None
    assert "hush" not in repr(report)


def test_a_bad_secret_does_not_show_its_value() -> None:
    (report,) = read("""\
        apiVersion: v1
        kind: Secret
        metadata: {name: s}
        data: {a: "not base64: hush"}
        stringData: {b: [hush]}
        """)
    assert {problem.field for problem in report.problems} == {"data.a", "stringData.b"}
    assert "hush" not in str([str(problem) for problem in report.problems])


LEGACY = """\
    apiVersion: v1
    kind: bgpPeer
    metadata: {scope: %s, node: %s, peerIP: "%s"}
    spec: {asNumber: %s}
    """


def test_a_global_peer_of_calico_2_is_converted() -> None:
    (report,) = read(LEGACY % ("global", "", "192.20.30.40", "64567"))
    assert isinstance(report.resource, BGPPeer)
    assert report.resource.name == "192-20-30-40"
    assert report.resource.spec.node is None
    assert report.resource.spec.as_number == 64567


def test_a_node_peer_of_calico_2_is_converted() -> None:
    (report,) = read(LEGACY % ("node", "Rack1/Host_1", "aa:bb::", '"1.10"'))
    assert isinstance(report.resource, BGPPeer)
    assert report.resource.name == ("rack1.host-1.00aa-00bb-0000-0000-0000-0000-0000-0000")
    assert report.resource.spec.node == "rack1.host-1"
    assert report.resource.spec.as_number == 65546


@pytest.mark.parametrize(
    ("scope", "node", "ip", "field", "rule"),
    [
        ("global", "n", "10.0.0.1", "metadata.node", "exclusive"),
        ("node", "", "10.0.0.1", "metadata.node", "required"),
        ("all", "", "10.0.0.1", "metadata.scope", "enum"),
        ("global", "", "", "metadata.peerIP", "required"),
        ("global", "", "10.0.0.300", "metadata.peerIP", "peer-ip"),
    ],
)
def test_a_broken_peer_of_calico_2(scope: str, node: str, ip: str, field: str, rule: str) -> None:
    (report,) = read(LEGACY % (scope, node, ip, "1"))
    assert (field, rule) in broken(report)
    assert report.problems[0].line == 3


def test_nodes_and_pools_of_calico_2_are_converted() -> None:
    node, pool = read("""\
        - apiVersion: v1
          kind: node
          metadata: {name: kube-node1}
          spec: {bgp: {asNumber: 65011, ipv4Address: 172.31.3.11/32}}
        - apiVersion: v1
          kind: ipPool
          metadata: {cidr: 10.1.0.0/16}
          spec: {ipip: {enabled: true, mode: cross-subnet}, nat-outgoing: true}
        """)
    assert node.problems == pool.problems == ()
    assert (node.name, pool.name) == ("kube-node1", "10-1-0-0-16")


def test_what_has_no_effect_is_named_by_a_warning() -> None:
    spec = {"serviceLoadBalancerIPs": [{"cidr": "192.0.2.7/32"}, {"cidr": "192.0.2.0/24"}]}
    warnings = check(document("BGPConfiguration", "default", spec)).warnings
    assert [(each.rule, each.field) for each in warnings] == [
        ("no-effect", "spec.serviceLoadBalancerIPs[0].cidr")
    ]


def test_the_report_as_json() -> None:
    (report,) = read("""\
        apiVersion: projectcalico.org/v3
        kind: bgppeer
        metadata: {name: p}
        spec: {peerIP: 10.0.0.1, asNumber: 5, peerPort: 7}
        """)
    assert report.as_json() == {
        "file": "test.yaml",
        "index": 0,
        "kind": "BGPPeer",
        "name": "p",
        "valid": False,
        "problems": [
            {
                "line": 4,
                "column": 39,
                "field": "spec.peerPort",
                "rule": "unknown-field",
                "message": "peerPort is no field here; did you mean peerIP?",
            }
        ],
        "warnings": [],
    }


NODE = document("Node", "n", {"bgp": {"ipv4Address": "10.0.0.9"}})


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (peer("p", **ANY), peer("p", **ANY), "duplicate-name"),
        (peer("p", **ANY), peer("q", **ANY), "same-address"),
        (peer("p", **ANY, node="n"), peer("q", **ANY, node="n"), "same-address"),
        (NODE, peer("p", peerIP="10.0.0.9", asNumber=5, node="n"), "own-address"),
    ],
)
def test_mistakes_across_documents(first: Any, second: Any, rule: str) -> None:
    one, two = validate([("a.json", json.dumps(first)), ("b.json", json.dumps(second))])
    assert one.problems == ()
    assert [problem.rule for problem in two.problems] == [rule]
    assert not two.valid


def test_one_address_for_two_nodes_is_no_mistake() -> None:
    items = [peer("p", **ANY, node="n"), peer("q", **ANY, node="m"), peer("r", **ANY)]
    reports = validate([("a.json", json.dumps(items))])
    assert [report.problems for report in reports] == [(), (), ()]


def test_filters_have_all_four_chains() -> None:
    assert fields_of(BGPFilterSpec) == {"exportV4", "importV4", "exportV6", "importV6"}


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("a.1:/")
words = st.sampled_from(
    sorted(
        {"metadata", "name", "labels", "annotations", "spec", "min", "max", "values", "value"}
        | {"wren.bgp/passive", "wren.bgp/families", "bgp", "ipip", "stringData", "data", "scope"}
        | {"prefix", "action", "cidr", "matchOperator", "prefixLength", "operations", "status"}
        | fields_of(BGPPeerSpec)
        | fields_of(BGPConfigurationSpec)
        | fields_of(BGPFilterSpec)
        | fields_of(IPPoolSpec)
    )
)
nonsense = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from(["projectcalico.org/v3", "v1"]),
    st.dictionaries(words, nonsense, max_size=5),
    st.dictionaries(words, nonsense, max_size=6),
)
def test_any_nonsense_is_refused_or_read(
    kind: Kind, version: str, tree: dict[str, Any], spec: dict[str, Any]
) -> None:
    item = {"spec": spec, "metadata": {"name": "n"}, **tree, "kind": kind, "apiVersion": version}
    (report,) = read_file(json.dumps([item]), "f.json")
    assert report.valid == (report.resource is not None)
