"""Reports that the daemon writes into CalicoNodeStatus resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from speaker.config.reading import read_file
from tests.support.houses import House
from tests.support.resources import document
from tests.support.routers import Town, on_both_loops, on_uvloop, until

REPORT = """\
# What we ask for.
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: beside}   # stays as it is
---
apiVersion: projectcalico.org/v3
kind: CalicoNodeStatus
metadata:
  name: report
spec:
  node: r1  # us
  classes: [Agent, BGP, Routes]
  updatePeriodSeconds: %d
---
# And a word at the end.
"""


def status_of(file: Path, name: str = "report") -> dict[str, Any] | None:
    """Read what a resource reports, None if nothing."""
    for item in yaml.safe_load_all(file.read_text()):
        if item and item.get("metadata", {}).get("name") == name:
            status = item.get("status")
            assert status is None or isinstance(status, dict)
            return status
    raise AssertionError(f"{name} is gone")


@on_both_loops
async def test_the_node_that_is_named_reports_and_goes_on_reporting(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        file = house.datastore / "report.yaml"
        file.write_text(REPORT % 1)
        async with house.lived_in() as daemon:
            router = daemon._router
            assert router is not None
            await until(lambda: status_of(file))
            status = status_of(file)
            assert status is not None
            assert status["bgp"]["numberNotEstablishedV4"] == 1
            assert status["agent"]["birdV4"]["routerID"] == "127.0.0.1"
            assert status["lastUpdated"].endswith("Z")
            peer = await town.join(11)
            peer.announce("10.1.0.0/16")
            await until(lambda: (status_of(file) or {})["routes"]["routesV4"], seconds=20)
            status = status_of(file)
            assert status is not None
            assert status["bgp"]["numberEstablishedV4"] == 1
            (route,) = status["routes"]["routesV4"]
            assert (route["type"], route["destination"]) == ("FIB", "10.1.0.0/16")
            assert route["learnedFrom"] == {"sourceType": "BGPPeer", "peerIP": "127.0.0.11"}


@on_uvloop
async def test_a_report_is_no_edit_and_leaves_the_rest_of_its_file_alone(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish(11)
        file = house.datastore / "report.yaml"
        text = REPORT % 0
        file.write_text(text)
        async with house.lived_in() as daemon:
            applied = len(town.said.records)
            await until(lambda: status_of(file))
            answer = await house.ask("reload")
            assert answer == {"changes": [], "problems": []}
            assert daemon._router is not None
        before, after = text.splitlines(), file.read_text().splitlines()
        assert [line for line in after if line in before] == before
        added = [line for line in after if line not in before]
        assert added[0] == "status:"
        assert all(line.startswith("  ") for line in added[1:])
        assert all(report.valid for report in read_file(file.read_text(), str(file)))
        said = [getattr(item, "event", "") for item in town.said.records[applied:]]
        assert "edit_refused" not in said
        assert "report_failed" not in said


@on_uvloop
async def test_nothing_is_written_when_only_the_time_would_change(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish()
        quiet, busy = house.datastore / "quiet.json", house.datastore / "busy.json"
        spec = {"node": "r1", "classes": ["Routes"], "updatePeriodSeconds": 1}
        house.write("quiet.json", document("CalicoNodeStatus", "quiet", spec))
        spec = {**spec, "classes": ["BGP"]}
        house.write("busy.json", document("CalicoNodeStatus", "busy", spec))
        async with house.lived_in():
            await until(lambda: status_of(quiet, "quiet") and status_of(busy, "busy"))
            written = quiet.stat().st_mtime_ns
            house.furnish(11)
            # When this one has looked again, a period later, the quiet one has too.
            await until(lambda: (status_of(busy, "busy") or {})["bgp"]["peersV4"])
            assert quiet.stat().st_mtime_ns == written


@on_uvloop
async def test_a_report_that_is_asked_of_another_node_is_left_to_it(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish()
        theirs, ours = house.datastore / "theirs.json", house.datastore / "ours.yaml"
        spec = {"node": "r2", "classes": ["BGP"], "updatePeriodSeconds": 1}
        house.write("theirs.json", document("CalicoNodeStatus", "theirs", spec))
        async with house.lived_in():
            ours.write_text(REPORT % 0)
            await until(lambda: status_of(ours))
            assert status_of(theirs, "theirs") is None
            house.write(
                "theirs.json", document("CalicoNodeStatus", "theirs", {**spec, "node": "r1"})
            )
            await until(lambda: status_of(theirs, "theirs"))


@on_uvloop
async def test_an_edited_wish_is_followed_and_a_taken_one_is_reported_no_more(
    tmp_path: Path,
) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish()
        file = house.datastore / "report.yaml"
        file.write_text(REPORT % 0)
        async with house.lived_in():
            await until(lambda: set(status_of(file) or {}) == ALL)
            text = file.read_text().replace("[Agent, BGP, Routes]", "[BGP]")
            file.write_text(text)
            await until(lambda: set(status_of(file) or {}) == {"lastUpdated", "bgp"})
            file.unlink()
            await house.ask("reload")
            assert (await house.ask("resources", kind="bgpfilter"))["resources"] == []
            assert not file.exists()


ALL = {"lastUpdated", "agent", "bgp", "routes"}


@on_uvloop
async def test_a_file_that_cannot_be_written_is_told_and_tried_again(tmp_path: Path) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        house.furnish()
        file = house.datastore / "report.yaml"
        # Another document refers to an anchor inside the one that would be written anew.
        file.write_text(
            "apiVersion: projectcalico.org/v3\nkind: List\nitems:\n"
            "- {apiVersion: projectcalico.org/v3, kind: CalicoNodeStatus, metadata: {name: report},"
            " spec: {node: &me r1, classes: [BGP], updatePeriodSeconds: 1}}\n"
            "- {apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: beside},"
            " spec: {node: *me, peerIP: 127.0.0.9, asNumber: 65009}}\n"
        )
        async with house.lived_in():
            await until(lambda: town.said.of("report_failed"))
            (first, *_) = town.said.of("report_failed")
            assert "report.yaml cannot be edited" in first["sentence"]
            fresh = house.datastore / ".report.new"
            fresh.write_text(REPORT % 1)
            fresh.rename(file)
            await until(lambda: status_of(file))
