"""What a service manager is told, and what is taken from it."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path

import pytest

from speaker import log
from speaker.service_manager import ServiceManager
from tests.support.manager import Manager


def test_without_a_manager_nothing_happens() -> None:
    nobody = ServiceManager({}, 1)
    nobody.tell("READY=1")
    assert nobody.barrier() is None
    assert (nobody.listens, nobody.watchdog, nobody.inherited()) == (False, None, [])


def test_words_and_sockets_arrive(tmp_path: Path) -> None:
    with Manager(tmp_path) as manager, socket.create_server(("127.0.0.1", 0)) as door:
        service = ServiceManager(manager.environment, 1)
        assert service.listens
        service.tell("READY=1", "STATUS=well")
        assert manager.hear() == ["READY=1", "STATUS=well"]
        service.tell("FDSTORE=1", "FDNAME=a", sockets=[door])
        manager.hear()
        assert manager.kept["a"].getsockname() == door.getsockname()


def test_an_abstract_address_is_understood() -> None:
    name = f"wren-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}, 1).tell("READY=1")
        assert hears.recv(100) == b"READY=1"


def test_a_barrier_opens_when_the_manager_has_come_to_it(tmp_path: Path) -> None:
    with Manager(tmp_path) as manager:
        barrier = ServiceManager(manager.environment, 1).barrier()
        assert barrier is not None
        assert select.select([barrier], [], [], 0)[0] == []
        assert manager.hear() == ["BARRIER=1"]
        assert select.select([barrier], [], [], 5)[0] == [barrier]
        os.close(barrier)


def test_a_manager_that_is_gone_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log.logger.propagate = True
    service = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}, 1)
    service.tell("READY=1")
    service.tell("WATCHDOG=1")
    assert [record.message for record in caplog.records] == [
        "the service manager cannot be told how this process is: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_if_it_is_meant_for_us(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert ServiceManager(environment, 7).watchdog == seconds


def test_descriptors_that_were_meant_for_another_process_are_left_alone() -> None:
    assert ServiceManager({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7).inherited() == []
