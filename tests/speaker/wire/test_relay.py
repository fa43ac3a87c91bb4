from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from fsm.family import NAMES, RELAYED, Afi, Family
from policy.attributes import Attribute
from policy.prefix import PrefixError
from speaker.wire import flow
from speaker.wire.codec import exabgp
from speaker.wire.decoded import next_hop_text, nlri_facts, nlri_text
from speaker.wire.relay import RULES, cut, next_hop_of, nlris, slices
from speaker.wire.verdicts import Error, Verdict
from tests.support import relayed
from tests.support.relayed import LABEL, NLRI, OTHER_LABEL, OVER_TCP, RD, TO_NET, TO_WEB, WITHDRAWN

REACH, UNREACH = Attribute.MP_REACH_NLRI, Attribute.MP_UNREACH_NLRI
VPN4, EVPN, FLOW4 = NAMES["ipv4-vpn"], NAMES["l2vpn-evpn"], NAMES["ipv4-flow"]
NET = b"\x18\x0a\1\2"
WORDS = {Error.PREFIX_LENGTH: "MP_REACH_NLRI: .* bits", Error.PREFIX_CUT: "is cut off"}

each_family = pytest.mark.parametrize("family", sorted(RELAYED), ids=str)
drawn = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def by_exabgp(family: Family, block: bytes) -> list[bytes]:
    """Cut a block as ExaBGP does."""
    exa: Any = exabgp()
    found = []
    while block:
        nlri, rest = exa.NLRI.unpack_nlri(family.afi, family.safi, block, exa.Action.ANNOUNCE, None)
        assert nlri is not None
        found.append(block[: len(block) - len(rest)])
        block = rest
    return found


def only(family: Family, block: bytes) -> tuple[bytes, bytes]:
    """Give key and rest of a block with one route."""
    [(rest, [key])] = cut(family, REACH, block, block).routes.items()
    return key, rest


def faults_of(family: Family, block: bytes, part: Attribute = REACH) -> list[tuple[str, Verdict]]:
    return [(fault.what, fault.verdict) for fault in cut(family, part, block, block).faults]


def test_every_family_that_is_relayed_has_a_rule() -> None:
    assert set(RULES) == RELAYED == set(NLRI)


@each_family
@drawn
@given(data=st.data())
def test_blocks_are_cut_as_exabgp_cuts_them(family: Family, data: st.DataObject) -> None:
    # ExaBGP takes one NLRI of VPLS in a block.
    most = 1 if family == NAMES["l2vpn-vpls"] else 5
    parts = data.draw(st.lists(NLRI[family], min_size=1, max_size=most))
    block = b"".join(parts)
    assert list(nlris(family, block)) == parts == by_exabgp(family, block)


@each_family
@drawn
@given(data=st.data())
def test_key_and_rest_are_the_whole(family: Family, data: st.DataObject) -> None:
    nlri = data.draw(NLRI[family])
    found = cut(family, REACH, nlri, nlri)
    assert found.faults == ()
    assert RULES[family].join(*only(family, nlri)) == nlri


@each_family
@drawn
@given(data=st.data())
def test_what_withdraws_a_route_has_its_key(family: Family, data: st.DataObject) -> None:
    key, _ = only(family, data.draw(NLRI[family]))
    withdrawal = RULES[family].withdrawal(key)
    [keys] = cut(family, UNREACH, withdrawal, withdrawal).routes.values()
    assert keys == [key]


@each_family
@drawn
@given(data=st.data())
def test_any_octets_are_cut_or_refused(family: Family, data: st.DataObject) -> None:
    block = bytearray(b"".join(data.draw(st.lists(NLRI[family], max_size=3))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(block)))
        block[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    octets = bytes(block)
    try:
        found = cut(family, REACH, octets, octets)
    except UpdateMessageError:
        return
    for rest, keys in found.routes.items():
        for key in keys:
            assert only(family, RULES[family].join(key, rest)) == (key, rest)
            assert nlri_text(family, RULES[family].join(key, rest))


@each_family
@given(octets=st.binary(max_size=40))
def test_octets_that_mean_nothing_hurt_nobody(family: Family, octets: bytes) -> None:
    try:
        found = cut(family, REACH, octets, octets)
    except UpdateMessageError:
        return
    assert found.routes or found.faults or not octets


@each_family
@drawn
@given(data=st.data())
def test_every_nlri_has_words(family: Family, data: st.DataObject) -> None:
    nlri = data.draw(NLRI[family])
    assert nlri_text(family, nlri)
    assert isinstance(nlri_facts(family, nlri), dict)


def test_a_label_is_no_part_of_the_route() -> None:
    key, rest = only(VPN4, relayed.vpn(NET))
    assert (key, rest) == (bytes((88,)) + RD + NET[1:], LABEL)
    assert only(VPN4, relayed.vpn(NET, OTHER_LABEL)) == (key, OTHER_LABEL)
    assert only(VPN4, relayed.vpn(NET, WITHDRAWN)) == (key, WITHDRAWN)
    assert only(VPN4, relayed.vpn(NET, b"\0\0\0")) == (key, b"\0\0\0")
    assert RULES[VPN4].withdrawal(key) == relayed.vpn(NET, WITHDRAWN)


def test_a_label_that_is_not_marked_as_the_last_may_be_the_only_one() -> None:
    labelled = NAMES["ipv4-labelled"]
    assert only(labelled, b"\x30\0\6\x40" + NET[1:]) == (NET, b"\0\6\x40")
    assert only(labelled, b"\x18\0\6\x40") == (b"\0", b"\0\6\x40")


def test_a_stack_of_labels_is_kept() -> None:
    stack = b"\0\6\x40" + OTHER_LABEL
    nlri = bytes((24 + 24 + 32,)) + stack + b"\x0a\1\2\3"
    assert only(NAMES["ipv4-labelled"], nlri) == (b"\x20\x0a\1\2\3", stack)


def test_routes_with_one_label_share_it() -> None:
    block = relayed.vpn(NET) + relayed.vpn(b"\x10\x0a\2") + relayed.vpn(NET, OTHER_LABEL)
    routes = cut(VPN4, REACH, block, block).routes
    assert {rest: len(keys) for rest, keys in routes.items()} == {LABEL: 2, OTHER_LABEL: 1}


def test_neither_segment_nor_label_is_part_of_a_mac_address() -> None:
    key, _ = only(EVPN, relayed.mac_ip())
    assert only(EVPN, relayed.mac_ip(OTHER_LABEL, b"\1" * 10))[0] == key
    assert only(EVPN, relayed.mac_ip(mac=b"\2\0\0\0\0\2"))[0] != key


def test_neither_gateway_nor_label_is_part_of_an_ip_prefix() -> None:
    head, middle = b"\5\x22" + RD, bytes(4) + b"\x18\x0a\1\2\0"
    one = head + bytes(10) + middle + bytes(4) + LABEL
    two = head + b"\1" * 10 + middle + b"\x0a\0\0\1" + OTHER_LABEL
    assert only(EVPN, one)[0] == only(EVPN, two)[0]
    assert RULES[EVPN].withdrawal(only(EVPN, two)[0]) == one[:-3] + bytes(3)


def test_flags_are_no_part_of_a_multicast_membership() -> None:
    value = RD + bytes(4) + b"\0\0\x20\x0a\0\0\1"
    one, two = (bytes((6, len(value) + 1)) + value + bytes((flags,)) for flags in (2, 4))
    assert only(EVPN, one)[0] == only(EVPN, two)[0]


def test_both_lengths_of_a_flow_specification_are_one_route() -> None:
    short = relayed.flow(TO_NET, OVER_TCP)
    assert only(FLOW4, b"\xf0" + short) == (short, b"")


def test_trailing_bits_are_no_part_of_a_prefix() -> None:
    assert only(NAMES["ipv4-multicast"], b"\x14\x0a\1\x2f")[0] == b"\x14\x0a\1\x20"


@pytest.mark.parametrize(
    ("name", "block", "error"),
    [
        ("ipv4-multicast", b"\x21" + bytes(5), Error.PREFIX_LENGTH),
        ("ipv4-multicast", NET[:-1], Error.PREFIX_CUT),
        ("ipv4-labelled", b"\x17" + bytes(3), Error.PREFIX_LENGTH),
        ("ipv4-labelled", bytes((24 + 33,)) + LABEL + bytes(5), Error.PREFIX_LENGTH),
        ("ipv4-vpn", bytes((24 + 63,)) + bytes(11), Error.PREFIX_LENGTH),
        ("ipv4-vpn", relayed.vpn(NET)[:-1], Error.PREFIX_CUT),
        ("ipv4-rtc", b"\x61" + bytes(13), Error.PREFIX_LENGTH),
        ("ipv4-rtc", b"\x1f" + bytes(4), Error.PREFIX_LENGTH),
        ("l2vpn-evpn", b"\2", Error.PREFIX_CUT),
        ("l2vpn-evpn", relayed.mac_ip()[:-1], Error.PREFIX_CUT),
        ("l2vpn-vpls", b"\0", Error.PREFIX_CUT),
        ("ipv4-flow", b"\xf0", Error.PREFIX_CUT),
        ("ipv4-flow", relayed.flow(TO_NET)[:-1], Error.PREFIX_CUT),
        ("bgp-ls", b"\0\1\0\5abcd", Error.PREFIX_CUT),
    ],
)
def test_an_end_that_cannot_be_found_costs_the_session(
    name: str, block: bytes, error: Error
) -> None:
    with pytest.raises(UpdateMessageError, match=WORDS[error]) as caught:
        cut(NAMES[name], REACH, block, b"value")
    assert (caught.value.subcode, caught.value.data) == (9, b"\x80\x0e\x05value")


@pytest.mark.parametrize(
    ("family", "block", "what"),
    [
        (EVPN, b"\2\x09" + bytes(9), "a route of type 2 with 9 octets"),
        (EVPN, relayed.mac_ip().replace(b"\x30", b"\x2f", 1), "a MAC or IP address of no legal"),
        (EVPN, b"\5\x22" + RD + bytes(14) + b"\x21" + bytes(11), "an IP prefix length of 33"),
        (EVPN, b"\6\x08" + RD, "a route of type 6 with 8 octets"),
        (EVPN, b"\3\x07" + RD[1:], "an NLRI of 7 octets"),
        (FLOW4, relayed.flow(OVER_TCP, TO_NET), "a flow specification with component 1 behind 3"),
        (FLOW4, b"\0", "a flow specification with no component"),
        (NAMES["ipv4-flow-vpn"], b"\7" + RD[1:], "a Route Distinguisher that is cut off"),
        (NAMES["ipv4-mup"], b"\1\0\3\x0a" + RD + b"\0\0", "a session transformed route that is"),
    ],
)
def test_a_malformed_inside_withdraws_the_routes_of_its_update(
    family: Family, block: bytes, what: str
) -> None:
    [(found, verdict)] = faults_of(family, block)
    assert found.startswith(what)
    assert verdict is Verdict.WITHDRAW
    assert faults_of(family, block, UNREACH) == [(found, Verdict.IGNORE)]


@pytest.mark.parametrize(
    ("name", "block", "kind"),
    [
        ("l2vpn-evpn", b"\x0c\1x", "0c"),
        ("ipv4-mcast-vpn", b"\x08\0", "08"),
        ("ipv6-mup", b"\2\0\1\0", "020001"),
    ],
)
def test_an_nlri_of_an_unknown_type_is_left_out_alone(name: str, block: bytes, kind: str) -> None:
    family = NAMES[name]
    assert faults_of(family, block * 2) == [(f"type {kind}", Verdict.IGNORE)]


def test_no_block_has_more_faults_than_a_log_can_hold() -> None:
    family = NAMES["ipv4-mup"]
    block = b"".join(b"\2" + n.to_bytes(2, "big") + b"\0" for n in range(500))
    assert len(faults_of(family, block)) == 16
    flows = b"".join(b"\2" + n.to_bytes(2, "big") for n in range(500))
    assert len(faults_of(FLOW4, flows)) == 1


def test_those_beside_an_unknown_type_are_taken() -> None:
    assert only(EVPN, b"\x0c\1x" + relayed.mac_ip() + b"\x0d\0") == only(EVPN, relayed.mac_ip())


def test_link_state_of_unknown_types_is_passed_on() -> None:
    nlri = b"\xff\xfe\0\2xy"
    assert only(NAMES["bgp-ls"], nlri) == (nlri, b"")


@pytest.mark.parametrize("afi", [Afi.IPV4, Afi.IPV6])
@drawn
@given(data=st.data())
def test_exabgp_decodes_the_flow_specifications_that_we_let_pass(
    afi: Afi, data: st.DataObject
) -> None:
    family = NAMES[f"{afi.name.lower()}-flow"]
    nlri = bytearray(data.draw(NLRI[family]))
    at = data.draw(st.integers(1, len(nlri) - 1))
    nlri[at] = data.draw(st.integers(0, 255))
    components = bytes(nlri[1 if nlri[0] < 0xF0 else 2 :])
    exa: Any = exabgp()
    found, _ = exa.NLRI.unpack_nlri(family.afi, family.safi, bytes(nlri), exa.Action.ANNOUNCE, None)
    if not flow.flaw(afi, components):
        assert found is not None
    elif found is not None:
        # ExaBGP is more lenient in one point: an address may stand twice.
        assert " behind " in flow.flaw(afi, components)


@pytest.mark.parametrize(
    ("components", "words"),
    [
        (TO_NET + OVER_TCP + TO_WEB, ""),
        (b"\x01\x21" + bytes(5), "component 1 is cut off, or out of its range"),
        (b"\x01", "component 1 is cut off, or out of its range"),
        (b"\x03\x01\x06", "component 3 is cut off, or out of its range"),
        (b"\x03\x91\x01\x06", "component 3 is cut off, or out of its range"),
        (b"\x03\x91\x00\x06", ""),
        (b"\x0d\x81\x06", "component 13"),
        (TO_NET + TO_NET, "component 1 behind 1"),
    ],
)
def test_the_inside_of_a_flow_specification(components: bytes, words: str) -> None:
    assert flow.flaw(Afi.IPV4, components) == words


@pytest.mark.parametrize(
    ("components", "words"),
    [
        (b"\x01\x20\x00\x20\x01\x0d\xb8", ""),
        (b"\x01\x68\x40\x12\x34\x56\x78\x9a", ""),
        (b"\x01\x20\x20", "component 1 is cut off, or out of its range"),
        (b"\x01\x00\x00", ""),
        (b"\x01\x81\x00" + bytes(17), "component 1 is cut off, or out of its range"),
        (b"\x0d\xa1\0\0\0\1", ""),
    ],
)
def test_the_inside_of_an_ipv6_flow_specification(components: bytes, words: str) -> None:
    assert flow.flaw(Afi.IPV6, components) == words


@pytest.mark.parametrize(
    ("name", "size", "text"),
    [
        ("ipv4-vpn", 12, "10.0.0.1"),
        ("ipv6-vpn", 24, "2001:db8::1"),
        ("ipv6-vpn", 48, "2001:db8::1 fe80::1"),
        ("ipv6-labelled", 32, "2001:db8::1 fe80::1"),
        ("l2vpn-evpn", 4, "10.0.0.1"),
        ("ipv4-flow", 0, ""),
        ("bgp-ls-vpn", 12, "10.0.0.1"),
    ],
)
def test_next_hops_are_kept_octet_by_octet(name: str, size: int, text: str) -> None:
    family = NAMES[name]
    two = [b"\x0a\0\0\1"]
    if "::" in text:
        two = [bytes.fromhex("20010db8") + bytes(11) + b"\1", b"\xfe\x80" + bytes(13) + b"\1"]
    rd = bytes(8) if "vpn" in name and name != "l2vpn-evpn" else b""
    octets = b"".join(rd + each for each in two)[:size]
    value = family.afi.to_bytes(2, "big") + bytes((family.safi, size)) + octets + b"\0"
    assert next_hop_of(family, value) == octets
    assert next_hop_text(family, octets) == text


def test_a_next_hop_of_a_length_that_the_family_does_not_have_costs_the_session() -> None:
    value = b"\0\1\x80\5" + bytes(6)
    with pytest.raises(UpdateMessageError, match="a next hop of 5 octets"):
        next_hop_of(VPN4, value)


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(30, 90))
def test_slices_hold_everything_and_no_more_than_there_is_room(
    whole: list[bytes], room: int
) -> None:
    blocks = list(slices(whole, room))
    assert b"".join(blocks) == b"".join(whole)
    assert all(0 < len(block) <= room for block in blocks)


def test_a_block_that_ends_early_is_told() -> None:
    with pytest.raises(PrefixError, match="an NLRI is cut off"):
        list(nlris(VPN4, relayed.vpn(NET)[:-1]))
