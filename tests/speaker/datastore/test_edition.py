"""Edits of a directory by command."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from speaker.config.documents import Document, parse_documents
from speaker.config.kinds import Kind
from speaker.config.models import Resource
from speaker.config.reading import read_document, read_file
from speaker.config.stored import Stored, source_of, stored
from speaker.config.updates import created
from speaker.datastore.directory import load_directory
from speaker.datastore.edition import Edition, editing
from speaker.errors import ConfigError
from tests.speaker.config.test_contract import CASES
from tests.support.resources import document, node, peer

PEERS = """\
# Peers of rack 1

# The old switch
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: old}
spec: {peerIP: 10.0.0.8, asNumber: 65001}   # until Friday
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: tor}
spec:
  peerIP:   "10.0.0.9"    # odd blanks
  asNumber: 65000
"""


def kept(tree: dict[str, Any]) -> Stored:
    found = stored(Document("given", 0, tree, {}))
    assert found is not None
    return found


TOR = (Kind.BGP_PEER, "tor")
OLD = (Kind.BGP_PEER, "old")


def put(path: Path, *trees: dict[str, Any]) -> None:
    with editing(path) as edition:
        for tree in trees:
            edition.put(kept(tree))
        edition.write()


def delete(path: Path, *keys: tuple[Kind, str]) -> None:
    with editing(path) as edition:
        for key in keys:
            edition.delete(key)
        edition.write()


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.rglob("*"))


def test_a_new_resource_gets_a_file_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, peer("tor", peerIP="10.0.0.9", asNumber=65000))
    assert (tmp_path / "bgppeer-tor.yaml").read_text() == (
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata:\n  name: tor\n"
        "spec:\n  peerIP: 10.0.0.9\n  asNumber: 65000\n"
    )
    assert names(tmp_path) == ["bgppeer-tor.yaml"]
    assert load_directory(tmp_path).problems == ()


def test_a_name_that_is_taken_by_another_file_is_gone_round(tmp_path: Path) -> None:
    (tmp_path / "bgppeer-tor.yaml").write_text(PEERS.replace("name: tor", "name: spine"))
    put(tmp_path, peer("tor", peerIP="10.0.0.7", asNumber=1))
    assert names(tmp_path) == ["bgppeer-tor-2.yaml", "bgppeer-tor.yaml"]


def test_the_longest_name_still_makes_a_file(tmp_path: Path) -> None:
    longest = ["a" * 253, "a" * 252 + "b"]
    put(tmp_path, *(node(name, "10.0.0.1") for name in longest))
    assert list(load_directory(tmp_path).resources.nodes) == longest


def test_a_resource_is_changed_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "rack" / "peers.yaml"
    file.parent.mkdir()
    file.write_text(PEERS)
    put(tmp_path, peer("tor", peerIP="10.0.0.10", asNumber=2))
    assert file.read_text() == PEERS.replace('"10.0.0.9"', "10.0.0.10").replace("65000", "2")
    assert names(tmp_path) == ["peers.yaml", "rack"]


def test_a_resource_goes_and_its_file_with_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(PEERS)
    delete(tmp_path, OLD)
    assert file.read_text() == "# Peers of rack 1\n" + PEERS[PEERS.index("---") :]
    delete(tmp_path, TOR)
    assert names(tmp_path) == []


def test_what_stands_in_two_files_goes_from_both(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PEERS)
    (tmp_path / "b.yaml").write_text(PEERS)
    delete(tmp_path, TOR)
    assert list(load_directory(tmp_path).resources.peers) == ["old"]


def test_many_edits_are_one(tmp_path: Path) -> None:
    (tmp_path / "peers.yaml").write_text(PEERS)
    with editing(tmp_path) as edition:
        edition.put(kept(peer("tor", peerIP="10.0.0.1", asNumber=1)))
        edition.put(kept(peer("tor", peerIP="10.0.0.2", asNumber=1)))
        edition.put(kept(peer("new", peerIP="10.0.0.3", asNumber=1)))
        edition.put(kept(peer("new", peerIP="10.0.0.4", asNumber=1)))
        edition.put(kept(peer("brief", peerIP="10.0.0.5", asNumber=1)))
        edition.delete((Kind.BGP_PEER, "brief"))
        edition.delete(OLD)
        assert (tmp_path / "peers.yaml").read_text() == PEERS
        changes = edition.write()
    assert [change.path.name for change in changes] == ["bgppeer-new.yaml", "peers.yaml"]
    found = load_directory(tmp_path).resources.peers
    addresses = {
        name: peer.spec.peer_ip.address for name, peer in found.items() if peer.spec.peer_ip
    }
    assert addresses == {"new": "10.0.0.4", "tor": "10.0.0.2"}


def test_an_edit_can_be_looked_at_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "peers.yaml").write_text(PEERS)
    with editing(tmp_path) as edition:
        edition.delete(OLD)
        edition.put(kept(node("n", "10.0.0.1")))
        texts = dict(edition.texts())
    assert list(texts) == [str(tmp_path / "node-n.yaml"), str(tmp_path / "peers.yaml")]
    assert "name: old" not in texts[str(tmp_path / "peers.yaml")]
    assert (tmp_path / "peers.yaml").read_text() == PEERS
    assert names(tmp_path) == ["peers.yaml"]


def test_owner_and_mode_stay_and_so_do_links(tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    directory.mkdir()
    elsewhere.mkdir()
    real = elsewhere / "real.yaml"
    real.write_text(PEERS)
    real.chmod(0o640)
    (directory / "peers.yaml").symlink_to(real)
    put(directory, peer("tor", peerIP="10.0.0.10", asNumber=2))
    assert (directory / "peers.yaml").is_symlink()
    assert "10.0.0.10" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_new_files_belong_to_whom_the_directory_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 5678)
    put(tmp_path, node("n", "10.0.0.1"))
    status = (tmp_path / "node-n.yaml").stat()
    assert (status.st_uid, status.st_gid) == (1234, 5678)


def test_new_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bgp"},
        "stringData": {"key": "hunter2"},
    }
    put(tmp_path, secret, node("n", "10.0.0.1"))
    assert stat.S_IMODE((tmp_path / "secret-bgp.yaml").stat().st_mode) == 0o600
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "node-n.yaml").stat().st_mode) == 0o666 & ~mask


def test_a_mark_of_the_byte_order_stays(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PEERS.replace("\n", "\r\n").encode())
    put(tmp_path, peer("tor", peerIP="10.0.0.10", asNumber=2))
    data = file.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# Peers of rack 1\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")


def test_a_single_file_may_be_the_datastore(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(PEERS)
    put(file, node("n", "10.0.0.1"))
    assert file.read_text().startswith(PEERS + "---\n")
    assert names(tmp_path) == ["all.yaml"]


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(PEERS)
    with editing(tmp_path) as edition:
        edition.delete(OLD)
        edition.put(kept(node("n", "10.0.0.1")))
        file.write_text(PEERS + "# by hand\n")
        with pytest.raises(ConfigError, match=r"peers\.yaml was changed meanwhile; try again"):
            edition.write()
    assert file.read_text() == PEERS + "# by hand\n"
    assert names(tmp_path) == ["peers.yaml"]


def test_documents_of_no_kind_and_broken_ones_are_left_alone(tmp_path: Path) -> None:
    text = "kind: Deployment\n---\nkind: [\n---\n" + PEERS
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    delete(tmp_path, OLD, TOR)
    assert (tmp_path / "a.yaml").read_text().startswith("kind: Deployment\n---\nkind: [\n")
    assert (tmp_path / "b.yaml").read_bytes() == b"\xff\xfe"


def test_secrets_of_files_are_shown_and_left_to_who_mounts_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "bgp"
    folder.mkdir(parents=True)
    (folder / "tor").write_bytes(b"hunter2")
    key = (Kind.SECRET, "bgp")
    with editing(tmp_path) as edition:
        assert edition.resources[key].tree["data"] == {"tor": "aHVudGVyMg=="}
        assert edition.refusal(key) == (f"it is the files in {folder}, which are edited themselves")
        assert edition.refusal((Kind.SECRET, "other")) == ""


def test_there_must_be_a_datastore(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no datastore"), editing(tmp_path / "nothing"):
        pass


def test_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "peers.yaml").mkdir()
    with editing(tmp_path) as edition:
        edition.put(kept(document("IPPool", "p", {"cidr": "10.0.0.0/8"})))
        (tmp_path / "peers.yaml").rmdir()
        tmp_path.rmdir()
        with pytest.raises(ConfigError, match=r"cannot write .*ippool-p\.yaml: No such file"):
            edition.write()


def test_edits_wait_for_each_other(tmp_path: Path) -> None:
    began = threading.Event()

    def other() -> None:
        began.set()
        put(tmp_path, node("b", "10.0.0.2"))

    thread = threading.Thread(target=other)
    with editing(tmp_path) as edition:
        thread.start()
        assert began.wait(10)
        edition.put(kept(node("a", "10.0.0.1")))
        edition.write()
        assert names(tmp_path) == ["node-a.yaml"]
    thread.join(10)
    assert names(tmp_path) == ["node-a.yaml", "node-b.yaml"]


def test_every_document_of_the_contract_is_kept_as_what_it_says(tmp_path: Path) -> None:
    kept = 0
    for case in CASES:
        for item in parse_documents(case.text, case.name):
            said = read_document(item) if isinstance(item, Document) else None
            if said is None or said.resource is None:
                continue
            assert isinstance(item, Document)
            given = stored(item)
            assert given is not None
            source = "" if given.document.renamed is not None else source_of(item, case.text)
            edition = Edition(tmp_path)
            edition.put(created(replace(given, source=source)))
            ((_, text),) = edition.texts()
            (report,) = read_file(text, "kept")
            assert report.resource is not None, (case.name, text, report.problems)
            assert _content(report.resource) == _content(said.resource)
            kept += 1
    assert kept > 100


def _content(resource: Resource) -> object:
    return resource.model_copy(update={"metadata": resource.name, "api_version": ""})


CUT_OFF = """
import os, sys
from pathlib import Path
from speaker.datastore import edition
from tests.speaker.datastore.test_edition import kept, OLD
from tests.speaker.config.test_contract import CASES
from tests.support.resources import node
real = os.fsync
def fsync(handle):
    real(handle)
    os._exit(9)
os.fsync = fsync
with edition.editing(Path(sys.argv[1])) as edit:
    edit.delete(OLD)
    edit.write()
"""


def test_who_is_killed_before_the_renaming_has_changed_nothing(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(PEERS)
    argv = [sys.executable, "-c", CUT_OFF, str(tmp_path)]
    done = subprocess.run(argv, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 9
    assert file.read_text() == PEERS
    # What is left over is passed over, by the daemon and by the next edit.
    assert len(load_directory(tmp_path).resources.peers) == 2
    delete(tmp_path, OLD)
    assert list(load_directory(tmp_path).resources.peers) == ["tor"]
