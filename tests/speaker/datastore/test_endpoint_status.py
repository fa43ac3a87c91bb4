"""The directory of status files: what is read, and that changes of it are noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from speaker.config.workloads import Workload
from speaker.datastore.endpoint_status import MAX_FILE, EndpointStatus, Workloads

WITHIN = 15.0


def write(path: Path, name: str, peer: str = "pods", address: str = "10.65.0.7/32") -> None:
    path.mkdir(exist_ok=True)
    status = {"ifaceName": name, "ipv4Nets": [address], "bgpPeerName": peer}
    fresh = path / f".{name}"
    fresh.write_text(json.dumps(status))
    fresh.rename(path / name)


def pod(name: str, address: str = "10.65.0.7") -> Workload:
    return Workload("pods", name, (address,))


def test_files_are_read_and_what_is_no_status_is_told_once(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    status = EndpointStatus(tmp_path, lambda *problem: told.append(problem))
    write(tmp_path, "cali2")
    write(tmp_path, "cali1")
    write(tmp_path, "cali3", peer="")
    (tmp_path / "broken").write_text("{")
    (tmp_path / "large").write_text(" " * (MAX_FILE + 1))
    (tmp_path / "octets").write_bytes(b"\xff")
    (tmp_path / ".hidden").write_text("{")
    (tmp_path / "folder").mkdir()
    for _ in range(2):
        assert status.load() == (pod("cali1"), pod("cali2"))
    assert [Path(file).name for file, _ in told] == ["broken", "large", "octets"]
    (tmp_path / "broken").unlink()
    status.load()
    (tmp_path / "broken").write_text("{")
    status.load()
    assert [Path(file).name for file, _ in told][3:] == ["broken"]


def test_a_directory_that_is_not_there_has_no_workloads(tmp_path: Path) -> None:
    assert EndpointStatus(tmp_path / "nothing", lambda *_: None).load() == ()


def test_changes_are_noticed_from_before_the_directory_is_there(tmp_path: Path) -> None:
    path = tmp_path / "endpoint-status"

    async def follow() -> None:
        snapshots = EndpointStatus(path, lambda *_: None).snapshots()
        assert await following(snapshots) == ()
        write(path, "cali1")
        assert await following(snapshots) == (pod("cali1"),)
        write(path, "cali1", address="10.65.0.8/32")
        assert await following(snapshots) == (pod("cali1", "10.65.0.8"),)
        write(path, "cali9", peer="")
        write(path, "cali2")
        assert await following(snapshots) == (pod("cali1", "10.65.0.8"), pod("cali2"))
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
        assert await following(snapshots) == ()
        await snapshots.aclose()

    asyncio.run(follow())


async def following(snapshots: AsyncIterator[Workloads]) -> Workloads:
    async with asyncio.timeout(WITHIN):
        return await anext(snapshots)
