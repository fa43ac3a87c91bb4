"""``wren get``."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from speaker.cli.columns import COLUMNS
from speaker.config.kinds import ALIASES, Kind
from tests.support.resources import block, document, node, peer, settings
from tests.support.stores import Store

PEERS = (
    peer("global", peerIP="10.0.0.9", asNumber="0.7"),
    peer("named", peerIP="10.0.0.8", asNumber=65001, node="n1"),
    peer("selected", peerSelector="has(rr)", nodeSelector="!has(rr)"),
)
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "bgp"},
    "stringData": {"tor": "hunter2"},
    "data": {"spine": "aHVudGVyMg=="},
}
POOL = document("IPPool", "p", {"cidr": "10.244.0.0/16", "ipipMode": "Always", "natOutgoing": True})
FILTER = document(
    "BGPFilter", "f", {"exportV4": [{"action": "Accept"}], "importV6": [{"action": "Reject"}] * 2}
)


@pytest.fixture
def full(store: Store) -> Store:
    store.holds(
        *PEERS,
        SECRET,
        POOL,
        FILTER,
        document("RPKICache", "c", {"address": "192.0.2.1"}),
        document("BFDConfiguration", "b", {"interfaces": [{"matchPattern": "eth0"}, {}]}),
        document("RoutePolicy", "rp", {"exportV4": [{"action": "Accept"}]}),
        node("n1", "10.0.0.1/24", "fd00::1", asn=65001, rr=""),
        node("n2", "10.0.0.2/24"),
        document("Node", "n3", {}),
        settings(logSeverityScreen="Debug"),
        settings("node.n1", listenPort=1179),
        block("10.244.1.0/26", "n1"),
        document(
            "CalicoNodeStatus",
            "report",
            {"node": "n1", "classes": ["Agent", "BGP"], "updatePeriodSeconds": 10},
        ),
    )
    return store


def shown(store: Store, *words: str) -> str:
    done = store.wren("get", *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_peers_of_a_range_are_shown_by_it(store: Store) -> None:
    keys = {"wren.bgp/listenRange": "10.1.0.0/24", "wren.bgp/asRange": "64512-64600"}
    store.holds(peer("rack", extensions=keys))
    assert shown(store, "bgppeer", "rack") == (
        "NAME   PEERIP        NODE       ASN           \n"
        "rack   10.1.0.0/24   (global)   64512-64600   \n\n"
    )


TABLES = {
    "bgppeer": """\
NAME       PEERIP     NODE       ASN     |
global     10.0.0.9   (global)   7       |
named      10.0.0.8   n1         65001   |
selected              !has(rr)   0       |
|
""",
    "bgpfilter": """\
NAME   NUMEXPORTV4   NUMIMPORTV4   NUMEXPORTV6   NUMIMPORTV6   |
f      1             0             0             2             |
|
""",
    "bgpconfiguration": """\
NAME      LOGSEVERITY   MESHENABLED   ASNUMBER   |
default   Debug         -             -          |
node.n1   -             -             -          |
|
""",
    "node": "NAME   |\nn1     |\nn2     |\nn3     |\n|\n",
    "node -o wide": """\
NAME   ASN       IPV4          IPV6      |
n1     65001     10.0.0.1/24   fd00::1   |
n2     (64512)   10.0.0.2/24             |
n3                                       |
|
""",
    "ippool": "NAME   CIDR            SELECTOR   |\np      10.244.0.0/16   all()      |\n|\n",
    "ippool -o wide": (
        "NAME   CIDR            NAT    IPIPMODE   VXLANMODE   DISABLED   DISABLEBGPEXPORT   "
        "SELECTOR   ASSIGNMENTMODE   |\n"
        "p      10.244.0.0/16   true   Always     Never       false      false              "
        "all()      Automatic        |\n|\n"
    ),
    "blockaffinity": """\
NAME               NODE   CIDR            STATE       |
n1-10-244-1-0-26   n1     10.244.1.0/26   confirmed   |
|
""",
    "secret": "NAME   KEYS   |\nbgp    2      |\n|\n",
    "bgppeer --scope=node": """\
SCOPE   PEERIP     NODE       ASN     |
node    10.0.0.8   n1         65001   |
node               !has(rr)   0       |
|
""",
    "bgppeer --node=n2": """\
SCOPE   PEERIP   NODE       ASN   |
node             !has(rr)   0     |
|
""",
    "bgppeer 10.0.0.9": """\
SCOPE    PEERIP     NODE   ASN   |
global   10.0.0.9          7     |
|
""",
    "nodestatus": """\
NAME     NODE   CLASSES     |
report   n1     Agent,BGP   |
|
""",
    "node n2 n1": "NAME   |\nn2     |\nn1     |\n|\n",
    "bp -o custom-columns=name,spec.peerip,METADATA.NAME,spec.filters": """\
name       spec.peerip   METADATA.NAME   spec.filters   |
global     10.0.0.9      global                         |
named      10.0.0.8      named                          |
selected                 selected                       |
|
""",
    "node n1 -o custom-columns=NAME,spec.bgp.ipv6address,metadata.labels.rr": """\
NAME   spec.bgp.ipv6address   metadata.labels.rr   |
n1     fd00::1                                     |
|
""",
}


@pytest.mark.parametrize("words", TABLES)
def test_tables_are_calicoctls_to_the_blank(full: Store, words: str) -> None:
    wanted = TABLES[words].replace("|\n", "\n")
    assert shown(full, *words.split()) == wanted


def test_every_kind_has_columns() -> None:
    assert set(COLUMNS) == set(Kind)


@pytest.mark.parametrize("alias", ALIASES)
def test_kinds_are_found_by_every_alias_in_any_case(full: Store, alias: str) -> None:
    assert shown(full, alias.upper(), "-o", "name").startswith(f"{ALIASES[alias].lower()}/")


def test_nothing_of_a_kind_is_a_table_of_headings(store: Store) -> None:
    assert shown(store, "node") == "NAME   \n\n"


def test_the_as_of_the_cluster_is_shown_where_a_node_has_none(store: Store) -> None:
    store.holds(node("n1", "10.0.0.1"), settings(asNumber=65100))
    assert "(65100)" in shown(store, "node", "-o", "wide")


def test_one_resource_is_a_document_and_several_are_a_list(full: Store) -> None:
    one = full.get("node", "n1")
    assert one["kind"] == "Node"
    version = one["metadata"].pop("resourceVersion")
    assert one["metadata"] == {"name": "n1", "labels": {"rr": ""}}
    assert version.isdecimal()
    for words in (["node", "n1", "n2"], ["node"], ["secret"]):
        several = full.get(*words)
        assert several["kind"] == ("NodeList" if "node" in words else "SecretList")
        assert len(several["items"]) == (2 if "n2" in words else 3 if "node" in words else 1)


def test_yaml_is_ordered_by_name_and_reads_back(full: Store) -> None:
    text = shown(full, "bgppeer", "named", "-o", "yaml")
    assert text == (
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: named\n"
        f'  resourceVersion: "{full.get("bgppeer", "named")["metadata"]["resourceVersion"]}"\n'
        "spec:\n  asNumber: 65001\n  node: n1\n  peerIP: 10.0.0.8\n"
    )
    assert shown(full, "bgppeer", "named", "-o", "yml") == text


def test_export_leaves_out_what_belongs_to_this_datastore(store: Store) -> None:
    given = peer("a", peerIP="10.0.0.9", asNumber=1)
    given["metadata"] |= {
        "uid": "1",
        "generation": 3,
        "creationTimestamp": "x",
        "labels": {"a": "b"},
    }
    (store.path / "a.json").write_text(json.dumps(given))
    exported = yaml.safe_load(shown(store, "bgppeer", "a", "-o", "yaml", "--export"))
    assert exported["metadata"] == {"name": "a", "generation": 3, "labels": {"a": "b"}}
    # Without a name it means nothing, as with calicoctl.
    (listed,) = yaml.safe_load(shown(store, "bgppeer", "-o", "yaml", "--export"))["items"]
    assert listed["metadata"]["uid"] == "1"


def test_what_is_got_can_be_applied(full: Store) -> None:
    before = {kind: full.get(kind) for kind in ("bgppeer", "node", "ippool", "bgpfilter")}
    for listed in before.values():
        assert full.give("apply", listed).exit_code == 0
    assert {kind: full.get(kind) for kind in before} == before


def test_no_value_of_a_secret_is_shown(full: Store) -> None:
    for form in ("ps", "wide", "yaml", "json", "name", "custom-columns=NAME,KEYS"):
        text = shown(full, "secret", "bgp", "-o", form)
        assert "hunter2" not in text
        assert "aHVudGVyMg" not in text
    found = full.get("secret", "bgp")
    assert found["data"] == {"spine": "(hidden)", "tor": "(hidden)"}
    # And so it cannot become the password by mistake.
    done = full.give("apply", found)
    assert done.exit_code == 1
    assert "data.spine: not base64" in done.stderr
    done = full.wren("get", "secret", "-o", "custom-columns=NAME,DATA.TOR")
    assert done.exit_code == 1
    assert "Unknown heading DATA.TOR, valid values are: NAME, KEYS" in done.stderr


def test_the_copy_of_a_secret_that_kubectl_leaves_is_not_shown(store: Store) -> None:
    key = "kubectl.kubernetes.io/last-applied-configuration"
    copied = {**SECRET, "metadata": {"name": "bgp", "annotations": {key: "hunter2", "a": "b"}}}
    store.holds(copied)
    for form in ("yaml", "json"):
        text = shown(store, "secret", "bgp", "-o", form)
        assert "hunter2" not in text
    annotations = store.get("secret", "bgp")["metadata"]["annotations"]
    assert annotations == {key: "(hidden)", "a": "b"}


def test_names_that_there_are_not_are_told(full: Store) -> None:
    done = full.wren("get", "node", "n1", "n8", "n9")
    assert done.exit_code == 1
    assert done.stdout == "NAME   \nn1     \n\n"
    assert done.stderr == "resource does not exist: Node(n8)\nresource does not exist: Node(n9)\n"
    assert full.wren("get", "bgppeer", "10.9.9.9").stdout == ""


def test_as_files_name_them(full: Store) -> None:
    done = full.give("get", node("n1"), PEERS[0], node("n9"), options="-o json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["kind"], [item["kind"] for item in found["items"]]) == (
        "List",
        ["Node", "BGPPeer"],
    )
    assert done.stderr == "resource does not exist: Node(n9)\n"
    both = full.give("get", node("n1"), PEERS[0]).stdout
    assert both == (
        "NAME   \nn1     \n\n"
        "NAME     PEERIP     NODE       ASN   \nglobal   10.0.0.9   (global)   7     \n\n"
    )


def test_pieces_that_may_hide_resources_are_told(full: Store) -> None:
    (full.path / "broken.yaml").write_text("kind: [\n")
    done = full.wren("get", "node")
    assert done.exit_code == 0
    assert "broken.yaml:2:1: warning: not readable as YAML" in done.stderr


def test_what_is_not_valid_is_shown_too(store: Store) -> None:
    bad: dict[str, Any] = peer("bad", peerIP="nowhere", asNumber="x")
    (store.path / "bad.json").write_text(json.dumps(bad))
    assert shown(store, "bgppeer") == (
        "NAME   PEERIP    NODE       ASN   \nbad    nowhere   (global)   0     \n\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["node", "-f", "x"],
        ["node", "-o", "table"],
        ["node", "-o", "yaml=x"],
        ["node", "-o", "go-template={{.}}"],
        ["node", "-o", "custom-columns="],
        ["node", "--scope", "global"],
    ],
)
def test_wrong_usage(store: Store, words: list[str]) -> None:
    assert store.wren("get", *words).exit_code == 2


def test_a_column_that_there_is_not_is_said(full: Store) -> None:
    done = full.wren("get", "node", "-o", "custom-columns=NAME,SPEC.NONSENSE")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "wren: Unknown heading SPEC.NONSENSE, valid values are: NAME, ASN, IPV4, IPV6"
    )
