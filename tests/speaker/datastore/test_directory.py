"""A watched directory of resources."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from speaker.config.kinds import Kind
from speaker.config.store import Resources
from speaker.datastore.directory import (
    Directory,
    LoadResult,
    load_directory,
    load_resources,
)
from speaker.errors import ConfigError
from tests.support.resources import document, node, peer, settings

TOR = {"peerIP": "10.9.0.1", "asNumber": 65000}


def write(path: Path, *documents: dict[str, Any]) -> None:
    """Replace a file as editors do, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text("\n---\n".join(json.dumps(item) for item in documents))
    draft.replace(path)


class Watched:
    """A directory being watched, with what it yielded and reported."""

    def __init__(self, path: Path) -> None:
        self.snapshots: list[Resources] = []
        self.results: list[LoadResult] = []
        self._changed = asyncio.Event()
        self._directory = Directory(path, self._loaded)

    def _loaded(self, result: LoadResult) -> None:
        self.results.append(result)
        self._changed.set()

    async def run(self) -> None:
        async for resources in self._directory.snapshots():
            self.snapshots.append(resources)
            self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self._changed.wait()
                self._changed.clear()

    async def peers(self, *names: str) -> None:
        """Wait until exactly these BGPPeers are in force."""
        await self.until(lambda: list(self.snapshots[-1].peers) == list(names))

    def places(self) -> list[str]:
        """Give the places of two import rules of the filter ``f``."""
        found = self.snapshots[-1]
        return [found.rule_place(Kind.BGP_FILTER, "f", "importV4", number) for number in (0, 1)]

    async def rules(self, *rules: str) -> None:
        """Wait until exactly these problems are reported."""
        await self.until(lambda: [p.rule for p in self.results[-1].problems] == list(rules))


@asynccontextmanager
async def watching(path: Path) -> AsyncIterator[Watched]:
    watched = Watched(path)
    task = asyncio.create_task(watched.run())
    try:
        await watched.until(lambda: bool(watched.snapshots))
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_directory_is_loaded_with_all_that_is_in_it(tmp_path: Path) -> None:
    write(tmp_path / "nodes.yaml", node("a", "10.0.0.1"), node("b", "10.0.0.2"))
    write(tmp_path / "deep" / "down" / "peers.json", peer("p", **TOR))
    write(tmp_path / "settings.yml", settings(asNumber=5))
    result = load_directory(tmp_path)
    assert result.problems == ()
    assert list(result.resources.nodes) == ["a", "b"]
    assert list(result.resources.peers) == ["p"]
    assert len(result.resources) == 4


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.yaml",
        ".git/x.yaml",
        "#auto#.yaml",
        "x.yaml~",
        ".x.yaml.swp",
        "x.yaml.tmp",
        "x.yaml.bak",
        "README.md",
    ],
)
def test_files_that_are_no_resources_are_passed_over(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, node("a"))
    assert len(load_directory(tmp_path).resources) == 0


def test_a_single_file_may_be_loaded(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", node("a"))
    assert list(load_directory(tmp_path / "x.yaml").resources.nodes) == ["a"]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        load_directory(tmp_path / "nowhere")


def test_a_file_with_problems_contributes_its_valid_documents(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", node("a"), peer("p", peerIP="nonsense"), node("b"))
    result = load_directory(tmp_path)
    assert list(result.resources.nodes) == ["a", "b"]
    (problem,) = result.problems
    assert (problem.file, problem.line, problem.rule) == (str(tmp_path / "x.yaml"), 3, "peer-ip")


def test_resources_that_must_all_be_valid_are_or_are_not(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", node("a"))
    assert list(load_resources(tmp_path).nodes) == ["a"]
    write(tmp_path / "y.yaml", peer("p", peerIP="nonsense"))
    with pytest.raises(ConfigError, match=r"y\.yaml:1:.*peer-ip"):
        load_resources(tmp_path)


def test_warnings_are_told(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", settings(serviceExternalIPs=[{"cidr": "192.0.2.7/32"}]))
    (warning,) = load_directory(tmp_path).warnings
    assert warning.rule == "no-effect"


def test_what_cannot_be_read_is_a_problem_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "good.yaml", node("a"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.yaml").mkdir()
    result = load_directory(tmp_path)
    assert list(result.resources.nodes) == ["a"]
    assert [problem.rule for problem in result.problems] == ["unreadable", "unreadable"]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    write(tmp_path / ".data" / "x.yaml", node("a"))
    (tmp_path / "x.yaml").symlink_to(tmp_path / ".data" / "x.yaml")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert list(load_directory(tmp_path).resources.nodes) == ["a"]


@pytest.mark.asyncio
async def test_edits_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR))
    async with watching(tmp_path) as watched:
        await watched.peers("p")
        write(tmp_path / "sub" / "y.yaml", peer("q", **TOR))
        await watched.peers("p", "q")
        write(tmp_path / "x.yaml", peer("r", **TOR))
        await watched.peers("q", "r")
        (tmp_path / "sub" / "y.yaml").unlink()
        await watched.peers("r")


@pytest.mark.asyncio
async def test_an_edit_that_changes_nothing_yields_nothing(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR))
    async with watching(tmp_path) as watched:
        (tmp_path / "x.yaml").write_text("# words\n" + (tmp_path / "x.yaml").read_text())
        write(tmp_path / "note.txt", {})
        write(tmp_path / "y.yaml", peer("q", **TOR))
        await watched.peers("p", "q")
        assert len(watched.snapshots) == 2


RULES = """\
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: f}
spec:
  importV4:
  - {action: Accept, source: RemotePeers}
  - action: Reject
"""


@pytest.mark.asyncio
async def test_rules_that_only_move_are_an_edit(tmp_path: Path) -> None:
    file, other = tmp_path / "x.yaml", tmp_path / "y.yaml"
    file.write_text(RULES)
    async with watching(tmp_path) as watched:
        assert watched.places() == [f"{file}:6", f"{file}:7"]
        file.write_text(RULES.replace("  - action", "  # words\n  - action"))
        await watched.until(lambda: watched.places() == [f"{file}:6", f"{file}:8"])
        file.rename(other)
        await watched.until(lambda: watched.places() == [f"{other}:6", f"{other}:8"])


@pytest.mark.asyncio
async def test_an_edit_of_several_files_is_one_change(tmp_path: Path) -> None:
    async with watching(tmp_path) as watched:
        for number in range(10):
            write(tmp_path / f"{number}.yaml", peer(f"p{number}", **TOR))
        await watched.until(lambda: len(watched.snapshots[-1].peers) == 10)
        assert len(watched.snapshots) == 2


@pytest.mark.asyncio
async def test_an_invalid_document_leaves_its_last_version_in_force(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR), peer("q", **TOR))
    async with watching(tmp_path) as watched:
        write(
            tmp_path / "x.yaml",
            peer("p", peerIP="nonsense"),
            peer("q", **TOR, filters=["f"]),
            peer("r", **TOR),
        )
        await watched.peers("p", "q", "r")
        await watched.rules("peer-ip")
        current = watched.snapshots[-1]
        assert current.peers["p"].spec.as_number == 65000
        assert current.peers["q"].spec.filters == ["f"]
        write(tmp_path / "x.yaml", peer("p", **TOR, filters=["f"]))
        await watched.peers("p")
        await watched.rules()
        assert watched.snapshots[-1].peers["p"].spec.filters == ["f"]


@pytest.mark.asyncio
async def test_a_file_that_does_not_parse_keeps_its_documents_in_force(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR))
    write(tmp_path / "y.yaml", peer("q", **TOR))
    async with watching(tmp_path) as watched:
        (tmp_path / "x.yaml").write_text("spec: [")
        write(tmp_path / "y.yaml", peer("s", **TOR))
        await watched.peers("p", "s")
        await watched.rules("yaml")
        (tmp_path / "x.yaml").unlink()
        await watched.peers("s")
        await watched.rules()


@pytest.mark.asyncio
async def test_an_unreadable_file_keeps_its_documents_in_force(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR))
    async with watching(tmp_path) as watched:
        (tmp_path / "x.yaml").write_bytes(b"\xff\xff")
        await watched.rules("unreadable")
        await watched.peers("p")


@pytest.mark.asyncio
async def test_a_name_used_twice_leaves_the_one_in_force(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", peer("p", **TOR))
    async with watching(tmp_path) as watched:
        write(tmp_path / "a.yaml", peer("p", **TOR, filters=["f"]))
        await watched.rules("duplicate-name")
        assert watched.results[-1].problems[0].file == str(tmp_path / "a.yaml")
        assert watched.snapshots[-1].peers["p"].spec.filters == []
        (tmp_path / "x.yaml").unlink()
        await watched.until(lambda: watched.snapshots[-1].peers["p"].spec.filters == ["f"])


@pytest.mark.asyncio
async def test_a_directory_that_vanishes_and_comes_back_is_survived(tmp_path: Path) -> None:
    home = tmp_path / "resources"
    write(home / "x.yaml", peer("p", **TOR))
    async with watching(home) as watched:
        shutil.rmtree(home)
        await watched.rules("vanished")
        await watched.peers("p")
        write(home / "y.yaml", peer("q", **TOR))
        await watched.peers("q")
        await watched.rules()


@pytest.mark.asyncio
async def test_a_directory_may_come_later(tmp_path: Path) -> None:
    home = tmp_path / "resources"
    async with watching(home) as watched:
        await watched.rules("vanished")
        write(home / "x.yaml", peer("p", **TOR))
        await watched.peers("p")


@pytest.mark.asyncio
async def test_a_mounted_config_map_is_followed(tmp_path: Path) -> None:
    """Kubernetes swaps a hidden link to a hidden directory; the visible links stay as they are."""
    write(tmp_path / "..one" / "x.yaml", peer("p", **TOR))
    write(tmp_path / "..two" / "x.yaml", peer("q", **TOR))
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "x.yaml").symlink_to("..data/x.yaml")
    async with watching(tmp_path) as watched:
        await watched.peers("p")
        (tmp_path / "..new").symlink_to("..two")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        await watched.peers("q")


@pytest.mark.asyncio
async def test_a_filter_stays_in_force_until_a_policy_of_its_name_is_valid(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", document("BGPFilter", "f", {"importV4": [{"action": "Reject"}]}))
    async with watching(tmp_path) as watched:
        write(tmp_path / "x.yaml", document("RoutePolicy", "f", {"importV4": [{}]}))
        await watched.rules("required")
        assert list(watched.snapshots[-1].filters) == ["f"]
        write(tmp_path / "x.yaml", document("RoutePolicy", "f", {}))
        await watched.until(lambda: list(watched.snapshots[-1].policies) == ["f"])
        await watched.rules()
        assert not watched.snapshots[-1].filters


@pytest.mark.asyncio
async def test_a_policy_does_not_take_the_name_of_a_filter_in_force(tmp_path: Path) -> None:
    write(tmp_path / "x.yaml", document("BGPFilter", "f", {}))
    async with watching(tmp_path) as watched:
        write(tmp_path / "a.yaml", document("RoutePolicy", "f", {}))
        await watched.rules("duplicate-name")
        assert watched.results[-1].problems[0].file == str(tmp_path / "a.yaml")
        assert (list(watched.snapshots[-1].filters), len(watched.snapshots)) == (["f"], 1)
