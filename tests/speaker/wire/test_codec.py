"""The rare messages, as octets and as values, and whatever else a peer may send in their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.capabilities import (
    AddPath,
    BfdStrict,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Fqdn,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RoleCapability,
    RouteRefreshCapability,
    SoftwareVersion,
    UnknownCapability,
    value_octets,
)
from fsm.errors import OpenMessageError, RouteRefreshError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from fsm.messages import AS_TRANS, Keepalive, Message, Open, RouteRefresh
from fsm.notifications import Code, Notification, OpenSubcode
from speaker.wire.codec import (
    decode_notification,
    decode_open,
    decode_route_refresh,
    encode,
    exabgp,
)
from speaker.wire.framing import HEADER_LENGTH, MARKER


def octets(*fields: str) -> bytes:
    """Join fields written in hexadecimal."""
    return b"".join(bytes.fromhex(text) for text in fields)


OPENS = [
    pytest.param(
        octets(
            "04",  # version
            "fde8",  # my AS: 65000
            "005a",  # hold time: 90
            "0a000001",  # BGP Identifier: 10.0.0.1
            "00",  # optional parameters length
        ),
        Open(65000, 90, 0x0A000001),
        id="without capabilities",
    ),
    pytest.param(
        octets(
            "04",  # version
            "5ba0",  # my AS: AS_TRANS
            "0000",  # hold time: 0
            "c0000201",  # BGP Identifier
            "20",  # optional parameters length: 32
            "02 0601 04 0001 00 01",  # multiprotocol: ipv4 unicast
            "02 0601 04 0002 00 01",  # multiprotocol: ipv6 unicast
            "02 0202 00",  # route refresh
            "02 0641 04 00010000",  # four-octet AS: 65536
            "02 0246 00",  # enhanced route refresh
        ),
        Open(
            65536,
            0,
            0xC0000201,
            (
                Multiprotocol(IPV4_UNICAST),
                Multiprotocol(IPV6_UNICAST),
                RouteRefreshCapability(),
                FourOctetAs(65536),
                EnhancedRouteRefresh(),
            ),
        ),
        id="what a speaker of today offers",
    ),
    pytest.param(
        octets(
            "04 fde8 005a 0a000001",
            "2c",  # optional parameters length: 44
            "02 0805 06 0001 0001 0002",  # extended next hop: ipv4 unicast via IPv6
            "02 0206 00",  # extended message
            "02 0840 06 c0 78 0001 01 80",  # graceful restart: R and N, 120 s, ipv4 kept
            "02 0645 04 0001 01 03",  # ADD-PATH: ipv4 unicast, both
            "02 0449 02 0177",  # FQDN, cut short: kept as octets
            "02 04f0 02 beef",  # unknown
        ),
        Open(
            65000,
            90,
            0x0A000001,
            (
                ExtendedNextHop(((IPV4_UNICAST, Afi.IPV6),)),
                ExtendedMessage(),
                GracefulRestart(True, True, 120, ((IPV4_UNICAST, True),)),
                AddPath(((IPV4_UNICAST, 3),)),
                UnknownCapability(0x49, b"\x01\x77"),
                UnknownCapability(0xF0, b"\xbe\xef"),
            ),
        ),
        id="the rest",
    ),
    pytest.param(
        octets(
            "04 fde8 005a 0a000001",
            "44",  # optional parameters length: 68
            "02 0309 01 03",  # role: customer
            "02 1047 0e 0001 01 80 000e10 0002 01 00 ffffff",  # LLGR: ipv4 kept, 3600 s; ipv6
            "02 1149 0f 05 746f722d31 08 6c61622e74657374",  # FQDN: tor-1, lab.test
            "02 044b 02 01 76",  # software version
            "02 04f0 02 beef",  # unknown
            "02 04f0 02 cafe",  # the same again
            "02 0601 04 4005 00 47",  # multiprotocol: a family without a name
        ),
        Open(
            65000,
            90,
            0x0A000001,
            (
                RoleCapability(Role.CUSTOMER),
                LongLivedGracefulRestart(
                    ((IPV4_UNICAST, True, 3600), (IPV6_UNICAST, False, 0xFFFFFF))
                ),
                Fqdn("tor-1", "lab.test"),
                SoftwareVersion("v"),
                UnknownCapability(0xF0, b"\xbe\xef"),
                UnknownCapability(0xF0, b"\xca\xfe"),
                UnknownCapability(1, b"\x40\x05\x00\x47"),
            ),
        ),
        id="younger ones, and strange ones",
    ),
]


@pytest.mark.parametrize(("body", "value"), OPENS)
def test_an_open_is_encoded_as_its_octets(body: bytes, value: Open) -> None:
    length = (HEADER_LENGTH + len(body)).to_bytes(2, "big")
    assert encode(value) == MARKER + length + b"\x01" + body


@pytest.mark.parametrize(("body", "value"), OPENS)
def test_an_open_is_decoded_to_its_value(body: bytes, value: Open) -> None:
    assert decode_open(body) == value


SHORT: list[tuple[str, Message, bytes]] = [
    ("keepalive", Keepalive(), octets("0013", "04")),
    (
        "notification",
        Notification(Code.CEASE, 2, b"\x02hi"),
        octets("0018", "03", "06", "02", "02 6869"),
    ),
    ("route refresh", RouteRefresh(IPV6_UNICAST), octets("0017", "05", "0002 00 01")),
    ("end of refresh", RouteRefresh(IPV4_UNICAST, 2), octets("0017", "05", "0001 02 01")),
]


@pytest.mark.parametrize(("value", "rest"), [row[1:] for row in SHORT], ids=[r[0] for r in SHORT])
def test_short_messages_are_encoded_as_their_octets(value: Message, rest: bytes) -> None:
    assert encode(value) == MARKER + rest


def test_short_messages_are_decoded_to_their_values() -> None:
    assert decode_notification(b"\x06\x02\x02hi") == Notification(Code.CEASE, 2, b"\x02hi")
    assert decode_route_refresh(octets("0002 00 01")) == RouteRefresh(IPV6_UNICAST)
    assert decode_route_refresh(octets("0001 02 01")) == RouteRefresh(IPV4_UNICAST, 2)


@pytest.mark.parametrize("text", ["0009 00 01", "0001 00 63", "0001 03 01", "0001 03 01 00"])
def test_a_refresh_of_an_unknown_family_or_subtype_is_ignored(text: str) -> None:
    """RFC 2918 §4, RFC 7313 §5."""
    assert decode_route_refresh(octets(text)) is None


@pytest.mark.parametrize("subtype", [0, 1, 2])
def test_a_refresh_of_a_wrong_length_is_an_error_that_quotes_it(subtype: int) -> None:
    """RFC 7313 §5: the data is the complete message."""
    body = bytes((0, 1, subtype, 1, 0))
    with pytest.raises(RouteRefreshError) as raised:
        decode_route_refresh(body)
    assert raised.value.notification == Notification(7, 1, MARKER + octets("0018 05") + body)


@pytest.mark.parametrize("length", [4095, 4096, 4097, 65535])
def test_a_notification_never_exceeds_what_every_peer_takes(length: int) -> None:
    """RFC 8654 §4: the data of the longest message that can come does not fit into another."""
    encoded = encode(Notification(7, 1, bytes(length - 21)))
    assert len(encoded) == min(length, 4096)
    assert int.from_bytes(encoded[16:18], "big") == len(encoded)


families = st.builds(Family, st.sampled_from(Afi), st.sampled_from(Safi))
distinct_families = st.lists(families, min_size=1, max_size=4, unique=True)


def _with_families(other: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(distinct_families, st.lists(other, min_size=4, max_size=4)).map(
        lambda drawn: tuple(zip(*drawn, strict=False))
    )


_long_lived = _with_families(st.tuples(st.booleans(), st.integers(0, 0xFFFFFF))).map(
    lambda entries: tuple((family, *rest) for family, rest in entries)  # type: ignore[misc,has-type] # drawn pairs
)

ONCE: list[st.SearchStrategy[Capability]] = [
    st.just(RouteRefreshCapability()),
    st.just(EnhancedRouteRefresh()),
    st.just(BfdStrict()),
    st.just(ExtendedMessage()),
    st.builds(
        GracefulRestart,
        st.booleans(),
        st.booleans(),
        st.integers(0, 4095),
        _with_families(st.booleans()),
    ),
    st.builds(AddPath, _with_families(st.sampled_from([1, 2, 3]))),
    st.builds(
        ExtendedNextHop,
        st.sampled_from(
            [((IPV4_UNICAST, Afi.IPV6),), ((IPV4_UNICAST, Afi.IPV6), (IPV6_UNICAST, Afi.IPV4))]
        ),
    ),
    st.builds(UnknownCapability, st.integers(200, 203), st.binary(max_size=250)),
    st.builds(UnknownCapability, st.just(3), st.binary(max_size=3)),
    st.builds(RoleCapability, st.integers(0, 255)),
    st.builds(LongLivedGracefulRestart, _long_lived),
    st.builds(Fqdn, st.text(max_size=30), st.text(max_size=30)),
    st.builds(SoftwareVersion, st.text(max_size=60)),
]


@st.composite
def opens(draw: st.DrawFn) -> Open:
    """Draw an OPEN as a speaker might send it: each capability once, families together."""
    asn = draw(st.integers(1, 0xFFFFFFFF))
    capabilities: list[Capability] = [Multiprotocol(f) for f in draw(distinct_families)]
    chosen = draw(st.permutations(ONCE))[: draw(st.integers(0, len(ONCE)))]
    capabilities += [draw(strategy) for strategy in chosen]
    if asn > 0xFFFF or draw(st.booleans()):
        capabilities.append(FourOctetAs(asn))
    by_code = {c.code: c for c in capabilities if not isinstance(c, Multiprotocol)}
    first = tuple(c for c in capabilities if isinstance(c, Multiprotocol))
    return Open(
        asn,
        draw(st.integers(0, 0xFFFF).filter(lambda t: t not in (1, 2))),
        draw(st.integers(0, 0xFFFFFFFF)),
        (*first, *by_code.values()),
    )


@given(opens())
def test_what_is_encoded_decodes_to_the_same(value: Open) -> None:
    """Also beyond 255 octets of capabilities, by RFC 9072."""
    assert decode_open(encode(value)[HEADER_LENGTH:]) == value


def test_an_as_number_that_two_octets_cannot_say_is_sent_as_as_trans() -> None:
    """RFC 6793 §4.2.1."""
    body = encode(Open(70000, 90, 1, (FourOctetAs(70000),)))[HEADER_LENGTH:]
    assert int.from_bytes(body[1:3], "big") == AS_TRANS
    assert decode_open(body).asn == 70000


PARAMETERS = octets("02 000402 00 46 00", "02 000601 04 0002 00 01")


@pytest.mark.parametrize("first", ["ff", "01", "fe"])
def test_extended_parameters_decode_whatever_stands_in_the_old_length(first: str) -> None:
    """RFC 9072 §2: the old length is disregarded once the type says that the form is extended."""
    length = len(PARAMETERS).to_bytes(2, "big")
    body = octets("04 fde8 005a 0a000001", first, "ff") + length + PARAMETERS
    assert decode_open(body).capabilities == (
        RouteRefreshCapability(),
        EnhancedRouteRefresh(),
        Multiprotocol(IPV6_UNICAST),
    )


@pytest.mark.parametrize(
    ("code", "value"),
    [
        pytest.param(2, "00", id="route refresh with a value"),
        pytest.param(9, "", id="role without a value"),
        pytest.param(9, "0003", id="role of two octets"),
        pytest.param(71, "0001 01 80 00", id="LLGR, cut short"),
        pytest.param(73, "", id="FQDN without a value"),
        pytest.param(73, "01 ff 00", id="FQDN that is no UTF-8"),
        pytest.param(73, "01 61 00 00", id="FQDN with a rest"),
        pytest.param(75, "02 61", id="software version, cut short"),
    ],
)
def test_a_malformed_capability_that_no_session_needs_is_kept_as_octets(
    code: int, value: str
) -> None:
    """RFC 5492 §3."""
    data = octets(value)
    parameters = bytes((2, 2 + len(data), code, len(data))) + data
    body = octets("04 fde8 005a 0a000001") + bytes((len(parameters),)) + parameters
    assert decode_open(body).capabilities == (UnknownCapability(code, data),)


def test_an_open_beyond_255_octets_of_parameters_takes_the_extended_form() -> None:
    """RFC 9072 §2: type and length of 255, a length of two octets, and so in each parameter."""
    value = Open(65000, 90, 1, tuple(UnknownCapability(200 + n, bytes(120)) for n in range(3)))
    body = encode(value)[HEADER_LENGTH:]
    assert body[9:16] == octets("ff ff", f"{3 * 125:04x}", "02 007a")
    assert decode_open(body) == value


@pytest.mark.parametrize(
    ("parameters", "subcode"),
    [
        pytest.param("01 02", 0, id="shorter than they say"),
        pytest.param("00 02", 0, id="longer than they say"),
        pytest.param("04 02 06 01 04", 0, id="a parameter is cut off"),
        pytest.param("04 02 02 01 04", 0, id="a capability is cut off"),
        pytest.param("05 02 03 01 01 00", 0, id="multiprotocol of one octet"),
        pytest.param("06 02 04 41 02 fde8", 0, id="four-octet AS of two octets"),
        pytest.param("ff ff 00", 0, id="extended and cut off"),
        pytest.param("ff ff 0005 02 0002 01", 0, id="an extended parameter is cut off"),
        pytest.param("02 03 00", 4, id="an unknown parameter"),
        pytest.param("03 01 01 00", 4, id="authentication, which is no more"),
        pytest.param("05 02 03 45 01 00", 0, id="ADD-PATH of one octet"),
        pytest.param("05 02 03 40 01 00", 0, id="graceful restart of one octet"),
    ],
)
def test_malformed_parameters_are_an_open_message_error(parameters: str, subcode: int) -> None:
    with pytest.raises(OpenMessageError) as raised:
        decode_open(octets("04 fde8 005a 0a000001", parameters))
    assert raised.value.subcode == subcode


@pytest.mark.parametrize("version", [0, 3, 5, 255])
def test_another_version_is_refused_with_the_one_we_speak(version: int) -> None:
    """RFC 4271 §6.2: the data is the largest version supported, in two octets."""
    with pytest.raises(OpenMessageError) as raised:
        decode_open(bytes((version,)) + octets("fde8 005a 0a000001 00"))
    assert raised.value.notification == Notification(
        2, OpenSubcode.UNSUPPORTED_VERSION_NUMBER, b"\0\x04"
    )


def only_bgp_errors(body: bytes) -> None:
    """Decode an OPEN; anything but a value or an OpenMessageError fails the test."""
    try:
        decoded = decode_open(body)
    except OpenMessageError:
        return
    else:
        assert isinstance(decoded, Open)
        assert encode(decoded)


@given(st.binary(max_size=120))
def test_any_octets_as_parameters_are_an_open_or_an_error(parameters: bytes) -> None:
    head = octets("04 fde8 005a 0a000001") + bytes((len(parameters),))
    only_bgp_errors(head + parameters)


@given(st.integers(0, 255), st.binary(max_size=24))
def test_any_octets_in_a_capability_are_an_open_or_an_error(code: int, value: bytes) -> None:
    capability = bytes((code, len(value))) + value
    parameter = bytes((2, len(capability))) + capability
    only_bgp_errors(octets("04 fde8 005a 0a000001") + bytes((len(parameter),)) + parameter)


@given(st.binary(min_size=10, max_size=80))
def test_any_octets_are_an_open_or_an_error(body: bytes) -> None:
    only_bgp_errors(body)


@given(opens(), st.data())
def test_a_garbled_open_is_an_open_or_an_error(value: Open, data: st.DataObject) -> None:
    body = bytearray(encode(value)[HEADER_LENGTH:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    only_bgp_errors(bytes(body[: data.draw(st.integers(10, len(body)))]))


@given(st.binary(min_size=2, max_size=300))
def test_any_octets_are_a_notification(body: bytes) -> None:
    value = decode_notification(body)
    assert encode(value)[HEADER_LENGTH:] == body
    assert str(value)


@given(st.binary(min_size=4, max_size=8))
def test_any_octets_are_a_refresh_or_nothing_or_an_error(body: bytes) -> None:
    try:
        value = decode_route_refresh(body)
    except RouteRefreshError:
        assert len(body) != 4
    else:
        assert value is None or encode(value)[HEADER_LENGTH:] == body


def test_exabgp_is_silent_and_keeps_no_cache() -> None:
    """Its caches are shared by all sessions, and its logger fails unless it is disabled."""
    from exabgp.environment import getenv
    from exabgp.logger import log

    exabgp()
    log.debug(lambda: pytest.fail("a line was formatted"), "parser")
    assert getenv().cache.attributes is False


@given(st.sampled_from(ONCE).flatmap(lambda strategy: strategy))
def test_the_octets_of_a_capability_fit_its_length_octet(capability: Capability) -> None:
    assert len(value_octets(capability)) < 256
