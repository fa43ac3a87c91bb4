"""What the kernel tells of a packet."""

from __future__ import annotations

import select
import socket

import pytest

from speaker.bfd.datagrams import SINGLE_HOP, Receiver
from tests.support.netns import needs_namespaces, run_in_namespace

ENDS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.mark.netns
@needs_namespaces
@pytest.mark.parametrize("family", ENDS)
def test_a_packet_comes_with_its_ttl(family: socket.AddressFamily) -> None:
    """By which `Watching` finds those that did not come from the link."""

    def told() -> list[tuple[bytes, int]]:
        receiver = Receiver(family, multihop=False)
        sender = socket.socket(family, socket.SOCK_DGRAM)
        found = []
        for ttl in (255, 64):
            if family == socket.AF_INET:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            else:
                sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
            sender.sendto(b"%d" % ttl, (ENDS[family], SINGLE_HOP))
            assert select.select([receiver], [], [], 10)[0]
            raw = receiver.receive()
            assert raw is not None
            datagram = receiver.understand(raw)
            found.append((datagram.octets, datagram.ttl))
        sender.close()
        receiver.close()
        return found

    assert run_in_namespace(told) == [(b"255", 255), (b"64", 64)]
