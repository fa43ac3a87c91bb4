"""What `docs/lab.md` shows is what the lab does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import loads
from lab.errors import TopologyError
from lab.kinds import DAEMONS
from lab.topology import Kind
from tests.support.netns import needs_namespaces

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_topology_is_one(text: str) -> None:
    assert loads(text, name="first").name in ("first", "rack", "cluster", "reflector", "roles")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("nodes", "{nodes: {h: {kind: host, zzz: 1}}}"),
        ("bgp", "{nodes: {h: {kind: host}}, bgp: [{between: [h, h], zzz: 1}]}"),
    ],
)
def test_every_key_that_is_read_has_a_row(place: str, text: str) -> None:
    section = TEXT.partition(f"\n### `{place}`\n")[2].partition("\n### ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == known_keys(text)


def test_the_keys_at_the_top_stand_in_an_example() -> None:
    (example,) = [text for text in blocks("yaml") if "name: rack" in text]
    assert set(re.findall(r"^(\w+):", example, re.MULTILINE)) == known_keys(
        "{zzz: 1, nodes: {h: {kind: host}}}"
    )


def test_every_key_of_a_peer_is_named() -> None:
    peer = "{nodes: {h: {kind: bird, peers: [{address: 10.0.0.1, asn: 1, zzz: 1}]}}}"
    (sentence,) = re.findall(r"An entry of a node's `peers` has (.*?)\.\n", TEXT, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == known_keys(peer)


def known_keys(text: str) -> set[str]:
    """Ask the reader, which names what it knows when it meets what it does not."""
    with pytest.raises(TopologyError) as caught:
        loads(text)
    return set(str(caught.value).partition("known: ")[2].split(", "))


def test_the_table_of_daemons_is_true() -> None:
    for kind, daemon in DAEMONS.items():
        (row,) = re.findall(rf"^\| `{kind}` \| (.*) \| (.*) \| (.*) \|$", TEXT, re.MULTILINE)
        assert kind is Kind.WREN or row[0] == f"`{daemon.package}`"
        assert row[1].startswith("yes" if daemon.programs_kernel else "no")
        assert row[2].startswith("no" if daemon.changes_user else "yes")


@pytest.mark.netns
@pytest.mark.interop
@needs_namespaces
def test_the_test_that_is_shown_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rack,) = [text for text in blocks("yaml") if "name: rack" in text]
    shown = rack.replace("name: rack", f"name: shown{os.getpid()}")
    (tmp_path / "rack.yaml").write_text(shown)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Callable[[], None]] = {}
    exec(compile(blocks("python")[0], "docs/lab.md", "exec"), names)

    names["test_a_killed_router_loses_no_kernel_route"]()


@pytest.mark.netns
@pytest.mark.interop
@needs_namespaces
def test_the_first_lab_does_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(blocks("yaml")[0])
    (shown,) = blocks("console")
    commands = re.findall(r"^\$ wren lab (.*)$", shown, re.MULTILINE)
    # A /run of its own, in which this lab is the only one. The session needs its time.
    wait = "until ip -n wl-first.%s route | grep -q ^10[.]; do sleep 0.05; done"
    script = ["set -e", "mount -t tmpfs tmpfs /run", f'lab() {{ {sys.executable} -m lab "$@"; }}']
    for command in commands:
        script += [f"echo '$ wren lab {command}'", f"lab {command}"]
        script += [wait % "r1", wait % "r2"] if command.startswith("up ") else []
    done = subprocess.run(
        ["unshare", "--mount", "--", "sh", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert without_times(done.stdout) == without_times(shown)


def without_times(text: str) -> str:
    return re.sub(r"rtt .*", "", text)
