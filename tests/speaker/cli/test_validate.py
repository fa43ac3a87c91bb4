"""``wren validate``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import wren, write_documents
from tests.support.resources import node, peer, settings

BAD = """\
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata:
  name: tor
spec:
  peerIP: 192.0.2.1
  asNumber: 0x
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata:
  name: other
spec:
  peerIP: 192.0.2.2
  asNumber: 64512
"""


def test_good_documents_are_counted(tmp_path: Path) -> None:
    write_documents(tmp_path, [node("r1", "10.0.0.1/24"), peer("t", peerIP="10.0.0.9", asNumber=1)])
    done = wren("validate", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "2 documents checked, 0 invalid, 0 warnings\n")


def test_a_problem_is_a_line_with_place_field_and_rule(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    done = wren("validate", file)
    problem, counted = done.stdout.splitlines()
    assert done.exit_code == 1
    assert problem.startswith(f"{file}:7:3: spec.asNumber: ")
    assert problem.endswith(" (as-number)")
    assert counted == "2 documents checked, 1 invalid, 0 warnings"


def test_json_is_one_object_a_line_for_each_document(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    done = wren("validate", "-o", "json", file)
    bad, good = map(json.loads, done.stdout.splitlines())
    assert done.exit_code == 1
    (problem,) = bad.pop("problems")
    assert bad == {
        "file": str(file),
        "index": 0,
        "kind": "BGPPeer",
        "name": "tor",
        "valid": False,
        "warnings": [],
    }
    assert problem.keys() == {"line", "column", "field", "rule", "message"}
    assert (good["name"], good["valid"], good["index"]) == ("other", True, 1)


def test_documents_of_several_files_are_held_against_each_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_documents(tmp_path / name, [node("r1", "10.0.0.1/24")])
    assert wren("validate", tmp_path / "a").exit_code == 0
    done = wren("validate", tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 1
    assert "already defined" in done.stdout
    assert "(duplicate-name)" in done.stdout


def test_warnings_are_shown_and_are_no_failure(tmp_path: Path) -> None:
    write_documents(
        tmp_path,
        [settings(serviceExternalIPs=[{"cidr": "192.0.2.7/32"}])],
    )
    done = wren("validate", tmp_path)
    assert done.exit_code == 0
    assert "resources.yaml:2:" in done.stdout
    assert ": warning: spec.serviceExternalIPs[0].cidr: " in done.stdout


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = wren("validate", tmp_path / "nothing.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"wren: there is no {tmp_path}/nothing.yaml; ")


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    done = wren("validate", tmp_path / "x.yaml")
    assert done.exit_code == 1
    assert "x.yaml:1:1: cannot be read: not UTF-8" in done.stdout


def test_files_may_be_named_as_for_calicoctl(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    write_documents(tmp_path / "deeper", [node("r1", "10.0.0.1/24")])
    counted = {
        ("-f", tmp_path): "2 documents checked, 1 invalid",
        ("-f", tmp_path, "-R"): "3 documents checked, 1 invalid",
        ("-f", tmp_path / "deeper", "--filename", file): "3 documents checked, 1 invalid",
        ("-f", file, tmp_path / "deeper"): "3 documents checked, 1 invalid",
    }
    for words, wanted in counted.items():
        done = wren("validate", *words)
        assert done.exit_code == 1
        assert done.stdout.splitlines()[-1].startswith(wanted)


def test_documents_may_come_from_standard_input() -> None:
    done = wren("validate", "-f", "-", stdin=BAD)
    assert done.exit_code == 1
    assert done.stdout.startswith("stdin:7:3: spec.asNumber: ")


def test_nothing_to_check_is_an_error_unless_skipped(tmp_path: Path) -> None:
    done = wren("validate", "-f", tmp_path)
    assert (done.exit_code, done.stderr) == (1, f"No resources specified in {tmp_path}\n")
    done = wren("validate", "-f", tmp_path, "--skip-empty")
    assert (done.exit_code, done.stdout) == (0, "0 documents checked, 0 invalid, 0 warnings\n")


def test_no_files_is_wrong_usage() -> None:
    assert wren("validate").exit_code == 2
