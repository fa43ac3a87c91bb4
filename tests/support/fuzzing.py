"""Messages that went wrong on the way: real ones, and what chance makes of them.

`corpus` has messages of every type, those that other daemons have sent among them (`captured`), and
one malformed message for each row of the table of errors. `Mutator` changes them as links, memories
and ill will do: bits, octets, pieces that are cut out, doubled, swapped with another message's, and
lengths that no longer fit. It is a plain generator of pseudo-random numbers away from being
repeatable, so a finding is named by its seed.

`Target` is what octets are thrown at: a peer's way in, behind it tables and the way out.
"""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator
from typing import TypeAlias

from fsm.errors import BgpError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, NAMES, Afi
from fsm.messages import (
    AddPath,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
    Open,
    RouteRefresh,
    RouteRefreshCapability,
    UnknownCapability,
)
from fsm.notifications import Notification, shutdown_communication
from policy.attributes import tlv, tlvs
from policy.path import Path
from speaker.wire.codec import encode
from speaker.wire.framing import KEEPALIVE_MESSAGE, MARKER, UPDATE, message
from speaker.wire.update import Packer, end_of_rib, pack_withdrawals, sections
from tests.support.builders import Facts, few_prefixes, with_id
from tests.support.builders import body as update_body
from tests.support.malformed import CASES, GOOD
from tests.support.pipeline import Pipeline, pass_on
from tests.support.relayed import NEXT_HOPS, SAMPLES, reach, unreach

RECORDED = pathlib.Path(__file__).parents[1] / "recorded" / "messages.txt"

_GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
_HEADER = 19
_INTERESTING = (0, 1, 2, 3, 4, 5, 7, 8, 14, 15, 16, 17, 32, 33, 64, 127, 128, 129, 192, 254, 255)
_Attribute: TypeAlias = tuple[int, int, bytes]

ROUNDS = 1000
"""Messages after which a target is made anew, so that its tables stay small."""


def captured() -> dict[bytes, str]:
    """Give messages that daemons have sent, and which daemon it was."""
    lines = RECORDED.read_text(encoding="ascii").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {bytes.fromhex(octets): daemon for daemon, octets in pairs}


def corpus(*, several: bool = False) -> list[bytes]:
    """Give real messages, most of them UPDATEs.

    Args:
        several: there are such with path identifiers among them, and with next hops of RFC 8950.
    """
    return [*_plain(), *(_of_several_paths() * 20 if several else ())]


def _of_several_paths() -> list[bytes]:
    """Announce and withdraw prefixes behind identifiers, also one and none of them twice."""
    found = []
    for family, width in ((IPV4_UNICAST, 16), (IPV6_UNICAST, 16), (IPV6_UNICAST, 32)):
        nlris = few_prefixes(3, family.afi)
        keys = [*with_id(0, nlris), *with_id(7, nlris), *with_id(0, nlris[:1])]
        next_hop = (_GLOBAL * 2)[:width]
        attributes = Facts(next_hop=b"").encode()
        found += Packer(family, path_ids=True).pack(attributes, next_hop, keys)
        found += pack_withdrawals(family, keys, path_ids=True)
    keys = with_id(0xFFFFFFFF, few_prefixes(6))
    found += Packer(IPV4_UNICAST, path_ids=True).pack(Facts().encode(), b"", keys)
    return found


def _plain() -> list[bytes]:
    four, six = few_prefixes(6), few_prefixes(6, Afi.IPV6)
    rich = Facts(
        path=((2, (65001, 70000)), (1, (3, 4)), (2, (5,))),
        med=1,
        local_pref=100,
        communities=(1, 0xFFFF0000),
        originator_id=9,
        clusters=(1, 2),
        large=((1, 2, 3),),
    ).encode()
    more = b"".join(
        tlv(0xC0, code, value) for code, value in GOOD.items() if code not in (1, 3, 4, 5, 9, 10)
    )
    narrow = Facts().encode(as_octets=2)
    capabilities = (
        Multiprotocol(IPV4_UNICAST),
        Multiprotocol(IPV6_UNICAST),
        RouteRefreshCapability(),
        EnhancedRouteRefresh(),
        ExtendedMessage(),
        ExtendedNextHop(((IPV4_UNICAST, Afi.IPV6),)),
        FourOctetAs(70000),
        GracefulRestart(True, True, 120, ((IPV4_UNICAST, True), (IPV6_UNICAST, False))),
        AddPath(((IPV6_UNICAST, 3),)),
        UnknownCapability(73, b"\4host\0"),
    )
    return [
        *captured(),
        *(case.message for case in CASES.values() if len(case.message) < 600),
        *Packer(IPV4_UNICAST).pack(rich, b"", four),
        *Packer(IPV4_UNICAST).pack(Facts().encode() + more, b"", four),
        *Packer(IPV4_UNICAST).pack(narrow, b"", four),
        *Packer(IPV6_UNICAST).pack(Facts(next_hop=b"").encode(), _GLOBAL, six),
        *Packer(IPV6_UNICAST).pack(Facts(next_hop=b"").encode(), _GLOBAL * 2, six),
        *pack_withdrawals(IPV4_UNICAST, four),
        *pack_withdrawals(IPV6_UNICAST, six),
        *_relayed(Facts(next_hop=b"").encode()),
        end_of_rib(IPV4_UNICAST),
        end_of_rib(IPV6_UNICAST),
        encode(Open(23456, 90, 0x0A000001, capabilities)),
        encode(RouteRefresh(IPV6_UNICAST)),
        encode(Notification(6, 2, shutdown_communication("down for repair"))),
        KEEPALIVE_MESSAGE,
    ]


def _relayed(attributes: bytes) -> Iterator[bytes]:
    """Announce and withdraw routes of other families."""
    for name, nlri in SAMPLES.items():
        family, next_hop = NAMES[name], NEXT_HOPS.get(name, b"\x0a\0\0\1")
        told = reach(family, nlri, next_hop) + attributes
        for octets in (told, unreach(family, nlri)):
            yield message(UPDATE, update_body(b"", octets))


def _fields(body: bytes) -> tuple[bytes, list[_Attribute], bytes] | None:
    """Take an UPDATE apart, if it is in order as far as that goes."""
    try:
        withdrawn, attributes, nlri = sections(body)
        parts = list(tlvs(attributes))
    except (BgpError, IndexError):
        return None
    return withdrawn, parts, nlri


class Mutator:
    """An endless source of messages that went wrong.

    Args:
        seed: equal seeds give equal messages.
        several: as in `corpus`.
    """

    def __init__(self, seed: int, *, several: bool = False) -> None:
        self._random = random.Random(seed)
        self._corpus = corpus(several=several)

    def messages(self, count: int) -> Iterator[bytes]:
        """Give so many messages; the header of most is in order, so that the body is looked at."""
        draw = self._random
        for _ in range(count):
            octets = draw.choice(self._corpus)
            if draw.random() < 0.05:
                yield bytes(self._mutate(bytearray(octets)))
                continue
            body = bytearray(octets[_HEADER:])
            for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
                fields = _fields(bytes(body)) if octets[18] == UPDATE else None
                if fields is not None and draw.random() < 0.8:
                    body = self._mutate_field(*fields)
                else:
                    body = self._mutate(body)
            kind = octets[18] if draw.random() < 0.98 else draw.randrange(7)
            yield message(kind, bytes(body[:4000]))

    def _mutate_field(
        self, withdrawn: bytes, attributes: list[_Attribute], nlri: bytes
    ) -> bytearray:
        """Change one field of an UPDATE, or one attribute, and have the lengths fit again."""
        draw = self._random
        match draw.randrange(12):
            case 0:
                withdrawn = bytes(self._mutate(bytearray(withdrawn)))
            case 1:
                nlri = bytes(self._mutate(bytearray(nlri)))
            case 2:
                draw.shuffle(attributes)
            case 3 if attributes:
                attributes.append(draw.choice(attributes))
            case 4:
                other = _fields(draw.choice(self._corpus)[_HEADER:])
                attributes += other[1] if other is not None else []
            case _ if attributes:
                self._mutate_attribute(attributes)
        whole = b"".join(tlv(*each) for each in attributes)
        return bytearray(update_body(withdrawn, whole[:65000], nlri))

    def _mutate_attribute(self, attributes: list[_Attribute]) -> None:
        draw = self._random
        at = draw.randrange(len(attributes))
        flags, code, value = attributes[at]
        match draw.randrange(6):
            case 0:
                del attributes[at]
                return
            case 1:
                flags ^= 1 << draw.randrange(8)
            case 2:
                code = draw.choice((*GOOD, 2, 14, 15, 99))
            case _:
                value = bytes(self._mutate(bytearray(value)))
        attributes[at] = flags, code, value[:65535]

    def _mutate(self, octets: bytearray) -> bytearray:
        draw = self._random
        at = draw.randrange(len(octets) + 1)
        end = min(len(octets), at + draw.choice((1, 2, 4, 7, 20)))
        match draw.randrange(8) if octets else 5:
            case 0 if at < len(octets):
                octets[at] ^= 1 << draw.randrange(8)
            case 1 if at < len(octets):
                octets[at] = draw.choice(_INTERESTING)
            case 2 if at < len(octets):
                octets[at] = draw.randrange(256)
            case 3:
                del octets[at:end]
            case 4:
                octets[at:at] = octets[at:end] * draw.choice((1, 1, 2, 50))
            case 5:
                octets[at:at] = draw.randbytes(draw.choice((1, 2, 4, 16)))
            case 6:
                other = draw.choice(self._corpus)[_HEADER:]
                start = draw.randrange(len(other) + 1)
                octets[at:end] = other[start : start + draw.choice((1, 4, 7, 20, 60))]
            case _:
                del octets[at:]
        return octets


class Target:
    """A peer's way in, and the way out of what it let pass.

    Args:
        internal: the peer is in our AS.
        four_octet_as: AS numbers take four octets.
        several: the peer tells path identifiers, and IPv6 next hops for IPv4.
    """

    def __init__(self, *, internal: bool, four_octet_as: bool, several: bool = False) -> None:
        self._kind = internal, four_octet_as, several
        self._rounds = 0
        self._passed: set[Path] = set()
        self._renew()

    def _renew(self) -> None:
        internal, four, several = self._kind
        self._pipeline = Pipeline(
            internal=internal, four_octet_as=four, extended=True, several=several
        )
        self._passed.clear()

    def take(self, octets: bytes) -> bool:
        """Take octets as they come over one connection.

        Returns:
            Whether the session is still there.

        Raises:
            Exception: a finding: something else than a `BgpError` came out.
        """
        self._rounds += 1
        if self._rounds % ROUNDS == 0:
            self._renew()
        pipeline = self._pipeline
        pipeline.framer.error = None
        pipeline.is_over = False
        # Each message comes on a connection of its own; the tables stay, and fill.
        pipeline.framer = type(pipeline.framer)()
        pipeline.framer.max_length = 65535
        pipeline.heard.clear()
        pipeline.feed(octets)
        self._look()
        return not pipeline.is_over

    def _look(self) -> None:
        for path in self._pipeline.session.table.paths():
            if path not in self._passed:
                self._passed.add(path)
                pass_on(path)


def updates(octets: bytes) -> bytes:
    """Make an UPDATE of any octets."""
    return message(UPDATE, octets[: 65535 - len(MARKER) - 3])
