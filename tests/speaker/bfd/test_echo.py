"""Where echo packets can be looped back, and that those addressed to us are."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fsm.bfd import Settings
from speaker.bfd.datagrams import Datagram
from speaker.bfd.echo import BUDGET, ECHO, Echoes
from speaker.bfd.words import Watch
from tests.support.netns import needs_namespaces, run_in_namespace

WANTED = Settings(required_min_echo_rx_us=50_000)
WATCH = Watch("a", "192.0.2.1", interface="eth0", settings=WANTED)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for name, value in (("ipv4/conf/eth0", "1"), ("ipv6/conf/eth0", "1"), ("ipv4/conf/eth1", "0")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "forwarding").write_text(value)
    return tmp_path


class Sockets:
    """Echoes on sockets that nobody minds."""

    def __init__(self, proc: Path) -> None:
        self.selector = selectors.DefaultSelector()
        self.heard: list[Datagram] = []
        self.echoes = Echoes(self.selector, self._hear, proc)

    def _hear(self, datagram: Datagram) -> bool:
        self.heard.append(datagram)
        return datagram.octets != b"no"

    def turn(self, now: float = 0.0) -> None:
        self.echoes.hear(self.selector.select(5), now)

    def close(self) -> None:
        self.echoes.close()
        self.selector.close()


@pytest.fixture
def sockets(proc: Path) -> Iterator[Sockets]:
    made = Sockets(proc)
    yield made
    made.close()


@pytest.mark.netns
@needs_namespaces
@pytest.mark.parametrize(
    ("watch", "words"),
    [
        (replace(WATCH, settings=Settings()), ""),
        (WATCH, ""),
        (replace(WATCH, peer="2001:db8::1"), ""),
        (replace(WATCH, interface="eth1"), "eth1 does not forward"),
        (replace(WATCH, interface="eth9"), "eth9 does not forward"),
        (replace(WATCH, peer="fe80::1"), "link-local"),
        (replace(WATCH, interface=None, multihop=True), "single hops"),
    ],
)
def test_they_are_taken_where_the_kernel_forwards_them(
    sockets: Sockets, watch: Watch, words: str
) -> None:
    said = run_in_namespace(lambda: sockets.echoes.refusal(watch))
    assert words in said
    assert bool(said) is bool(words)


@pytest.mark.netns
@needs_namespaces
def test_a_port_that_somebody_else_has_is_told(sockets: Sockets) -> None:
    def refused() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("", ECHO))
            return sockets.echoes.refusal(WATCH)

    assert run_in_namespace(refused) == "port 3785 cannot be had: address already in use"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.netns
@needs_namespaces
def test_what_is_addressed_to_us_goes_back_with_a_ttl_less_by_one(
    sockets: Sockets, address: str
) -> None:
    def returned() -> tuple[bytes, int, int]:
        sockets.echoes.refusal(replace(WATCH, peer="2001:db8::1" if ":" in address else WATCH.peer))
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as peer:
            peer.settimeout(10)
            if family == socket.AF_INET6:
                peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            else:
                peer.setsockopt(socket.IPPROTO_IP, 12, 1)
            peer.bind((address, 0))
            for octets in (b"no", b"yes"):
                peer.sendto(octets, (address, ECHO))
                sockets.turn()
            octets, [(_, _, hops)], _, where = peer.recvmsg(100, 100)
        return octets, hops[0], where[1]

    assert run_in_namespace(returned) == (b"yes", 254, ECHO)
    assert [datagram.octets for datagram in sockets.heard] == [b"no", b"yes"]
    assert {datagram.source for datagram in sockets.heard} == {address}


@pytest.mark.netns
@needs_namespaces
def test_a_flood_is_read_so_much_at_a_time(sockets: Sockets) -> None:
    def flood() -> None:
        sockets.echoes.refusal(WATCH)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(BUDGET + 10):
                peer.sendto(b"no", ("127.0.0.1", ECHO))
            sockets.turn(1.0)

    run_in_namespace(flood)
    assert len(sockets.heard) == BUDGET
    assert not sockets.selector.get_map()
    deadline = sockets.echoes.deadline
    assert deadline is not None
    sockets.echoes.hear((), deadline)
    sockets.turn(deadline)
    assert len(sockets.heard) == BUDGET + 10
