"""The door to the machine, as far as any machine answers alike."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from speaker.doctor.machine import Held, Process, ThisMachine
from speaker.privileges.capabilities import Capability
from speaker.privileges.users import User
from tests.support import exposing
from tests.support.routers import free_port
from tests.support.unprivileged import PLACES, common_place, needs_root

HERE = ThisMachine()


@pytest.mark.parametrize(
    ("family", "address", "shown"),
    [
        (socket.AF_INET, "127.0.0.3", "127.0.0.3"),
        (socket.AF_INET, "0.0.0.0", "0.0.0.0"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "::"),
    ],
)
def test_who_listens_is_found(family: socket.AddressFamily, address: str, shown: str) -> None:
    port = free_port()
    assert HERE.held(port) == []
    with socket.create_server((address, port), family=family):
        [held] = HERE.held(port)
    assert (held.address, held.holder.pid) == (shown, os.getpid())
    assert held.holder.name
    assert HERE.held(port) == []


def test_who_hears_on_udp_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearer:
        hearer.bind(("127.0.0.1", 0))
        port = hearer.getsockname()[1]
        [held] = HERE.held(port, udp=True)
    assert (held.address, held.holder.pid) == ("127.0.0.1", os.getpid())
    assert HERE.held(port, udp=True) == []


def test_who_listens_at_a_unix_socket_is_found(tmp_path: Path) -> None:
    path = tmp_path / "bfd.sock"
    assert HERE.listener(path) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert HERE.listener(path) == os.getpid()
    assert HERE.listener(path) is None


def test_a_connection_is_nobody_who_listens() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert HERE.held(client.getsockname()[1]) == []


def test_this_process_is_among_the_processes() -> None:
    assert os.getpid() in {process.pid for process in HERE.processes()}


def test_a_process_that_has_ended_is_none() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in {process.pid for process in HERE.processes()}


def test_a_holder_that_cannot_be_seen_has_no_name() -> None:
    assert str(Held("::", Process()).holder) == "a process we may not see"
    assert str(Process(7, "bird")) == "bird (process 7)"


def test_where_files_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert HERE.may_write(tmp_path)
    assert HERE.may_write(tmp_path / "not" / "yet")
    assert not HERE.may_write(file / "below")
    assert HERE.is_there(str(file))
    assert not HERE.is_there(str(tmp_path / "none"))


def test_settings_are_read_by_their_names() -> None:
    assert HERE.sysctl("net.ipv4.ip_forward") in ("0", "1")
    assert HERE.sysctl("net.ipv4.no_such_thing") is None


def test_capabilities_are_among_those_that_matter() -> None:
    assert HERE.capabilities() <= set(Capability)
    assert isinstance(HERE.may_bind_device(), bool)
    assert HERE.priority_limit() >= 0


def test_a_route_leads_to_ourselves_and_none_to_an_address_without_a_link() -> None:
    assert HERE.has_route("127.0.0.9")
    assert not HERE.has_route("fe80::1%nosuchlink")
    assert not HERE.has_route("224.0.0.300")


def test_the_kernel_shows_links_and_addresses() -> None:
    view = HERE.kernel(254, 12)
    assert "lo" in view.interfaces
    assert "127.0.0.1" in view.addresses


@needs_root
def test_what_a_user_cannot_read_is_found_out_as_that_user(tmp_path: Path) -> None:
    with common_place() as place:
        for name, mode in (("open", 0o644), ("closed", 0o600)):
            (place / name).touch(mode)
        found = HERE.unreadable(User.find("nobody"), [place, place / "open", place / "closed"])
    # Where others may not run Python itself, nothing more can be found out.
    hidden = any(exposing.hidden(each) is not None for each in PLACES)
    assert found == ([Path(sys.executable)] if hidden else [place / "closed"])
