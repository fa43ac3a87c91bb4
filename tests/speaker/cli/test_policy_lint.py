"""``wren policy lint``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import wren, write_documents
from tests.support.resources import document, node, peer

NODE = node("r1", "10.0.0.1/24", asn=64512)
TOR = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001, filters=["f"])

FILTER = """\
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata:
  name: f
spec:
  exportV4:
  - action: Reject
  importV4:
  - action: Accept
    cidr: 10.0.0.0/8
    matchOperator: In
  - action: {second}
    cidr: 10.1.0.0/16
    matchOperator: In
  - action: Reject
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no daemon of this machine."""
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path / "run"))


def store(tmp_path: Path, second: str) -> Path:
    directory = write_documents(tmp_path / "etc", [NODE, TOR])
    (directory / "f.yaml").write_text(FILTER.format(second=second))
    return directory


def test_a_finding_is_two_lines_with_place_reason_and_advice(tmp_path: Path) -> None:
    directory = store(tmp_path, "Reject")
    done = wren("policy", "lint", directory)
    assert done.exit_code == 1
    decider = "bgpfilter/f importV4[0] (Accept)"
    what = f"never decides: all that it matches is decided by {decider} before"
    assert done.stdout.splitlines() == [
        f"{directory}/f.yaml:12:5: error: spec.importV4[1]: {what} (shadowed)",
        "    what is written here does not happen; move it before that rule, or remove it",
        "1 error, 0 warnings, 0 notes",
    ]


def test_warnings_count_if_asked_for(tmp_path: Path) -> None:
    directory = store(tmp_path, "Accept")
    done = wren("policy", "lint", directory)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "0 errors, 1 warning, 0 notes")
    assert wren("policy", "lint", "--strict", directory).exit_code == 1
    assert wren("policy", "lint", env={"WREN_DATASTORE": str(directory)}).stdout == done.stdout


def test_json(tmp_path: Path) -> None:
    directory = store(tmp_path, "Accept")
    done = wren("policy", "lint", "-o", "json", directory)
    [finding] = json.loads(done.stdout)["findings"]
    assert (done.exit_code, finding["file"]) == (0, f"{directory}/f.yaml")
    assert {key: finding[key] for key in ("severity", "rule", "kind", "name", "line", "field")} == {
        "severity": "warning",
        "rule": "shadowed",
        "kind": "BGPFilter",
        "name": "f",
        "line": 12,
        "field": "spec.importV4[1]",
    }
    assert all(finding[key] for key in ("what", "why", "advice"))


def test_several_files_are_one_set(tmp_path: Path) -> None:
    directory = store(tmp_path, "Accept")
    both = wren("policy", "lint", directory / "f.yaml", directory / "resources.yaml")
    assert both.stdout == wren("policy", "lint", directory).stdout
    alone = wren("policy", "lint", directory / "f.yaml")
    assert "(unused)" in alone.stdout


def test_what_is_refused_is_told_and_is_no_success(tmp_path: Path) -> None:
    directory = write_documents(
        tmp_path / "etc", [NODE, document("BGPFilter", "f", {"importV4": [{"action": "Drop"}]})]
    )
    done = wren("policy", "lint", directory)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"refused: {directory}/resources.yaml:4:")
    assert done.stdout == "0 errors, 0 warnings, 0 notes\n"


def test_a_node_without_a_plan_is_left_out_unless_it_was_asked_for(tmp_path: Path) -> None:
    directory = write_documents(tmp_path / "etc", [NODE, node("r2")])
    done = wren("policy", "lint", directory)
    assert (done.exit_code, done.stdout) == (0, "0 errors, 0 warnings, 0 notes\n")
    assert done.stderr.startswith("left out: Node r2 has no BGP address")
    done = wren("policy", "lint", "--node", "r2", directory)
    assert done.exit_code == 1
    assert done.stderr.startswith("wren: Node r2 has no BGP address")
    assert wren("policy", "lint", "--node", "r1", directory).stderr == ""


def test_wrong_usage(tmp_path: Path) -> None:
    assert wren("policy", "lint", tmp_path / "nothing").exit_code == 1
    assert wren("policy", "lint").exit_code == 2
