"""pyroute2 is the referee: what we read is what it reads, of the kernel's own octets."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from fsm.family import Afi
from policy.prefix import show, show_address
from speaker.kernel.messages import (
    Message,
    RouteReader,
    attributes,
    messages,
    read_address,
    read_link,
)
from speaker.kernel.netlink import DumpSocket
from speaker.kernel.routes import Forwardings
from tests.support.netns import in_namespace, sh


def surroundings() -> None:
    """Routes of every sort that the readers know, and some that they are to pass over."""
    sh("""
        ip link add v0 type veth peer name v1
        ip addr add 10.1.1.1/24 dev v0
        ip addr add 10.6.6.6 peer 10.6.6.7 dev v0
        ip addr add 2001:db8:1::1/64 dev v0 nodad
        ip link set v0 up
        ip link set v1 up
        ip route add 0.0.0.0/0 via 10.1.1.9
        ip route add 10.8.0.0/15 via 10.1.1.8 metric 77 proto static
        ip route add 10.8.0.0/15 dev v0 metric 78
        ip route add 10.9.0.0/24 proto bird nexthop via 10.1.1.2 weight 5 nexthop via 10.1.1.3
        ip route add 10.9.1.0/24 via inet6 fe80::7 dev v0
        ip route add 10.9.2.0/24 via 10.99.1.1 dev v0 onlink
        ip route add 10.9.3.0/24 tos 0x10 via 10.1.1.2
        ip route add blackhole 10.9.4.0/24
        ip route add unreachable 10.9.5.0/24 metric 4294967295
        ip route add prohibit 10.9.6.0/24
        ip route add throw 10.9.7.7
        ip -6 route add ::/0 via 2001:db8:1::9
        ip -6 route add 2001:db8:a::/48 nexthop via fe80::5 dev v0 nexthop via fe80::6 dev v0
        ip -6 route add 2001:db8:b::/48 via 2001:db8:1::8 metric 7 mtu 1300
        ip -6 route add blackhole 2001:db8:c::/48
        ip -6 route add unreachable 2001:db8:d::1
    """)


def decoded(kind: Any, data: bytes, message: Message) -> Any:
    parsed = kind(data[message.start - 16 : message.end])
    parsed.decode()
    return parsed


def pyroute2_hops(parsed: Any) -> list[tuple[int, str, int]]:
    def gateway(of: Any) -> str:
        via = of.get_attr("RTA_VIA")
        return of.get_attr("RTA_GATEWAY") or (via["addr"] if via else "")

    several = parsed.get_attr("RTA_MULTIPATH")
    if several:
        return sorted((hop["oif"], gateway(hop), hop["hops"] + 1) for hop in several)
    return [(parsed.get_attr("RTA_OIF"), gateway(parsed), 1)] if parsed["type"] == 1 else []


@in_namespace
def test_routes_read_as_pyroute2_reads_them() -> None:
    surroundings()
    dumps, reader = DumpSocket(), RouteReader(Forwardings())
    count = 0
    for afi in (Afi.IPV4, Afi.IPV6, Afi.IPV4, Afi.IPV6):
        for data, message in dumps.routes(afi, 254):
            parsed = decoded(rtmsg, data, message)
            read = reader.read(data, message.start, message.end)
            assert read is not None
            nlri, shape = read
            forwarding = shape.forwarding
            default = "0.0.0.0" if afi is Afi.IPV4 else "::"
            expected = (
                f"{parsed.get_attr('RTA_DST') or default}/{parsed['dst_len']}",
                parsed["type"],
                parsed.get_attr("RTA_PRIORITY") or 0,
                parsed["proto"],
                parsed.get_attr("RTA_TABLE"),
                parsed["scope"],
                parsed["tos"],
                pyroute2_hops(parsed),
            )
            assert expected == (
                show(afi, nlri),
                forwarding.kind,
                forwarding.metric,
                shape.protocol,
                shape.table,
                shape.scope,
                shape.tos,
                sorted(
                    (hop.interface, show_address(hop.gateway) if hop.gateway else "", hop.weight)
                    for hop in forwarding.hops
                ),
            )
            assert forwarding.onlink == (show(afi, nlri) == "10.9.2.0/24")
            count += 1
    dumps.close()
    assert count >= 40


@in_namespace
def test_the_local_table_is_none_of_our_business() -> None:
    surroundings()
    dumps, reader = DumpSocket(), RouteReader(Forwardings())
    read = [
        reader.read(data, message.start, message.end)
        for afi in (Afi.IPV4, Afi.IPV6)
        for data, message in dumps.routes(afi, 255)
    ]
    dumps.close()
    assert len(read) > 5
    assert set(read) == {None}


@in_namespace
def test_a_table_that_does_not_exist_is_empty() -> None:
    dumps = DumpSocket()
    assert list(dumps.routes(Afi.IPV4, 4711)) == []
    assert list(dumps.routes(Afi.IPV6, 4711)) == []
    dumps.close()


@in_namespace
def test_links_and_addresses_read_as_pyroute2_reads_them() -> None:
    surroundings()
    sh("ip link set v1 down")
    dumps = DumpSocket()
    for data, message in dumps.links():
        parsed = decoded(ifinfmsg, data, message)
        link = read_link(data, message.start, message.end)
        info = parsed.get_attr("IFLA_LINKINFO")
        assert (parsed["index"], parsed.get_attr("IFLA_IFNAME")) == (link.index, link.name)
        assert bool(parsed["flags"] & 1) == link.is_up
        assert link.kind == (info.get_attr("IFLA_INFO_KIND") if info else "loopback")
        # Without its peer being up, a veth has no carrier.
        assert link.is_usable == (link.name == "lo")
    for data, message in dumps.addresses():
        parsed = decoded(ifaddrmsg, data, message)
        address = read_address(data, message.start, message.end)
        assert address is not None
        ours = parsed.get_attr("IFA_LOCAL") or parsed.get_attr("IFA_ADDRESS")
        assert (ours, parsed["prefixlen"], parsed["index"]) == (
            show_address(address.address),
            address.length,
            address.interface,
        )
    dumps.close()


@given(st.binary(max_size=300))
def test_garbage_is_walked_without_a_fault(data: bytes) -> None:
    for message in messages(data):
        assert message.end <= len(data)
    assert all(isinstance(value, bytes) for value in attributes(data, 0, len(data)).values())


def test_a_point_to_point_address_is_our_end() -> None:
    body = bytes((2, 32, 0, 0)) + (7).to_bytes(4, "little")
    peer, ours = socket.inet_aton("10.6.6.7"), socket.inet_aton("10.6.6.6")
    data = body + b"\x08\0\x01\0" + peer + b"\x08\0\x02\0" + ours
    read = read_address(data, 0, len(data))
    assert read is not None
    assert read.address == ours
