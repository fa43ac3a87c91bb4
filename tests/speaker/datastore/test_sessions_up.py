"""Whose sessions were up outlasts the process, and a file that is no good stops nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from speaker.datastore import sessions_up
from speaker.errors import ConfigError


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    told = {
        "Mesh_10_0_0_2": {IPV4_UNICAST: True},
        "b": {IPV4_UNICAST: False, IPV6_UNICAST: True},
        "c": {},
    }
    sessions_up.save(tmp_path, told)
    assert sessions_up.load(tmp_path) == told
    sessions_up.save(tmp_path, {})
    assert sessions_up.load(tmp_path) == {}


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert sessions_up.load(tmp_path) is None
    sessions_up.save(tmp_path, {"a": {}})
    sessions_up.forget(tmp_path)
    sessions_up.forget(tmp_path)
    assert sessions_up.load(tmp_path) is None


NONSENSE = (
    "",
    "{",
    "[]",
    "{}",
    '{"sessions": 1}',
    '{"sessions": {"a": {"ipv9": true}}}',
    '{"sessions": {"a": ["x"]}}',
    "\xff",
)


@pytest.mark.parametrize("text", NONSENSE)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / sessions_up.STATE_FILE
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=str(file)):
        sessions_up.load(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        sessions_up.save(tmp_path / "nowhere", {})
