"""``wren create``, ``apply``, ``replace``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import wren, write_documents
from tests.support.control import serving
from tests.support.resources import document, node, peer, settings
from tests.support.stores import Store

TOR = peer("tor", peerIP="10.0.0.9", asNumber=65000)
SPINE = peer("spine", peerIP="10.0.0.8", asNumber=65000)
N1 = node("n1", "10.0.0.1/24", rack="1")


@pytest.mark.parametrize(
    ("verb", "done"), [("create", "created"), ("apply", "applied"), ("replace", "replaced")]
)
def test_what_was_done_is_said_as_calicoctl_says_it(store: Store, verb: str, done: str) -> None:
    if verb == "replace":
        store.holds(TOR, SPINE, N1)
    said = store.give(verb, TOR)
    assert (said.exit_code, said.stdout) == (
        0,
        f"Successfully {done} 1 'BGPPeer' resource(s)\n",
    )
    if verb == "create":
        store.wren("delete", "bgppeer", "tor")
    assert store.give(verb, TOR, SPINE, N1).stdout == f"Successfully {done} 3 resource(s)\n"
    assert list(store.loaded().peers) == ["spine", "tor"]


def test_what_exists_cannot_be_created(store: Store) -> None:
    store.holds(TOR)
    done = store.give("create", TOR)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Failed to create 'BGPPeer' resource: [resource already exists: BGPPeer(tor)]\n"
    )
    done = store.give("create", TOR, peer("tor2", peerIP="10.0.0.7", asNumber=1), N1)
    assert done.exit_code == 1
    assert done.stdout == "Partial success: created the first 2 out of 3 resources:\n"
    assert done.stderr == "Hit error(s): [resource already exists: BGPPeer(tor)]\n"
    assert list(store.loaded().peers) == ["tor", "tor2"]
    done = store.give("create", TOR, SPINE, options="--skip-exists")
    assert (done.exit_code, done.stdout) == (0, "Successfully created 2 'BGPPeer' resource(s)\n")


def test_what_does_not_exist_cannot_be_replaced(store: Store) -> None:
    done = store.give("replace", TOR, SPINE)
    assert done.exit_code == 1
    assert done.stderr == (
        "Failed to replace any 'BGPPeer' resources: "
        "[resource does not exist: BGPPeer(tor); resource does not exist: BGPPeer(spine)]\n"
    )
    assert store.names() == []


def test_an_update_keeps_labels_and_replaces_the_spec(store: Store) -> None:
    store.holds(node("n1", "10.0.0.1/24", "fd00::1/64", rack="1"))
    assert store.give("apply", node("n1", "10.0.0.2/24", role="x")).exit_code == 0
    found = store.loaded().nodes["n1"]
    assert found.metadata.labels == {"rack": "1", "role": "x"}
    assert found.spec.bgp is not None
    assert str(found.spec.bgp.ipv4_address) == "10.0.0.2/24"
    assert found.spec.bgp.ipv6_address is None


BROKEN = """\
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: a}
spec:
  peerIp: 10.0.0.1
  asNumber: 1.10
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: b}
spec: {peerIP: 10.0.0.2, asNumber: 2}
---
kind: [
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: N1}
"""


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(store: Store) -> None:
    file = store.path.parent / "broken.yaml"
    file.write_text(BROKEN)
    done = store.wren("apply", "-f", file)
    assert (done.exit_code, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    places = [line.removeprefix(f"{file}:").partition(": ")[0] for line in lines[1:-1]]
    assert places == ["5:3", "6:3", "14:1", "17:12"]
    assert "warning" in lines[0]
    assert "peerIp is no field here; did you mean peerIP?" in done.stderr
    assert lines[-1] == "Failed to execute command: 4 problems, nothing was changed"
    assert store.names() == []


def test_a_resource_given_twice_is_a_problem(store: Store) -> None:
    done = store.give("apply", TOR, TOR)
    assert done.exit_code == 1
    assert "stdin:4:72: metadata.name: BGPPeer tor is already defined in stdin:2" in done.stderr
    assert store.names() == []


def test_warnings_do_not_keep_from_it(store: Store) -> None:
    done = store.give("apply", peer("a"))
    assert done.exit_code == 0
    assert "warning: spec: neither peerIP nor peerSelector" in done.stderr
    assert list(store.loaded().peers) == ["a"]


def test_filters_of_a_peer_must_exist_or_come_along(store: Store) -> None:
    picky = document("BGPFilter", "picky", {"importV4": [{"action": "Reject"}]})
    given = peer("tor", peerIP="10.0.0.9", asNumber=1, filters=["picky", "missing"])
    done = store.give("apply", given, picky)
    assert done.exit_code == 1
    assert "BGPPeer(tor): BGPFilter(s) not found: missing" in done.stderr
    assert list(store.loaded().filters) == ["picky"]
    given["spec"]["filters"] = ["picky"]
    assert store.give("apply", given).exit_code == 0


def test_fields_that_only_default_may_have_are_refused_elsewhere(store: Store) -> None:
    done = store.give("apply", settings("node.n1", asNumber=64512))
    assert done.exit_code == 1
    assert "spec.asNumber: asNumber can be set on default only (default-only)" in done.stderr


def test_range_and_block_size_of_a_pool_cannot_be_changed(store: Store) -> None:
    store.holds(document("IPPool", "p", {"cidr": "10.0.0.0/16"}))
    done = store.give("replace", document("IPPool", "p", {"cidr": "10.1.0.0/16", "blockSize": 28}))
    assert done.exit_code == 1
    assert "IPPool CIDR cannot be modified" in done.stderr
    assert "IPPool BlockSize cannot be modified" in done.stderr
    assert str(store.loaded().pools["p"].spec.cidr) == "10.0.0.0/16"


def test_an_update_from_an_old_version_is_a_conflict(store: Store) -> None:
    store.holds(TOR)
    mine = store.get("bgppeer", "tor")
    theirs = store.get("bgppeer", "tor")
    theirs["spec"]["asNumber"] = 65009
    assert store.give("replace", theirs).exit_code == 0
    done = store.give("apply", mine)
    assert done.exit_code == 1
    assert "update conflict: BGPPeer(tor): resourceVersion " in done.stderr
    assert store.loaded().peers["tor"].spec.as_number == 65009
    # What is new has no version yet.
    mine["metadata"]["name"] = "other"
    assert "field must not be set for a Create request" in store.give("create", mine).stderr


def test_what_belongs_to_another_datastore_is_not_kept(store: Store) -> None:
    given = peer("tor", peerIP="10.0.0.9", asNumber=1)
    given["metadata"] |= {
        "uid": "7",
        "resourceVersion": "9",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"a": "b"},
    }
    assert store.give("apply", given).exit_code == 0
    (kept,) = store.path.iterdir()
    assert kept.read_text() == (
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: tor\n"
        "  annotations:\n    a: b\nspec:\n  peerIP: 10.0.0.9\n  asNumber: 1\n"
    )


def test_what_is_new_is_kept_as_it_was_written(store: Store) -> None:
    file = store.path.parent / "peers.yaml"
    file.write_text(
        "# Our peers\n\n# The switch\napiVersion: projectcalico.org/v3\nkind: BGPPeer\n"
        "metadata:\n  name: tor\n  uid: '7'\nspec:\n  # see ticket 42\n"
        '  peerIP:   "10.0.0.9"   # odd\n  asNumber: "0.1"\n\n# the end\n'
        "---\n{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n}}\n"
    )
    assert store.wren("apply", "-f", file).exit_code == 0
    assert (store.path / "bgppeer-tor.yaml").read_text() == (
        "# The switch\napiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: tor\n"
        'spec:\n  # see ticket 42\n  peerIP:   "10.0.0.9"   # odd\n  asNumber: "0.1"\n'
    )
    assert (store.path / "node-n.yaml").read_text() == (
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata:\n  name: n\n"
    )


def test_a_document_that_is_indented_as_a_whole_is_kept(store: Store) -> None:
    """As one of Calico's own documents has it."""
    text = (
        " apiVersion: projectcalico.org/v3\n kind: BGPConfiguration\n metadata:\n   name: default\n"
    )
    text += " spec:\n   asNumber: 64512\n"
    assert store.wren("create", "-f", "-", stdin=text).exit_code == 0
    assert store.loaded().configurations["default"].spec.as_number == 64512


def test_what_is_the_same_is_not_touched(store: Store) -> None:
    file = store.path / "mine.yaml"
    file.write_text(
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer   # the switch\nmetadata: {name: tor}\n"
        'spec: {peerIP: "10.0.0.9", asNumber: "0.1"}\n'
    )
    before = file.stat()
    done = store.give("apply", peer("tor", peerIP="10.0.0.9", asNumber=1))
    assert done.stdout == "Successfully applied 1 'BGPPeer' resource(s)\n"
    assert file.stat() == before


def test_several_documents_lists_yaml_and_json_of_files_and_directories(store: Store) -> None:
    given = store.path.parent / "given"
    write_documents(given, [TOR])
    (given / "list.json").write_text(json.dumps({"kind": "List", "items": [SPINE, N1]}))
    (given / "notes.txt").write_text("no resource: [")
    write_documents(given / "deeper", [settings()])
    done = store.wren("create", "-f", given)
    assert done.stdout == "Successfully created 3 resource(s)\n"
    done = store.wren("apply", "--filename", given, "--recursive")
    assert done.stdout == "Successfully applied 4 resource(s)\n"
    done = store.wren("replace", "-f", given / "list.json", "-f", given / "resources.yaml")
    assert done.stdout == "Successfully replaced 3 resource(s)\n"


def test_an_empty_file_is_an_error_unless_skipped(store: Store, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "empty.yaml").write_text("# nothing\n")
    (tmp_path / "none").mkdir()
    for path, what in (("e/empty.yaml", "file"), ("e", "file"), ("none", "directory")):
        done = store.wren("apply", "-f", tmp_path / path)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"No resources specified in {what} {tmp_path}/")
        done = store.wren("apply", "-f", tmp_path / path, "--skip-empty")
        assert (done.exit_code, done.stdout) == (0, "No resources specified\n")


def test_a_file_that_is_not_there_is_said(store: Store) -> None:
    done = store.wren("apply", "-f", "nothing.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("wren: there is no nothing.yaml; ")


def test_the_outcome_as_json(store: Store) -> None:
    store.holds(TOR)
    done = store.give("create", TOR, N1, options="-o json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "created": [{"kind": "Node", "name": "n1"}],
        "errors": ["resource already exists: BGPPeer(tor)"],
    }


def test_documents_of_calico_2_are_kept_as_v3(store: Store) -> None:
    old = {
        "apiVersion": "v1",
        "kind": "bgpPeer",
        "metadata": {"scope": "global", "peerIP": "192.20.30.40"},
        "spec": {"asNumber": "0.10"},
    }
    assert store.give("create", old).stdout == "Successfully created 1 'BGPPeer' resource(s)\n"
    assert store.get("bgppeer", "192-20-30-40")["spec"] == {
        "peerIP": "192.20.30.40",
        "asNumber": 10,
    }
    del old["metadata"]["scope"]  # type: ignore[attr-defined]
    done = store.give("apply", old)
    assert done.exit_code == 1
    assert "scope is global or node (enum)" in done.stderr


def test_the_datastore_is_the_running_daemons_where_none_is_named(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    text = json.dumps(TOR)
    env = {"WREN_RUN_DIR": str(tmp_path), "WREN_DATASTORE": ""}
    done = wren("apply", "-f", "-", env=env, stdin=text)
    assert done.exit_code == 2
    assert "set WREN_DATASTORE; no daemon runs that could be asked" in done.stderr
    with serving(tmp_path, {"datastore": lambda request: {"path": str(etc), "node": "n1"}}):
        done = wren("apply", "-f", "-", env=env, stdin=text)
    assert (done.exit_code, done.stderr) == (0, "")
    assert [file.name for file in etc.iterdir()] == ["bgppeer-tor.yaml"]


def test_the_datastore_can_be_named(tmp_path: Path) -> None:
    done = wren("apply", "-f", "-", "--datastore", tmp_path, stdin=json.dumps(TOR))
    assert done.exit_code == 0
    done = wren("apply", "-f", "-", "--datastore", tmp_path / "no", stdin=json.dumps(TOR))
    assert done.exit_code == 1
    assert done.stderr.startswith("wren: there is no datastore ")


def test_secrets_of_files_are_edited_as_files(store: Store) -> None:
    folder = store.path / "secrets" / "bgp"
    folder.mkdir(parents=True)
    (folder / "tor").write_text("hunter2")
    assert store.get("secret", "bgp")["data"] == {"tor": "(hidden)"}
    given = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bgp"},
        "stringData": {"tor": "hunter3"},
    }
    for done in (
        store.give("apply", given),
        store.wren("label", "secret", "bgp", "a=b"),
        store.wren("delete", "secret", "bgp"),
    ):
        assert done.exit_code == 1
        assert f"Secret(bgp): it is the files in {folder}, which are edited" in done.stderr
        assert "hunter" not in done.output
    assert (folder / "tor").read_text() == "hunter2"
    assert store.names() == ["bgp", "secrets", "tor"]


def test_a_policy_cannot_have_the_name_of_a_filter(store: Store) -> None:
    store.holds(document("BGPFilter", "f", {}))
    done = store.give("apply", document("RoutePolicy", "f", {}))
    assert done.exit_code == 1
    assert "RoutePolicy(f): BGPFilter f has that name already" in done.stderr
    assert "another name" in done.stderr
    assert store.wren("get", "routepolicy", "-o", "name").stdout == ""
