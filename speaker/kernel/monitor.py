"""Hear what changes in the kernel: links, addresses, routes.

The socket is subscribed to the kernel's multicast groups. What we do ourselves would come back as
well, a million echoes for a million routes; a filter of four instructions in the kernel drops every
notification that our own sending socket caused, so echoes cost nothing here.

When notifications came faster than they were read, the kernel says ENOBUFS and some are lost:
`Monitor.read` raises `Overrun`, and the reader has to look at everything again.

`Neighbourhood` is the state that link and address notifications add up to.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

from speaker.kernel.messages import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Message,
    read_address,
    read_link,
)
from speaker.kernel.netlink import (
    RECEIVE,
    SO_ATTACH_FILTER,
    SOL_NETLINK,
    open_netlink,
)
from speaker.kernel.routes import Address, AddressesChanged, Link, LinksChanged

NETLINK_ADD_MEMBERSHIP = 1
GROUPS = (1, 5, 7, 9, 11)
"""Links; addresses and routes of IPv4; addresses and routes of IPv6 (RTNLGRP numbers)."""

NEXTHOP_GROUP = 32
"""Next-hop objects."""

READS = 64
"""Datagrams read in one go before others get their turn."""


class Overrun(Exception):  # noqa: N818 - a condition to handle, not a fault
    """Notifications were lost."""


class Monitor:
    """The subscribed socket.

    Args:
        mute: netlink address of the socket whose doings are not to be heard.
        receive_buffer: octets that wait for us at most.
    """

    def __init__(self, mute: int, *, receive_buffer: int = 32 << 20) -> None:
        self._socket = open_netlink(receive_buffer=receive_buffer)
        self._socket.setblocking(False)
        _attach_filter(self._socket, mute)
        for group in GROUPS:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        with suppress(OSError):
            # Kernels before 5.3 have no next-hop objects, and no group for them.
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NEXTHOP_GROUP)

    def fileno(self) -> int:
        """Give the socket's descriptor, to be waited on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def read(self, limit: int = READS) -> list[bytes]:
        """Read what has come, at most ``limit`` datagrams.

        Raises:
            Overrun: some were lost.
        """
        read: list[bytes] = []
        while len(read) < limit:
            try:
                read.append(self._socket.recv(RECEIVE))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                raise Overrun from error
        return read


def _attach_filter(target: socket.socket, mute: int) -> None:
    """Drop messages whose nlmsg_pid is ``mute`` (classic BPF).

    BPF loads in network byte order, the field is in the machine's.
    """
    value = socket.htonl(mute)
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 12),  # load the word at octet 12
            (0x15, 0, 1, value),  # equal: go on; else skip one
            (0x06, 0, 0, 0),  # drop
            (0x06, 0, 0, 0xFFFFFFFF),  # keep whole
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    target.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(buffer))
    )


class Neighbourhood:
    """All links and addresses, and what changed of them since last asked.

    Attributes:
        fell: whether a link or an address was not there, if only for a moment, between the last two
            times when `changes` was asked.
    """

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.addresses: dict[Address, None] = {}
        self.fell = False
        self._fell = False
        self._links: dict[int, Link | None] = {}
        self._addresses: dict[Address, bool] = {}

    def hear(self, data: bytes, message: Message) -> None:
        """Take in a notification about a link or an address."""
        if message.type in (RTM_NEWLINK, RTM_DELLINK):
            link = read_link(data, message.start, message.end)
            # Bridges tell of their ports in messages of AF_BRIDGE; those are not about the link.
            if data[message.start]:
                return
            self._set_link(link.index, link if message.type == RTM_NEWLINK else None)
        elif message.type in (RTM_NEWADDR, RTM_DELADDR):
            address = read_address(data, message.start, message.end)
            if address is not None:
                self._set_address(address, message.type == RTM_NEWADDR)

    def replace_all(
        self,
        links: Iterable[tuple[bytes, Message]],
        addresses: Iterable[tuple[bytes, Message]],
    ) -> None:
        """Take in whole dumps."""
        there = {link.index: link for link in (read_link(d, m.start, m.end) for d, m in links)}
        for index in self.links.keys() - there.keys():
            self._set_link(index, None)
        for index, link in there.items():
            self._set_link(index, link)
        ours = {read_address(data, m.start, m.end) for data, m in addresses} - {None}
        for address in [a for a in self.addresses if a not in ours]:
            self._set_address(address, False)
        for found in ours:
            if found is not None:
                self._set_address(found, True)

    def changes(self) -> list[LinksChanged | AddressesChanged]:
        """Give what changed since last asked, as events."""
        events: list[LinksChanged | AddressesChanged] = []
        if self._links:
            now = tuple(link for link in self._links.values() if link is not None)
            gone = tuple(index for index, link in self._links.items() if link is None)
            events.append(LinksChanged(now, gone))
        if self._addresses:
            have = tuple(address for address, ours in self._addresses.items() if ours)
            lost = tuple(address for address, ours in self._addresses.items() if not ours)
            events.append(AddressesChanged(have, lost))
        self._links, self._addresses = {}, {}
        self.fell, self._fell = self._fell, False
        return events

    def _set_link(self, index: int, link: Link | None) -> None:
        if self.links.get(index) == link:
            return
        self._fell = self._fell or link is None or not link.is_usable
        if link is None:
            del self.links[index]
        else:
            self.links[index] = link
        self._links[index] = link

    def _set_address(self, address: Address, ours: bool) -> None:
        if (address in self.addresses) == ours:
            return
        self._fell = self._fell or not ours
        if ours:
            self.addresses[address] = None
        else:
            del self.addresses[address]
        self._addresses[address] = ours
