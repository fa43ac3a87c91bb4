from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.lab import Lab
from lab.processes import ProcessId
from lab.state import Entry, StateDirectory, labs
from lab.topology import Kind, Node, Topology


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory("rack", tmp_path)
    made.create()
    return made


def test_what_is_recorded_is_read_in_order(state: StateDirectory) -> None:
    written = [
        Entry("namespace", "wl-rack.a"),
        Entry("process", "bird", "a"),
        Entry("process", "bird", "a", 77, 1234),
    ]
    for entry in written:
        state.record(entry)

    assert state.entries() == written
    assert [entry.process for entry in state.processes()] == [ProcessId(77, 1234)]


def test_a_line_that_was_cut_off_announces_nothing(state: StateDirectory) -> None:
    state.record(Entry("namespace", "wl-rack.a"))
    with state.journal.open("a") as journal:
        journal.write('{"what": "namespace", "na')

    assert state.entries() == [Entry("namespace", "wl-rack.a")]


def test_a_lab_is_made_once_until_it_is_removed(state: StateDirectory) -> None:
    with pytest.raises(LabError, match="is up, or was left behind: wren lab down rack"):
        state.create()
    assert labs(state.root) == ["rack"]

    state.remove()
    state.create()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"cannot write .*/file/rack") as caught:
        StateDirectory("rack", tmp_path / "file").create()
    assert "\n" not in str(caught.value)


def test_helpers_hold_the_lock_until_they_end(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.state._LOCK_TIMEOUT", 0.0)
    with state.locked() as there:
        assert there
        helper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=state.inherited)
    with helper:
        with pytest.raises(LabError, match="brought up or down by another"), state.locked():
            pass
        assert helper.stdin is not None
        helper.stdin.close()
        helper.wait()
        with state.locked() as there:
            assert there


def test_nobody_is_locked_out_of_what_is_not_there(tmp_path: Path) -> None:
    with StateDirectory("none", tmp_path).locked() as there:
        assert not there


def test_the_lock_of_a_lab_that_was_replaced_is_of_no_use(state: StateDirectory) -> None:
    descriptor = os.open(state.path, os.O_RDONLY)
    with state.locked() as there:
        assert there
        state.remove()
    with state.locked() as there:
        assert not there
    os.close(descriptor)


def test_a_lab_that_is_not_up_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="lab none is not up: wren lab up FILE"):
        Lab.find("none", tmp_path)


def test_a_lab_that_was_left_half_made_says_how_to_remove_it(state: StateDirectory) -> None:
    with pytest.raises(LabError, match="left behind half made: wren lab down rack"):
        Lab.find("rack", state.root)


def test_no_name_of_a_node_is_the_name_of_a_file_of_the_lab(state: StateDirectory) -> None:
    own = {state.journal.name, state.topology.name}
    for name in own:
        with pytest.raises(LabError, match="is not a name"):
            Topology("t", (Node(name, Kind.HOST),))
