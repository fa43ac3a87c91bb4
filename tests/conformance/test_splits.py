"""TCP has no messages: however a stream is cut into segments, it says the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from fsm.messages import (
    AddPath,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
    Open,
    RouteRefresh,
    RouteRefreshCapability,
)
from fsm.notifications import Notification, shutdown_communication
from policy.attributes import Attribute, tlv
from speaker.wire.codec import encode
from speaker.wire.framing import (
    KEEPALIVE,
    KEEPALIVE_MESSAGE,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    message,
)
from speaker.wire.update import Packer, end_of_rib, pack_withdrawals
from tests.support.builders import Facts, body, facts, few_prefixes
from tests.support.malformed import CASES
from tests.support.pipeline import Pipeline

GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
CAPABILITIES = (
    Multiprotocol(IPV4_UNICAST),
    Multiprotocol(IPV6_UNICAST),
    RouteRefreshCapability(),
    FourOctetAs(70000),
    GracefulRestart(True, False, 120, ((IPV4_UNICAST, True),)),
    AddPath(((IPV6_UNICAST, 3),)),
)
OPENING = encode(Open(23456, 90, 0x0A000001, CAPABILITIES))
ROUTES = Packer(IPV4_UNICAST).pack(Facts().encode(), b"", few_prefixes(40))[0]
FULL = message(
    UPDATE,
    body(b"", Facts().encode() + tlv(0xC0, 99, bytes(4045)), b"\x18\x0a\0\0"),
)
SAMPLES: dict[str, bytes] = {
    "OPEN": OPENING,
    "UPDATE": ROUTES,
    "UPDATE of full size": FULL,
    "UPDATE of IPv6": Packer(IPV6_UNICAST).pack(
        Facts(next_hop=b"").encode(), GLOBAL, few_prefixes(9, IPV6_UNICAST.afi)
    )[0],
    "withdrawals": pack_withdrawals(IPV4_UNICAST, few_prefixes(40))[0],
    "End-of-RIB": end_of_rib(IPV6_UNICAST),
    "KEEPALIVE": KEEPALIVE_MESSAGE,
    "ROUTE-REFRESH": encode(RouteRefresh(IPV6_UNICAST)),
    "NOTIFICATION": encode(Notification(6, 2, shutdown_communication("down for repair"))),
    "a broken header": b"\xff" * 15 + b"\xfe" + ROUTES[16:],
    "an unknown type": message(9, b"what"),
    "a reset": message(UPDATE, body(b"", Facts().encode(), b"\x21" + bytes(5))),
}


def told(chunks: list[bytes]) -> tuple[list[str], dict[str, str]]:
    pipeline = Pipeline()
    for chunk in chunks:
        pipeline.feed(chunk)
    return pipeline.heard, pipeline.routes


def each_octet(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def test_every_type_of_message_is_among_the_samples() -> None:
    kinds = {sample[18] for sample in SAMPLES.values()}
    assert {OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH} < kinds
    assert len(FULL) == 4096


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_may_be_cut_in_two_anywhere(name: str) -> None:
    """Between two other messages, and at every one of its octets."""
    sample = SAMPLES[name]
    stream = ROUTES + sample + KEEPALIVE_MESSAGE
    whole = told([stream])
    assert len(whole[0]) >= 2
    for at in range(len(ROUTES), len(ROUTES) + len(sample) + 1):
        assert told([stream[:at], stream[at:]]) == whole


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_may_come_octet_by_octet(name: str) -> None:
    stream = ROUTES + SAMPLES[name] + KEEPALIVE_MESSAGE
    assert told(each_octet(stream)) == told([stream])


parts = st.one_of(
    st.sampled_from([*SAMPLES.values(), *(case.message for case in CASES.values())]),
    facts().map(lambda some: message(UPDATE, body(b"", some.encode(), b"\x18\x0a\1\1"))),
)
streams = st.lists(parts, min_size=1, max_size=6).map(b"".join)


@given(streams.filter(lambda stream: len(stream) < 20_000), st.data())
@settings(max_examples=200)
def test_a_stream_may_be_cut_anyhow(stream: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    whole = told([stream])
    assert told([stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]) == whole
    assert told(each_octet(stream)) == whole


def test_the_attributes_of_a_full_message_arrive_whole() -> None:
    heard = Pipeline()
    heard.feed(FULL)
    [path] = heard.session.held().values()
    value = path.attributes.value(99)
    assert value is not None
    assert len(value) == 4045
    assert path.attributes.value(Attribute.ORIGIN) == b"\0"
