"""From octets on a connection to what they mean, in one go, as a peer's shell does it.

A `Pipeline` takes chunks and writes down what each message was: a value, the faults of an UPDATE,
or the error that ends the session, after which nothing is looked at. Nothing but a `BgpError` may
come out of what it calls. Paths that were accepted are also made ready for other peers, since what
a peer sends must not hurt the way out either.
"""

from __future__ import annotations

from copy import copy
from typing import TypeAlias

from fsm.errors import BgpError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES, RELAYED
from policy.outbound import GroupKey
from policy.path import Path, PeerType, RelayedPath
from policy.prefix import show
from policy.rewriter import rewrite
from speaker.rib.inbound import Inbound
from speaker.wire import framing
from speaker.wire.codec import decode_notification, decode_open, decode_route_refresh, encode
from speaker.wire.framing import Framer
from speaker.wire.verdicts import Fault
from tests.support.builders import OUR_ADDRESS, OUR_AS, Session
from tests.support.routes import EXTERNAL_PEER, INTERNAL_PEER

RawMessage: TypeAlias = tuple[int, bytes]
"""A message's type and its body."""

_UNICAST = (IPV4_UNICAST, IPV6_UNICAST)
_OUR_ADDRESS_6 = bytes.fromhex("20010db80000000000000000000000fe")
_KEYS = [
    GroupKey(IPV4_UNICAST, peer_type, OUR_AS, OUR_ADDRESS, four_octet_as=four)
    for peer_type in PeerType
    for four in (True, False)
]
_RELAY_KEYS = [
    GroupKey(NAMES["l2vpn-evpn"], peer_type, OUR_AS, b"", four_octet_as=four)
    for peer_type in PeerType
    for four in (True, False)
]
_KEYS.append(GroupKey(IPV6_UNICAST, PeerType.EXTERNAL, OUR_AS, _OUR_ADDRESS_6))


class Pipeline:
    """One direction of one session.

    Args:
        internal: the peer is in our AS.
        four_octet_as: AS numbers take four octets.
        extended: messages may have 65535 octets.
        several: unicast prefixes have path identifiers, and IPv4 ones may have IPv6 next hops.

    Attributes:
        heard: what the messages were, in order.
    """

    def __init__(
        self,
        *,
        internal: bool = False,
        four_octet_as: bool = True,
        extended: bool = False,
        several: bool = False,
    ) -> None:
        self.session = Session(
            copy(INTERNAL_PEER if internal else EXTERNAL_PEER),
            families=NAMES.values(),
            four_octet_as=four_octet_as,
            several=_UNICAST if several else (),
            extended_next_hop=frozenset((IPV4_UNICAST,)) if several else frozenset(),
        )
        self.framer = Framer()
        if extended:
            self.framer.max_length = framing.MAX_EXTENDED_LENGTH
        self.heard: list[str] = []
        self.is_over = False

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        for kind, bodies in self.framer.feed(chunk):
            for body in bodies:
                self.take((kind, body))
        if self.framer.error is not None and not self.is_over:
            self._end(self.framer.error)

    def take(self, message: RawMessage) -> None:
        """Take one message."""
        if self.is_over:
            return
        try:
            self.heard.append(f"{message[0]} {decode(message, self.session.inbound)}")
        except BgpError as error:
            self._end(error)

    def _end(self, error: BgpError) -> None:
        self.is_over = True
        self.heard.append(str(error))
        # What the peer is told of it fits into a message that every peer takes.
        assert len(encode(error.notification)) <= framing.MAX_LENGTH

    @property
    def routes(self) -> dict[str, str]:
        """Give what the peer's tables hold, in words."""
        return {
            nlri.hex() if family in RELAYED else show(family.afi, nlri): repr(path.attributes)
            for family in self.session.tables
            for nlri, path in self.session.held(family).items()
        }


def decode(message: RawMessage, inbound: Inbound) -> object:
    """Give the value of a message; of an UPDATE its faults, once its routes are learned.

    Raises:
        BgpError: the session must end.
    """
    kind, body = message
    match kind:
        case framing.OPEN:
            return decode_open(body)
        case framing.UPDATE:
            faults = inbound.learn(body)
            assert all(isinstance(fault, Fault) and str(fault) for fault in faults)
            return faults
        case framing.NOTIFICATION:
            return str(decode_notification(body))
        case framing.ROUTE_REFRESH:
            return decode_route_refresh(body)
    assert kind == framing.KEEPALIVE
    assert body == b""
    return None


def pass_on(path: Path) -> None:
    """Make a path ready for all kinds of peer."""
    if isinstance(path, RelayedPath):
        for key in _RELAY_KEYS:
            assert rewrite(path, key).next_hop == path.attributes.next_hop
        return
    for key in _KEYS:
        if len(path.attributes.next_hop) == len(key.local_address):
            assert rewrite(path, key).raw
