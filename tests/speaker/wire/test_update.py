"""UPDATEs taken apart and put together, with ExaBGP to say what was put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from fsm.notifications import UpdateSubcode
from policy.attributes import Attribute, tlv, tlvs
from policy.prefix import Nlri, split
from speaker.wire.framing import HEADER_LENGTH, UPDATE, Framer
from speaker.wire.update import (
    MpReach,
    MpUnreach,
    Packer,
    cut_multiprotocol,
    end_of_rib,
    end_of_rib_family,
    mp_reach,
    mp_unreach,
    pack_withdrawals,
    prefixes,
    prefixes_with_ids,
    sections,
)
from speaker.wire.verdicts import TABLE, Error, Part
from tests.support.builders import Facts, body, facts, reach, unreach
from tests.support.referee import exabgp_facts, exabgp_update
from tests.support.routes import attribute, nlri, nlris

FAMILIES = [IPV4_UNICAST, IPV6_UNICAST]
EVPN = Family(Afi.L2VPN, Safi.EVPN)
GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
LINK_LOCAL = bytes.fromhex("fe800000000000000000000000000001")


@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_sections_are_what_was_put_in(withdrawn: bytes, raw: bytes, nlri: bytes) -> None:
    assert sections(body(withdrawn, raw, nlri)) == (withdrawn, raw, nlri)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("0001 0000", id="withdrawn routes run over the attributes' length"),
        pytest.param("0000 0001", id="attributes run over the end"),
        pytest.param("ffff 0000", id="withdrawn routes run over the end"),
    ],
)
def test_lengths_that_exceed_the_message_are_a_malformed_list(broken: str) -> None:
    """RFC 4271 §6.3."""
    with pytest.raises(UpdateMessageError) as raised:
        sections(bytes.fromhex(broken))
    assert (raised.value.code, raised.value.subcode, raised.value.data) == (
        3,
        UpdateSubcode.MALFORMED_ATTRIBUTE_LIST,
        b"",
    )


def test_mp_reach_is_taken_apart() -> None:
    """RFC 4760 §3, RFC 2545 §3."""
    value = bytes.fromhex("0002 01 20") + GLOBAL + LINK_LOCAL + b"\0" + b"\x10\x20\x01"
    assert mp_reach(value) == MpReach(IPV6_UNICAST, GLOBAL, LINK_LOCAL, b"\x10\x20\x01")


def test_a_family_without_a_name_is_taken_apart_all_the_same() -> None:
    assert mp_reach(bytes.fromhex("4242 01 02 aabb 00 cc")) == MpReach(
        None, b"\xaa\xbb", b"", b"\xcc"
    )
    assert mp_unreach(bytes.fromhex("4242 01 cc")) == MpUnreach(None, b"\xcc")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("0002 01 10", id="no next hop"),
        pytest.param("0002 01 10" + "00" * 16, id="no reserved octet"),
        pytest.param("0002 01 04" + "00" * 5, id="an IPv4 next hop for IPv6"),
        pytest.param("0002 01 00 00", id="a next hop of no octets"),
        pytest.param("0001 01 10" + "00" * 17, id="an IPv6 next hop for IPv4"),
    ],
)
def test_a_broken_mp_reach_resets(value: str) -> None:
    """RFC 7606 §7.11; the data is the attribute (RFC 4271 §6.3)."""
    octets = bytes.fromhex(value)
    with pytest.raises(UpdateMessageError) as raised:
        mp_reach(octets)
    assert (raised.value.subcode, raised.value.data) == (
        UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR,
        attribute(Attribute.MP_REACH_NLRI, octets),
    )


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\2"])
def test_a_broken_mp_unreach_resets(value: bytes) -> None:
    """RFC 7606 §7.12."""
    with pytest.raises(UpdateMessageError) as raised:
        mp_unreach(value)
    assert raised.value.subcode == UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR


parts = st.lists(
    st.tuples(st.sampled_from([1, 2, 5, 8, 99]), st.binary(max_size=300)), max_size=5
).map(lambda some: [tlv(0xC0, code, value) for code, value in some])


@given(parts, parts, parts, st.booleans())
def test_multiprotocol_attributes_are_cut_out_wherever_they_stand(
    first: list[bytes], second: list[bytes], third: list[bytes], swap: bool
) -> None:
    pair = [reach(b"\x08\x20", GLOBAL), unreach(b"\x08\x30")]
    one, two = reversed(pair) if swap else pair
    raw = b"".join([*first, one, *second, two, *third])
    rest, reached, unreached = cut_multiprotocol(raw)
    assert rest == b"".join([*first, *second, *third])
    assert (reached, unreached) == (pair[0][3:], pair[1][3:])


@pytest.mark.parametrize(
    "tail", [b"\xc0", b"\xc0\x08", b"\xc0\x08\x04\0", b"\xd0\x08\0", b"\xd0\x08\0\2\0"]
)
def test_what_is_found_before_a_tail_that_is_cut_off_is_kept(tail: bytes) -> None:
    """RFC 7606 §4: its NLRI must be withdrawn, so they must be found."""
    found = cut_multiprotocol(b"\xc0\x63\0" + reach(b"\x08\x20", GLOBAL) + tail)
    assert found == (b"\xc0\x63\0" + tail, reach(b"\x08\x20", GLOBAL)[3:], None)


@pytest.mark.parametrize("wrong", [reach(b"", GLOBAL), unreach(b"\x08\x30")])
def test_a_second_multiprotocol_attribute_resets(wrong: bytes) -> None:
    """RFC 7606 §3 g."""
    with pytest.raises(UpdateMessageError) as raised:
        cut_multiprotocol(wrong + wrong)
    assert raised.value.subcode == UpdateSubcode.MALFORMED_ATTRIBUTE_LIST


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (0x00, Error.OPTIONAL_BIT),
        (0x40, Error.OPTIONAL_BIT),
        (0xC0, Error.TRANSITIVE_BIT),
        (0xA0, None),
        (0x8F, None),
    ],
)
def test_wrong_flags_of_a_multiprotocol_attribute_reset(flags: int, error: Error | None) -> None:
    """RFC 7606 §5.3: it is incorrect, and its NLRI are not to be relied on."""
    whole = bytes((flags,)) + unreach(b"\x08\x30")[1:]
    if error is None:
        assert cut_multiprotocol(whole) == (b"", None, whole[3:])
        return
    with pytest.raises(UpdateMessageError) as raised:
        cut_multiprotocol(whole)
    assert (3, raised.value.subcode) == TABLE[Attribute.MP_UNREACH_NLRI, error].notification
    assert raised.value.data == whole


def test_a_second_next_hop_that_is_not_of_the_link_is_none() -> None:
    """RFC 2545 §3."""
    value = bytes.fromhex("0002 01 20") + GLOBAL + GLOBAL + b"\0" + b"\x10\x20\x01"
    assert mp_reach(value) == MpReach(IPV6_UNICAST, GLOBAL, b"", b"\x10\x20\x01")


@pytest.mark.parametrize("next_hop", [GLOBAL, GLOBAL + LINK_LOCAL, bytes((192, 0, 2, 1))])
def test_ipv4_may_have_an_ipv6_next_hop_where_that_was_agreed(next_hop: bytes) -> None:
    """RFC 8950 §3."""
    value = b"\0\1\1" + bytes((len(next_hop),)) + next_hop + b"\0" + b"\x08\x0a"
    found = mp_reach(value, frozenset({IPV4_UNICAST}))
    assert (found.family, found.next_hop, found.nlri) == (
        IPV4_UNICAST,
        next_hop[:16],
        b"\x08\x0a",
    )


@pytest.mark.parametrize(
    ("octets", "error"),
    [(b"\x21" + bytes(5), Error.PREFIX_LENGTH), (b"\x18\x0a\0", Error.PREFIX_CUT)],
)
@pytest.mark.parametrize("part", [Part.NLRI, Part.WITHDRAWN_ROUTES, Attribute.MP_REACH_NLRI])
def test_prefixes_that_do_not_parse_are_told_as_the_table_says(
    part: int, octets: bytes, error: Error
) -> None:
    """RFC 7606 §5.3; RFC 4760 §7 for those that stand in an attribute."""
    with pytest.raises(UpdateMessageError) as raised:
        prefixes(part, Afi.IPV4, octets, b"whole")
    assert (3, raised.value.subcode) == TABLE[part, error].notification
    assert raised.value.data == (b"\x80\x0e\x05whole" if part > 0 else b"")


@given(st.binary(max_size=40))
def test_cutting_any_octets_loses_none(raw: bytes) -> None:
    try:
        rest, reached, unreached = cut_multiprotocol(raw)
    except UpdateMessageError:
        return
    headers = len(raw) - len(rest) - len(reached or b"") - len(unreached or b"")
    assert headers in [(reached is not None) * a + (unreached is not None) * b
                       for a in (3, 4) for b in (3, 4)]  # fmt: skip


END_OF_RIB = [
    (IPV4_UNICAST, "0000 0000"),
    (IPV6_UNICAST, "0000 0006 80 0f 03 0002 01"),
    (EVPN, "0000 0006 80 0f 03 0019 46"),
]


@pytest.mark.parametrize(("family", "octets"), END_OF_RIB)
def test_end_of_rib_is_made_and_known(family: Family, octets: str) -> None:
    """RFC 4724 §2."""
    made = end_of_rib(family)
    assert made[HEADER_LENGTH:] == bytes.fromhex(octets)
    assert end_of_rib_family(made[HEADER_LENGTH:]) == family
    assert Framer().feed(made) == [(UPDATE, [bytes.fromhex(octets)])]


@pytest.mark.parametrize(
    ("octets", "family"),
    [
        ("0000 0007 90 0f 0003 0002 01", IPV6_UNICAST),
        ("0000 0006 af 0f 03 0002 01", IPV6_UNICAST),
        ("0000 0006 80 0f 03 0001 01", IPV4_UNICAST),
    ],
    ids=["an extended length", "flags that do not count", "IPv4 in MP_UNREACH_NLRI"],
)
def test_other_forms_of_end_of_rib_are_known(octets: str, family: Family) -> None:
    assert end_of_rib_family(bytes.fromhex(octets)) == family


@pytest.mark.parametrize(
    "octets",
    [
        "0000 0006 80 0f 03 4242 01",
        "0000 0006 80 0e 03 0002 01",
        "0000 0006 40 0f 03 0002 01",
        "0000 0006 90 0f 03 0002 01",
        "0000 0007 80 0f 0003 0002 01",
        "0000 0000 00",
        "0001 00 0000",
    ],
)
def test_other_updates_are_no_end_of_rib(octets: str) -> None:
    assert end_of_rib_family(bytes.fromhex(octets)) is None


def opened(messages: list[bytes], max_length: int) -> list[bytes]:
    """Give the bodies; every message is whole and within the limit."""
    framer = Framer()
    framer.max_length = max_length
    runs = framer.feed(b"".join(messages))
    assert framer.error is None
    found = [body for kind, bodies in runs if kind == UPDATE for body in bodies]
    assert [len(m) <= max_length for m in messages] == [True] * len(found)
    return found


lengths = st.sampled_from([600, 700, 1000, 4096, 65535])


@given(facts(), st.lists(nlris(Afi.IPV4), min_size=1, max_size=400), lengths)
def test_exabgp_reads_the_ipv4_routes_that_were_packed(
    drawn: Facts, prefixes: list[Nlri], max_length: int
) -> None:
    raw = drawn.encode()
    heard: dict[Nlri, list[bytes]] = {}
    order: list[Nlri] = []
    for found in opened(Packer(IPV4_UNICAST, max_length).pack(raw, b"", prefixes), max_length):
        said = exabgp_update(found)
        assert said.withdrawn == set()
        assert exabgp_facts(said.attributes) == exabgp_facts(
            exabgp_update(body(b"", raw, b"\0")).attributes
        )
        heard |= said.announced
        order += split(Afi.IPV4, sections(found)[2])
    assert order == prefixes
    assert heard.keys() == set(prefixes)
    assert {hop for hops in heard.values() for hop in hops} == {drawn.next_hop}


@given(
    facts(),
    st.lists(nlris(Afi.IPV6), min_size=1, max_size=200),
    st.booleans(),
    lengths,
)
def test_exabgp_reads_the_ipv6_routes_that_were_packed(
    drawn: Facts, prefixes: list[Nlri], two: bool, max_length: int
) -> None:
    raw = b"".join(tlv(f, c, v) for f, c, v in tlvs(drawn.encode()) if c != Attribute.NEXT_HOP)
    next_hop = GLOBAL + LINK_LOCAL if two else GLOBAL
    heard: dict[Nlri, list[bytes]] = {}
    order: list[Nlri] = []
    for found in opened(Packer(IPV6_UNICAST, max_length).pack(raw, next_hop, prefixes), max_length):
        withdrawn, attributes, nlri_field = sections(found)
        assert (withdrawn, nlri_field) == (b"", b"")
        # RFC 7606 §5.1: MP_REACH_NLRI is the first attribute.
        assert attributes[1] == Attribute.MP_REACH_NLRI
        rest, value, _ = cut_multiprotocol(attributes)
        assert rest == raw
        assert value is not None
        said = exabgp_update(found)
        assert said.withdrawn == set()
        heard |= said.announced
        taken = mp_reach(value)
        assert (taken.next_hop, taken.link_local) == (GLOBAL, LINK_LOCAL if two else b"")
        order += split(Afi.IPV6, taken.nlri)
    assert order == prefixes
    assert heard.keys() == set(prefixes)
    hops = {hop for each in heard.values() for hop in each}
    assert hops == ({GLOBAL, LINK_LOCAL} if two else {GLOBAL})


@given(
    facts(),
    st.lists(nlris(Afi.IPV4), min_size=1, max_size=200),
    st.booleans(),
    lengths,
)
def test_exabgp_reads_the_ipv4_routes_that_have_ipv6_next_hops(
    drawn: Facts, prefixes: list[Nlri], two: bool, max_length: int
) -> None:
    """RFC 8950 §3."""
    raw = b"".join(tlv(f, c, v) for f, c, v in tlvs(drawn.encode()) if c != Attribute.NEXT_HOP)
    next_hop = GLOBAL + LINK_LOCAL if two else GLOBAL
    heard: dict[Nlri, list[bytes]] = {}
    order: list[Nlri] = []
    for found in opened(Packer(IPV4_UNICAST, max_length).pack(raw, next_hop, prefixes), max_length):
        withdrawn, attributes, nlri_field = sections(found)
        assert (withdrawn, nlri_field) == (b"", b"")
        rest, value, _ = cut_multiprotocol(attributes)
        assert rest == raw
        assert value is not None
        heard |= exabgp_update(found, extended=True).announced
        taken = mp_reach(value, frozenset({IPV4_UNICAST}))
        assert taken[:3] == (IPV4_UNICAST, GLOBAL, LINK_LOCAL if two else b"")
        order += split(Afi.IPV4, taken.nlri)
    assert order == prefixes
    assert heard.keys() == set(prefixes)
    assert GLOBAL in {hop for each in heard.values() for hop in each}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
@given(st.data())
def test_exabgp_reads_the_withdrawals_that_were_packed(family: Family, data: st.DataObject) -> None:
    prefixes = data.draw(st.lists(nlris(family.afi), min_size=1, max_size=400))
    max_length = data.draw(st.sampled_from([64, 100, 4096]))
    gone: set[Nlri] = set()
    for found in opened(pack_withdrawals(family, prefixes, max_length), max_length):
        said = exabgp_update(found)
        assert said.announced == {}
        gone |= said.withdrawn
    assert gone == set(prefixes)


@pytest.mark.parametrize(
    ("family", "six"),
    [(IPV4_UNICAST, False), (IPV6_UNICAST, True), (IPV4_UNICAST, True)],
    ids=["ipv4", "ipv6", "ipv4 over ipv6"],
)
@given(st.data())
def test_exabgp_reads_the_identifiers_before_the_prefixes(
    family: Family, six: bool, data: st.DataObject
) -> None:
    """RFC 7911 §3; with next hops of RFC 8950 too."""
    numbers = st.integers(0, 0xFFFFFFFF).map(lambda number: number.to_bytes(4, "big"))
    pairs = st.tuples(numbers, nlris(family.afi)).map(b"".join)
    identified = data.draw(st.lists(pairs, min_size=1, max_size=200, unique=True))
    max_length = data.draw(lengths)
    raw, next_hop = Facts(next_hop=b"" if six else GLOBAL[:4]).encode(), GLOBAL if six else b""
    packed = Packer(family, max_length, path_ids=True).pack(raw, next_hop, identified)
    heard: dict[Nlri, list[bytes]] = {}
    split: list[Nlri] = []
    for found in opened(packed, max_length):
        heard |= exabgp_update(found, path_ids=True, extended=six).announced
        _, attributes, nlri_field = sections(found)
        value = cut_multiprotocol(attributes)[1]
        block = nlri_field if value is None else mp_reach(value, frozenset({family})).nlri
        split += prefixes_with_ids(Part.NLRI, family.afi, block)
    assert split == identified
    assert heard.keys() == set(identified)
    gone: set[Nlri] = set()
    packed = pack_withdrawals(family, identified, max_length, path_ids=True)
    for found in opened(packed, max_length):
        gone |= exabgp_update(found, path_ids=True).withdrawn
    assert gone == set(identified)


def test_identifiers_count_when_there_is_just_room_for_one_prefix() -> None:
    attributes = bytes(4096 - HEADER_LENGTH - 4 - 5)
    assert Packer(IPV4_UNICAST).room(attributes, b"") == 5
    assert Packer(IPV4_UNICAST, path_ids=True).room(attributes, b"") == 0
    assert Packer(IPV4_UNICAST, path_ids=True).room(attributes[4:], b"") == 9


def test_many_prefixes_fill_their_messages() -> None:
    """A full message of /24s holds about 1 000 of them; half empty ones would show here."""
    prefixes = [bytes((24, 10, n >> 8, n & 255)) for n in range(10_000)]
    raw = Facts().encode()
    assert len(Packer(IPV4_UNICAST).pack(raw, b"", prefixes)) <= 13
    assert len(pack_withdrawals(IPV4_UNICAST, prefixes)) <= 13


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_attributes_that_leave_no_room_give_no_message(family: Family) -> None:
    raw = tlv(0xC0, 99, bytes(4096 - HEADER_LENGTH - 4 - 4 - 4))
    assert Packer(family).pack(raw, GLOBAL, [nlri("10.0.0.0/8")]) == []
