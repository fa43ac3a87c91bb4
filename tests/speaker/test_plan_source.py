"""Plans come from a datastore and from the workloads of the node."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from speaker.config.kinds import Kind
from speaker.config.models import Resource
from speaker.config.plan import Plan
from speaker.config.reading import read_file
from speaker.errors import ConfigError
from speaker.plan_source import PlanSource
from tests.support.resources import document, node, peer, settings
from tests.support.routers import on_both_loops

OFF = settings(nodeToNodeMeshEnabled=False)
TOR = peer("tor", node="r1", peerIP="10.9.0.1", asNumber=65000)
PODS = peer("pods", localWorkloadSelector="app == 'router'", asNumber=65001)


class Place:
    """A datastore and the status files of a node's endpoints."""

    def __init__(self, path: Path) -> None:
        self.datastore = path / "etc"
        self.endpoints = path / "felix" / "endpoint-status"
        self.datastore.mkdir()
        self.endpoints.mkdir(parents=True)
        self.write("node.json", node("r1", "10.0.0.1/24"), OFF)

    def write(self, file: str, *documents: object) -> None:
        fresh = self.datastore / f".{file}"
        fresh.write_text("".join(f"---\n{json.dumps(item)}\n" for item in documents))
        fresh.rename(self.datastore / file)

    def start_workload(self, interface: str, address: str) -> None:
        status = {"ifaceName": interface, "ipv4Nets": [f"{address}/32"], "bgpPeerName": "pods"}
        fresh = self.endpoints / f".{interface}"
        fresh.write_text(json.dumps(status))
        fresh.rename(self.endpoints / interface)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[PlanSource]:
        source = PlanSource(self.datastore, "r1")
        async with aclosing(source):
            await source.begin()
            following = asyncio.create_task(source.follow())
            try:
                yield source
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("CALICO_ENDPOINT_STATUS_PATH_PREFIX", str(tmp_path / "felix"))
    return Place(tmp_path)


def peers(plan: Plan) -> list[str]:
    return sorted(each.address for each in plan.peers.values())


async def peers_after(source: PlanSource, number: int) -> list[str]:
    """Wait until the plan has so many peers."""
    async with asyncio.timeout(15):
        while len(source.plan().peers) != number:
            await source.changed.wait()
            source.changed.clear()
    return peers(source.plan())


def read(tree: object) -> Resource:
    (report,) = read_file(json.dumps(tree), "test.json")
    assert report.resource is not None
    return report.resource


@on_both_loops
async def test_resources_and_workloads_that_come_make_another_plan(place: Place) -> None:
    async with place.watched() as source:
        assert not source.changed.is_set()
        assert peers(source.plan()) == []
        place.write("tor.json", TOR)
        assert await peers_after(source, 1) == ["10.9.0.1"]
        place.write("pods.json", PODS)
        place.start_workload("cali1", "10.65.0.7")
        assert await peers_after(source, 2) == ["10.65.0.7", "10.9.0.1"]


@on_both_loops
async def test_the_first_plan_has_the_workloads_already(place: Place) -> None:
    place.write("pods.json", PODS)
    place.start_workload("cali1", "10.65.0.7")
    source = PlanSource(place.datastore, "r1")
    async with aclosing(source):
        await source.begin()
        assert peers(source.plan()) == ["10.65.0.7"]


@on_both_loops
async def test_a_reading_that_is_asked_for_waits_for_nobody(place: Place) -> None:
    source = PlanSource(place.datastore, "r1")
    async with aclosing(source):
        await source.begin()
        place.write("pods.json", PODS)
        place.write("broken.json", {"kind": "BGPPeer"})
        place.start_workload("cali1", "10.65.0.7")
        problems = await source.read_again()
        assert [Path(problem.file).name for problem in problems] == ["broken.json"] * len(problems)
        assert problems
        assert peers(source.plan()) == ["10.65.0.7"]


@on_both_loops
async def test_the_plan_of_an_edit_changes_nothing(place: Place) -> None:
    place.write("tor.json", TOR)
    source = PlanSource(place.datastore, "r1")
    async with aclosing(source):
        await source.begin()
        other = read(peer("other", node="r1", peerIP="10.9.0.2", asNumber=65000))
        would_be = source.plan_with([other], [(Kind.BGP_PEER, "tor")])
        assert peers(would_be) == ["10.9.0.2"]
        assert peers(source.plan()) == ["10.9.0.1"]
        with pytest.raises(ConfigError, match="there is no Node r1"):
            source.plan_with([], [(Kind.NODE, "r1")])


@on_both_loops
async def test_what_is_refused_is_told_once_for_as_long_as_it_lasts(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        events = [getattr(record, "event", "") for record in caplog.records]
        caplog.clear()
        return [event for event in events if event in ("edit_refused", "document_warning")]

    caplog.set_level(logging.INFO, "wren")
    bad = document("BGPPeer", "bad", {"peerIP": "10.9.0.3", "asNumber": -1})
    place.write("bad.json", bad)
    source = PlanSource(place.datastore, "r1")
    async with aclosing(source):
        await source.begin()
        assert told() == ["edit_refused"]
        await source.read_again()
        assert told() == []
        place.write("bad.json", TOR)
        await source.read_again()
        assert told() == []
        place.write("bad.json", bad)
        await source.read_again()
        assert told() == ["edit_refused"]
