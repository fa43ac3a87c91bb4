"""Two netlink sockets: one that sends batches of route messages, one that reads dumps.

The kernel works through a batch inside the ``send`` itself, with the interpreter lock released, so
when `RouteSocket.exchange` returns everything is done. Success is silent; each failure is answered
by an error that names the message's sequence number, which is its place in the batch, and these
answers are waiting by then. If there were more of them than the receive buffer holds, some are lost
(ENOBUFS), and the caller is told so: only a scan can tell what happened.

Standards: RFC 3549 §2.2, §2.3.2.1 (acknowledgements).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fsm.family import Afi
from speaker.errors import KernelError
from speaker.kernel.messages import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    messages,
    read_error,
)
from speaker.kernel.requests import Run
from speaker.kernel.routes import Forwarding
from speaker.kernel.stamps import (
    ADDRESS_FAMILY,
    NLM_F_REQUEST,
    Stamps,
    Verb,
    encode,
)

SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_ATTACH_FILTER = 32, 33, 26
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEXTHOP = 18, 22, 26, 106
NLM_F_DUMP = 0x300
RTA_TABLE = 15

ROOM = 640 * 1024
"""Octets in one send at most: the kernel copies a batch into one piece of memory."""

RECEIVE = 1 << 17
PATIENCE = 10
"""Seconds the kernel may take for the next part of a dump."""

DUMP_ATTEMPTS = 3
"""A dump during which the table changed is read again so often; what then is missing, the
notifications tell."""


_LENGTH = struct.Struct("=I")


@dataclass(slots=True)
class Outcome:
    """What became of a batch: errors by place (errno and words), and whether answers were lost."""

    errors: dict[int, tuple[int, str]] = field(default_factory=dict)
    lost: bool = False


def open_netlink(*, send_buffer: int = 0, receive_buffer: int = 0) -> socket.socket:
    """Open a NETLINK_ROUTE socket with buffers as large as we may have them."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    for size, forced, plain in (
        (send_buffer, SO_SNDBUFFORCE, socket.SO_SNDBUF),
        (receive_buffer, SO_RCVBUFFORCE, socket.SO_RCVBUF),
    ):
        if not size:
            continue
        try:
            opened.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            # In a user namespace the system's limits hold for us.
            opened.setsockopt(socket.SOL_SOCKET, plain, size)
    for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
        # An older kernel gives longer and plainer answers; the readers take them too.
        with suppress(OSError):
            opened.setsockopt(SOL_NETLINK, option, 1)
    opened.bind((0, 0))
    return opened


class RouteSocket:
    """Send batches of route messages.

    Args:
        table: our routing table.
        protocol: our protocol number.
        receive_buffer: octets for answers.
    """

    def __init__(self, table: int, protocol: int, *, receive_buffer: int = 8 << 20) -> None:
        self._socket = open_netlink(send_buffer=4 * ROOM, receive_buffer=receive_buffer)
        self._stamps = Stamps(table, protocol)
        self._table = table
        self._protocol = protocol

    @property
    def port(self) -> int:
        """The socket's netlink address; notifications of what it did bear it."""
        return int(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close the socket; nothing may be asked after that."""
        self._socket.close()

    def check_permission(self) -> None:
        """Make sure that we may change routes.

        Raises:
            KernelError: we may not.
        """
        if self._ask_in_vain() in (errno.EPERM, errno.EACCES):
            raise KernelError(
                "the kernel does not let this process change routes",
                "run it as root, give it CAP_NET_ADMIN, or leave the kernel out with --no-kernel",
            )

    def wait_for_others(self) -> None:
        """Return when what the kernel is about to do has been done.

        That a link fell is told before its routes are dropped; both happen under the lock that a
        request of ours has to wait for.
        """
        self._ask_in_vain()

    def _ask_in_vain(self) -> int:
        """Ask for the removal of a route that cannot exist; return the kernel's errno."""
        request = encode(
            Verb.REMOVE,
            Afi.IPV4,
            b"\x20\xff\xff\xff\xff",
            Forwarding(metric=0xFFFFFFFF),
            table=self._table,
            protocol=self._protocol,
        )
        outcome = Outcome()
        self._exchange(request, outcome)
        return outcome.errors.get(0, (0, ""))[0]

    def request(self, requests: Sequence[bytes]) -> Outcome:
        """Send requests that are not about routes; their sequence numbers are their places."""
        outcome = Outcome()
        if requests:
            self._exchange(b"".join(requests), outcome)
        return outcome

    def exchange(
        self, afi: Afi, runs: list[Run], refusals: Mapping[int, tuple[int, str]]
    ) -> Outcome:
        """Send requests and collect what went wrong.

        Args:
            afi: family of the prefixes.
            runs: requests.
            refusals: why there is no next-hop object of a number: routes that name it are not even
                asked for.
        """
        outcome = Outcome()
        parts: list[bytearray] = []
        size = place = 0
        for run in runs:
            if run.forwarding.nexthop in refusals and run.verb is not Verb.REMOVE:
                places = range(place, place + len(run.nlris))
                outcome.errors |= dict.fromkeys(places, refusals[run.forwarding.nexthop])
                place = places.stop
                continue
            part = self._stamps.get(run.verb, afi, run.forwarding).ink(run.nlris, place)
            place += len(run.nlris)
            if size + len(part) > ROOM and parts:
                self._exchange(b"".join(parts), outcome)
                parts, size = [], 0
            parts.append(part)
            size += len(part)
        if parts:
            self._exchange(b"".join(parts), outcome)
        return outcome

    def _exchange(self, data: bytes | bytearray, outcome: Outcome) -> None:
        for piece in _pieces(data):
            try:
                self._socket.send(piece)
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EMSGSIZE):
                    raise
                outcome.lost = True
            self._collect(outcome)

    def _collect(self, outcome: Outcome) -> None:
        while True:
            try:
                data = self._socket.recv(RECEIVE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                outcome.lost = True
                continue
            for message in messages(data):
                if message.type == NLMSG_ERROR:
                    place, number, text = read_error(data, message)
                    if number:
                        outcome.errors[place] = (number, text)


def check_permission(table: int, protocol: int) -> None:
    """Make sure that this process may change routes; nothing is changed.

    Raises:
        KernelError: it may not, or netlink cannot be used.
    """
    try:
        opened = RouteSocket(table, protocol)
    except OSError as error:
        raise KernelError(f"netlink cannot be used: {error}") from None
    try:
        opened.check_permission()
    finally:
        opened.close()


def _pieces(data: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Cut a batch that is larger than the room between messages."""
    start = at = 0
    while len(data) - start > ROOM:
        while at - start < ROOM // 2:
            at += int(_LENGTH.unpack_from(data, at)[0]) + 3 & ~3
        yield data[start:at]
        start = at
    yield data[start:]


class DumpSocket:
    """Read whole tables, message by message.

    Attributes:
        interrupted: the table changed while it was read last; something may be missing.
    """

    def __init__(self) -> None:
        self._socket = open_netlink(receive_buffer=1 << 20)
        self._socket.settimeout(PATIENCE)
        self._sequence = 0
        self.interrupted = False

    def close(self) -> None:
        """Close the socket; nothing may be asked after that."""
        self._socket.close()

    def links(self) -> Iterator[tuple[bytes, Message]]:
        """Read all links."""
        return self._dump(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0))

    def addresses(self) -> Iterator[tuple[bytes, Message]]:
        """Read all addresses."""
        return self._dump(RTM_GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0))

    def routes(self, afi: Afi, table: int) -> Iterator[tuple[bytes, Message]]:
        """Read all routes of a table; one that does not exist yet is empty."""
        body = struct.pack("=BBBBBBBBI", ADDRESS_FAMILY[afi], 0, 0, 0, 0, 0, 0, 0, 0)
        return self._dump(RTM_GETROUTE, body + struct.pack("=HHI", 8, RTA_TABLE, table))

    def nexthops(self) -> Iterator[tuple[bytes, Message]]:
        """Read all next-hop objects; none where the kernel has no such thing."""
        return self._dump(RTM_GETNEXTHOP, struct.pack("=BBBBI", 0, 0, 0, 0, 0))

    def _dump(self, kind: int, body: bytes) -> Iterator[tuple[bytes, Message]]:
        self._sequence += 1
        self.interrupted = False
        header = struct.pack(
            "=IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0
        )
        self._socket.send(header + body)
        while True:
            data = self._socket.recv(RECEIVE)
            for message in messages(data):
                if message.sequence != self._sequence:
                    continue
                if message.flags & NLM_F_DUMP_INTR:
                    self.interrupted = True
                if message.type == NLMSG_DONE:
                    return
                if message.type == NLMSG_ERROR:
                    _refused(*read_error(data, message)[1:])
                    return
                yield data, message


def _refused(number: int, text: str) -> None:
    if number not in (0, errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
        reason = text or errno.errorcode.get(number, str(number))
        raise KernelError(f"the kernel does not show its tables: {reason}")
