"""Path attributes as they come in: what each must look like, and the verdict where it does not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from fsm.notifications import UpdateSubcode
from policy.attributes import FLAGS, Attribute, PathAttributes, segments, tlv, tlvs
from speaker.wire.attributes import (
    CHECKS,
    MAX_ATTRIBUTES,
    ScanContext,
    Scanned,
    missing,
    scan,
)
from speaker.wire.two_octets import merge_as4_path, widen
from speaker.wire.verdicts import Fault, Part, Verdict
from tests.support.builders import (
    Facts,
    as_paths,
    body,
    facts,
    four_octet_as_numbers,
    two_octet_as_numbers,
)
from tests.support.referee import exabgp_facts, exabgp_update
from tests.support.routes import as_path, attribute, u32

INTERNAL = ScanContext(internal=True)
EXTERNAL = ScanContext(internal=False)
OLD = ScanContext(internal=True, four_octet_as=False)
DISCARD, WITHDRAW = Verdict.DISCARD, Verdict.WITHDRAW

ADDRESS = bytes((192, 0, 2, 1))
WELL_FORMED: dict[int, bytes] = {
    Attribute.ORIGIN: b"\0",
    Attribute.AS_PATH: as_path([65001, 65002], {65003}),
    Attribute.NEXT_HOP: ADDRESS,
    Attribute.MULTI_EXIT_DISC: u32(5),
    Attribute.LOCAL_PREF: u32(100),
    Attribute.ATOMIC_AGGREGATE: b"",
    Attribute.AGGREGATOR: u32(65001) + ADDRESS,
    Attribute.COMMUNITIES: u32(1, 2),
    Attribute.ORIGINATOR_ID: ADDRESS,
    Attribute.CLUSTER_LIST: u32(7, 8),
    Attribute.EXTENDED_COMMUNITIES: u32(1, 2),
    Attribute.IPV6_EXTENDED_COMMUNITIES: bytes(20),
    Attribute.AIGP: b"\1\0\x0b" + bytes(8),
    Attribute.LARGE_COMMUNITIES: u32(1, 2, 3),
    Attribute.ONLY_TO_CUSTOMER: u32(65001),
}
BASE = b"".join(attribute(code, WELL_FORMED[code]) for code in (1, 2, 3))


def without(*codes: int) -> bytes:
    """The mandatory attributes but some."""
    return b"".join(attribute(code, WELL_FORMED[code]) for code in (1, 2, 3) if code not in codes)


def verdicts(scanned: Scanned) -> list[tuple[int, Verdict]]:
    return [(fault.attribute, fault.verdict) for fault in scanned.faults]


def test_a_whole_set_passes_without_a_fault_and_in_ascending_order() -> None:
    backwards = b"".join(attribute(code, WELL_FORMED[code]) for code in sorted(WELL_FORMED)[::-1])
    scanned = scan(backwards, INTERNAL)
    assert scanned.faults == ()
    assert not scanned.withdraw
    assert {code: value for _, code, value in tlvs(scanned.raw)} == WELL_FORMED
    assert [code for _, code, _ in tlvs(scanned.raw)] == sorted(WELL_FORMED)
    assert scanned.codes == frozenset(WELL_FORMED)
    assert scanned.next_hop == ADDRESS


VALUES = [
    # RFC 7606 §7.1
    ("no origin", Attribute.ORIGIN, b"", WITHDRAW),
    ("origin of two octets", Attribute.ORIGIN, b"\0\0", WITHDRAW),
    ("undefined origin", Attribute.ORIGIN, b"\3", WITHDRAW),
    # §7.2
    ("undefined segment type", Attribute.AS_PATH, b"\x05\x01" + u32(65001), WITHDRAW),
    ("segment without numbers", Attribute.AS_PATH, b"\x02\x00", WITHDRAW),
    ("segment cut off", Attribute.AS_PATH, b"\x02\x02" + u32(65001), WITHDRAW),
    ("segment header cut off", Attribute.AS_PATH, as_path([65001]) + b"\x02", WITHDRAW),
    ("two octets per number", Attribute.AS_PATH, b"\x02\x01\xfd\xe9", WITHDRAW),
    # RFC 7607 §2
    ("AS 0 in the path", Attribute.AS_PATH, as_path([65001, 0]), WITHDRAW),
    # §7.3
    ("next hop of 16 octets", Attribute.NEXT_HOP, bytes(16), WITHDRAW),
    ("no next hop", Attribute.NEXT_HOP, b"", WITHDRAW),
    # §7.4
    ("MED of 3 octets", Attribute.MULTI_EXIT_DISC, b"\0\0\1", WITHDRAW),
    # §7.5
    ("LOCAL_PREF of 5 octets", Attribute.LOCAL_PREF, bytes(5), WITHDRAW),
    # §7.6
    ("ATOMIC_AGGREGATE with a value", Attribute.ATOMIC_AGGREGATE, b"\0", DISCARD),
    # §7.7
    ("AGGREGATOR of 6 octets", Attribute.AGGREGATOR, b"\xfd\xe9" + ADDRESS, DISCARD),
    ("AGGREGATOR of AS 0", Attribute.AGGREGATOR, u32(0) + ADDRESS, DISCARD),
    # §7.8
    ("COMMUNITIES of 6 octets", Attribute.COMMUNITIES, bytes(6), WITHDRAW),
    ("empty COMMUNITIES", Attribute.COMMUNITIES, b"", WITHDRAW),
    # §7.9
    ("ORIGINATOR_ID of 5 octets", Attribute.ORIGINATOR_ID, bytes(5), WITHDRAW),
    # §7.10
    ("empty CLUSTER_LIST", Attribute.CLUSTER_LIST, b"", WITHDRAW),
    ("CLUSTER_LIST of 7 octets", Attribute.CLUSTER_LIST, bytes(7), WITHDRAW),
    # §7.14
    ("EXTENDED_COMMUNITIES of 12", Attribute.EXTENDED_COMMUNITIES, bytes(12), WITHDRAW),
    ("empty EXTENDED_COMMUNITIES", Attribute.EXTENDED_COMMUNITIES, b"", WITHDRAW),
    # RFC 8092 §5
    ("LARGE_COMMUNITIES of 16", Attribute.LARGE_COMMUNITIES, bytes(16), WITHDRAW),
    ("empty LARGE_COMMUNITIES", Attribute.LARGE_COMMUNITIES, b"", WITHDRAW),
    # RFC 9234 §5
    ("ONLY_TO_CUSTOMER of 2", Attribute.ONLY_TO_CUSTOMER, b"\0\1", WITHDRAW),
    # RFC 5701 §2
    ("IPV6_EXTENDED_COMMUNITIES of 8", Attribute.IPV6_EXTENDED_COMMUNITIES, bytes(8), WITHDRAW),
    ("empty IPV6_EXTENDED_COMMUNITIES", Attribute.IPV6_EXTENDED_COMMUNITIES, b"", WITHDRAW),
    # RFC 7311 §3.2
    ("empty AIGP", Attribute.AIGP, b"", DISCARD),
    ("half a TLV header", Attribute.AIGP, b"\1\0", DISCARD),
    ("a TLV of two octets", Attribute.AIGP, b"\1\0\2", DISCARD),
    ("a TLV beyond the end", Attribute.AIGP, b"\1\0\x0b" + bytes(7), DISCARD),
    ("a metric of four octets", Attribute.AIGP, b"\1\0\7" + bytes(4), DISCARD),
    ("the largest metric", Attribute.AIGP, b"\1\0\x0b" + b"\xff" * 8, DISCARD),
]
OLD_VALUES = [
    # RFC 6793 §6
    ("AS4_PATH cut off", Attribute.AS4_PATH, b"\x02\x02" + u32(1), DISCARD),
    ("empty AS4_PATH", Attribute.AS4_PATH, b"", DISCARD),
    ("AS4_AGGREGATOR of 6 octets", Attribute.AS4_AGGREGATOR, bytes(6), DISCARD),
    # RFC 7607 §2
    ("AS 0 in AS4_PATH", Attribute.AS4_PATH, as_path([0]), DISCARD),
    ("AS4_AGGREGATOR of AS 0", Attribute.AS4_AGGREGATOR, bytes(8), DISCARD),
]


@pytest.mark.parametrize(
    ("code", "value", "verdict"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES]
)
def test_a_wrong_value_meets_its_verdict(code: int, value: bytes, verdict: Verdict) -> None:
    scanned = scan(without(code) + attribute(code, value), INTERNAL)
    assert verdicts(scanned) == [(code, verdict)]
    assert scanned.withdraw == (verdict is WITHDRAW)
    assert code not in scanned.codes


@pytest.mark.parametrize(
    ("code", "value", "verdict"),
    [row[1:] for row in OLD_VALUES],
    ids=[row[0] for row in OLD_VALUES],
)
def test_a_wrong_value_of_a_two_octet_session_meets_its_verdict(
    code: int, value: bytes, verdict: Verdict
) -> None:
    data = without(2) + attribute(Attribute.AS_PATH, b"") + attribute(code, value)
    scanned = scan(data, OLD)
    assert verdicts(scanned) == [(code, verdict)]
    assert code not in scanned.codes


METRIC = b"\1\0\x0b" + (7).to_bytes(8, "big")


@pytest.mark.parametrize(
    "value", [METRIC, b"\2\0\3" + METRIC, METRIC * 2 + b"\xff\0\4\0", b"\2\0\3"]
)
def test_other_tlvs_are_no_fault(value: bytes) -> None:
    """RFC 7311 §3.2."""
    scanned = scan(BASE + attribute(Attribute.AIGP, value), INTERNAL)
    assert (scanned.faults, scanned.raw) == ((), BASE + attribute(Attribute.AIGP, value))


@pytest.mark.parametrize(
    ("context", "kept"),
    [
        (EXTERNAL, False),
        (INTERNAL, True),
        (ScanContext(internal=False, aigp=True), True),
        (ScanContext(internal=True, aigp=False), False),
    ],
)
def test_aigp_is_read_inside_the_as_unless_it_is_said_otherwise(
    context: ScanContext, kept: bool
) -> None:
    """RFC 7311 §3.3."""
    scanned = scan(BASE + attribute(Attribute.AIGP, METRIC), context)
    assert (Attribute.AIGP in scanned.codes) is kept
    assert not scanned.withdraw


@pytest.mark.parametrize("kind", [1, 4], ids=["AS_SET", "AS_CONFED_SET"])
def test_sets_can_be_refused(kind: int) -> None:
    """RFC 9774 §3."""
    path = as_path([65001]) + bytes((kind, 1)) + u32(65002)
    data = without(2) + attribute(Attribute.AS_PATH, path)
    assert scan(data, INTERNAL).faults == ()
    refusing = ScanContext(internal=True, accepts_as_sets=False)
    assert verdicts(scan(data, refusing)) == [(Attribute.AS_PATH, WITHDRAW)]


def test_what_no_message_of_ours_could_hold_is_refused() -> None:
    """An extended message can bring so much; a path of ours in front must still fit."""
    long = attribute(Attribute.COMMUNITIES, bytes(4 * (MAX_ATTRIBUTES // 4)))
    scanned = scan(BASE + long, INTERNAL)
    assert verdicts(scanned) == [(Part.ATTRIBUTE_LIST, WITHDRAW)]
    assert scanned.withdraw
    numbers = b"\x02\xff" + b"\x00\x01" * 255
    wide = attribute(Attribute.AS_PATH, numbers * 100)
    assert scan(without(2) + wide, OLD).withdraw


CLASSED = sorted(CHECKS)


@pytest.mark.parametrize("bit", [0x80, 0x40], ids=["optional", "transitive"])
@pytest.mark.parametrize("code", CLASSED, ids=lambda code: Attribute(code).name)
def test_flags_against_the_definition_withdraw(code: int, bit: int) -> None:
    """RFC 7606 §3 c."""
    value = WELL_FORMED.get(code, as_path([1]) if code == Attribute.AS4_PATH else bytes(8))
    context = OLD if code in (Attribute.AS4_PATH, Attribute.AS4_AGGREGATOR) else INTERNAL
    data = b"" if context is OLD else without(code)
    scanned = scan(data + tlv(FLAGS[code] ^ bit, code, value), context)
    # RFC 7311 §3.2 has its own word for a transitive AIGP.
    discarded = code == Attribute.AIGP and bit == 0x40
    assert verdicts(scanned) == [(code, DISCARD if discarded else WITHDRAW)]
    assert code not in scanned.codes


def test_the_partial_bit_is_kept_and_the_length_bit_is_not() -> None:
    partial = bytes((0xF0, Attribute.COMMUNITIES, 0, 4)) + u32(9)
    assert scan(BASE + partial, INTERNAL).raw.endswith(b"\xe0\x08\x04" + u32(9))


def test_bits_that_mean_nothing_are_not_kept() -> None:
    """RFC 4271 §4.3: the lower four bits, and Partial of what is not optional transitive."""
    odd = b"\x6f\x01\x01\0" + attribute(2, WELL_FORMED[2]) + attribute(3, ADDRESS)
    assert scan(odd, EXTERNAL).raw == BASE
    assert scan(BASE + b"\xcf\x63\x01\7", EXTERNAL).raw == BASE + b"\xc0\x63\x01\7"


@pytest.mark.parametrize("code", [5, 9, 10], ids=lambda code: Attribute(code).name)
@pytest.mark.parametrize("value", [u32(1), b"\1"], ids=["well-formed", "malformed"])
def test_an_external_peer_cannot_send_what_belongs_inside(code: int, value: bytes) -> None:
    """RFC 7606 §7.5, §7.9, §7.10."""
    scanned = scan(BASE + attribute(code, value), EXTERNAL)
    assert verdicts(scanned) == [(code, DISCARD)]
    assert not scanned.withdraw
    assert scanned.raw == BASE


def test_confederation_segments_pass_inside_the_as_alone() -> None:
    """RFC 5065 §5.3."""
    path = b"\x03\x01" + u32(65101) + as_path([65001])
    data = without(2) + attribute(Attribute.AS_PATH, path)
    assert scan(data, INTERNAL).faults == ()
    assert verdicts(scan(data, EXTERNAL)) == [(Attribute.AS_PATH, WITHDRAW)]


@pytest.mark.parametrize("code", sorted(WELL_FORMED), ids=lambda code: Attribute(code).name)
def test_the_first_of_two_stands(code: int) -> None:
    """RFC 7606 §3 g."""
    first = attribute(code, WELL_FORMED[code])
    second = attribute(code, WELL_FORMED[code][:-1] + b"\2" if WELL_FORMED[code] else b"")
    scanned = scan(without(code) + first + second, INTERNAL)
    assert verdicts(scanned) == [(code, DISCARD)]
    assert not scanned.withdraw
    assert {c: v for _, c, v in tlvs(scanned.raw)}[code] == WELL_FORMED[code]


def test_the_second_of_two_is_discarded_even_where_the_first_is_malformed() -> None:
    """RFC 7606 §3 g."""
    code = Attribute.AGGREGATOR
    data = BASE + attribute(code, b"\0") + attribute(code, WELL_FORMED[code])
    scanned = scan(data, EXTERNAL)
    assert verdicts(scanned) == [(code, DISCARD), (code, DISCARD)]
    assert scanned.raw == BASE


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"\x40", id="flags alone"),
        pytest.param(b"\x40\x05", id="no length"),
        pytest.param(b"\x50\x05\x00", id="half an extended length"),
        pytest.param(b"\x40\x05\x04\0\0\0", id="a value that is too short"),
        pytest.param(b"\x50\x05\x00\x04\0", id="an extended value that is too short"),
    ],
)
def test_attributes_that_are_cut_off_withdraw(tail: bytes) -> None:
    """RFC 7606 §4."""
    scanned = scan(BASE + tail, INTERNAL)
    assert [fault.verdict for fault in scanned.faults] == [WITHDRAW]
    assert scanned.withdraw


@pytest.mark.parametrize("code", [14, 15])
def test_a_multiprotocol_attribute_that_is_cut_off_resets(code: int) -> None:
    """RFC 7606 §3 j: its NLRI cannot be found."""
    tail = bytes((0x80, code, 9)) + b"\0\2\1"
    with pytest.raises(UpdateMessageError) as raised:
        scan(BASE + tail, INTERNAL)
    assert (raised.value.subcode, raised.value.data) == (
        UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR,
        tail,
    )


@pytest.mark.parametrize("code", [14, 15])
def test_a_multiprotocol_attribute_that_stands_twice_resets(code: int) -> None:
    """RFC 7606 §3 g."""
    with pytest.raises(UpdateMessageError) as raised:
        scan(BASE + attribute(code, b"\0\2\1\0\0") * 2, INTERNAL)
    assert raised.value.subcode == UpdateSubcode.MALFORMED_ATTRIBUTE_LIST


def test_the_multiprotocol_attributes_are_cut_out() -> None:
    scanned = scan(BASE + attribute(14, b"reach") + attribute(15, b"unreach"), INTERNAL)
    assert (scanned.reach, scanned.unreach, scanned.raw) == (b"reach", b"unreach", BASE)


def test_an_unknown_attribute_that_claims_to_be_well_known_resets() -> None:
    """RFC 4271 §6.3: the data is the attribute."""
    unknown = b"\x40\x63\x01\x07"
    with pytest.raises(UpdateMessageError) as raised:
        scan(BASE + unknown, INTERNAL)
    assert (raised.value.subcode, raised.value.data) == (
        UpdateSubcode.UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE,
        unknown,
    )


@pytest.mark.parametrize("flags", [0x80, 0xC0, 0xE0])
def test_an_unknown_optional_attribute_is_kept_as_it_is(flags: int) -> None:
    unknown = bytes((flags, 0x63, 1, 7))
    assert scan(BASE + unknown, INTERNAL).raw == BASE + unknown


MISSING = [
    ({2, 3, 5}, INTERNAL, True, Attribute.ORIGIN),
    ({1, 3, 5}, INTERNAL, True, Attribute.AS_PATH),
    ({1, 2, 5}, INTERNAL, True, Attribute.NEXT_HOP),
    ({1, 2, 3}, INTERNAL, True, Attribute.LOCAL_PREF),
    ({1, 2, 3}, EXTERNAL, True, None),
    ({1, 2}, EXTERNAL, False, None),
    ({1, 2, 5}, INTERNAL, False, None),
]


@pytest.mark.parametrize(("codes", "context", "classic", "absent"), MISSING)
def test_a_mandatory_attribute_that_is_missing_withdraws(
    codes: set[int], context: ScanContext, classic: bool, absent: int | None
) -> None:
    """RFC 7606 §3 d, RFC 4271 §5.1."""
    fault = missing(frozenset(codes), internal=context.internal, classic=classic)
    expected = None if absent is None else Fault(absent, WITHDRAW, "it is missing")
    assert fault == expected


def test_a_fault_reads_as_a_sentence() -> None:
    assert str(Fault(1, WITHDRAW, "length 2 instead of 1")) == (
        "ORIGIN: length 2 instead of 1 (treat as withdraw)"
    )
    assert str(Fault(99, DISCARD, "it stands twice")).startswith("attribute 99: ")


def narrow(*segments: list[int] | set[int]) -> bytes:
    """Write an AS_PATH of two-octet numbers."""
    return b"".join(
        bytes((1 if isinstance(s, set) else 2, len(s))) + b"".join(n.to_bytes(2, "big") for n in s)
        for s in segments
    )


CONFEDERATION = b"\x03\x01" + u32(65101)
MERGES = [
    # AS_PATH (wide already), AS4_PATH, the path that is meant (RFC 6793 §4.2.3)
    ("all of it", as_path([1, 23456]), as_path([1, 70000]), as_path([1, 70000])),
    ("a lead", as_path([9, 8, 23456]), as_path([70000]), as_path([9, 8, 70000])),
    ("fewer numbers than AS4_PATH", as_path([1]), as_path([1, 70000]), as_path([1])),
    ("a set counts as one", as_path([9], {2, 3}), as_path({70000}), as_path([9], {70000})),
    ("a set in the lead", as_path({2, 3}, [4]), as_path([70000]), as_path({2, 3}, [70000])),
    (
        "a confederation in the lead",
        CONFEDERATION + as_path([9, 23456]),
        as_path([70000]),
        CONFEDERATION + as_path([9, 70000]),
    ),
    (
        "a confederation does not count",
        CONFEDERATION + as_path([9]),
        as_path([9, 70000]),
        CONFEDERATION + as_path([9]),
    ),
    (
        "a confederation in AS4_PATH is passed over",
        as_path([9, 23456]),
        CONFEDERATION + as_path([70000]),
        as_path([9, 70000]),
    ),
    (
        "segments are filled to 255",
        as_path([1] * 255, [23456]),
        as_path([70000]),
        as_path([1] * 255, [70000]),
    ),
    ("nothing", b"", b"", b""),
]


@pytest.mark.parametrize(
    ("path", "as4_path", "merged"), [row[1:] for row in MERGES], ids=[row[0] for row in MERGES]
)
def test_as4_path_is_merged(path: bytes, as4_path: bytes, merged: bytes) -> None:
    """RFC 6793 §4.2.3."""
    assert merge_as4_path(path, as4_path) == merged


TRANS = b"\x5b\xa0"
OTHER = bytes((192, 0, 2, 9))
AGGREGATORS = [
    ("neither", None, None, True, None),
    ("AS_TRANS and its number", TRANS + ADDRESS, u32(70000) + OTHER, True, u32(70000) + OTHER),
    ("AS_TRANS alone", TRANS + ADDRESS, None, True, u32(23456) + ADDRESS),
    ("a true number", b"\xfd\xe9" + ADDRESS, None, True, u32(65001) + ADDRESS),
    (
        "a true number beside AS4_AGGREGATOR: both are ignored",
        b"\xfd\xe9" + ADDRESS,
        u32(70000) + OTHER,
        False,
        u32(65001) + ADDRESS,
    ),
    ("AS4_AGGREGATOR alone is ignored", None, u32(70000) + OTHER, True, None),
]


@pytest.mark.parametrize(
    ("old", "new", "merges", "expected"),
    [row[1:] for row in AGGREGATORS],
    ids=[row[0] for row in AGGREGATORS],
)
def test_as4_aggregator_decides_what_is_merged(
    old: bytes | None, new: bytes | None, merges: bool, expected: bytes | None
) -> None:
    """RFC 6793 §4.2.3."""
    data = without(2) + attribute(Attribute.AS_PATH, narrow([9, 23456]))
    data += attribute(Attribute.AS4_PATH, as_path([70000]))
    if old is not None:
        data += attribute(Attribute.AGGREGATOR, old)
    if new is not None:
        data += attribute(Attribute.AS4_AGGREGATOR, new)
    scanned = scan(data, OLD)
    found = PathAttributes(scanned.raw)
    assert scanned.faults == ()
    assert found.as_sequence == ((9, 70000) if merges else (9, 23456))
    assert found.value(Attribute.AGGREGATOR) == expected
    assert {17, 18}.isdisjoint(scanned.codes)


def test_a_speaker_of_four_octets_has_no_use_for_as4_path() -> None:
    """RFC 6793 §6: discarded, and logged, whatever they hold."""
    for value in (as_path([70000]), b"\7"):
        data = BASE + attribute(17, value) + attribute(18, u32(70000) + ADDRESS)
        scanned = scan(data, INTERNAL)
        assert scanned.raw == BASE
        assert verdicts(scanned) == [(17, DISCARD), (18, DISCARD)]


@given(as_paths(two_octet_as_numbers, kinds=(1, 2, 3, 4)))
def test_widening_changes_no_number(path: tuple[tuple[int, tuple[int, ...]], ...]) -> None:
    wide = widen(_octets(path, 2))
    assert tuple(segments(wide)) == path


def _octets(path: tuple[tuple[int, tuple[int, ...]], ...], size: int) -> bytes:
    return b"".join(
        bytes((kind, len(numbers))) + b"".join(n.to_bytes(size, "big") for n in numbers)
        for kind, numbers in path
    )


def ours(scanned: Scanned) -> dict[str, object]:
    """The facts that our scan reads, named as the referee names them."""
    found = PathAttributes(scanned.raw, scanned.next_hop)
    names = (
        "origin as_path next_hop med local_pref originator_id cluster_list communities"
        " large_communities"
    )
    return {name: getattr(found, name) for name in names.split()}


@given(facts())
@example(Facts(path=()))
@example(Facts(communities=tuple(range(70)), clusters=(1,) * 70))
def test_exabgp_reads_the_same_facts(drawn: Facts) -> None:
    raw = drawn.encode()
    scanned = scan(raw, INTERNAL)
    assert scanned.faults == ()
    assert ours(scanned) == exabgp_facts(exabgp_update(body(b"", raw, b"\0")).attributes)
    assert scan(scanned.raw, INTERNAL).raw == scanned.raw


@given(facts(two_octet_as_numbers), as_paths(four_octet_as_numbers))
def test_exabgp_merges_to_the_same_path(
    drawn: Facts, as4_path: tuple[tuple[int, tuple[int, ...]], ...]
) -> None:
    raw = drawn.encode(as_octets=2)
    if as4_path:
        raw += attribute(Attribute.AS4_PATH, _octets(as4_path, 4))
    scanned = scan(raw, OLD)
    theirs = exabgp_facts(exabgp_update(body(b"", raw, b"\0"), four_octet_as=False).attributes)
    assert scanned.faults == ()
    assert _flat(ours(scanned)["as_path"]) == _flat(theirs["as_path"])


def _flat(path: object) -> list[tuple[int, int]]:
    """Numbers by kind of segment: where sequences are cut in two is everybody's own choice."""
    assert isinstance(path, tuple)
    return [(kind, number) for kind, numbers in path for number in numbers]


def only_update_errors(data: bytes, context: ScanContext) -> None:
    """Scan; what passes must be readable without an error."""
    try:
        scanned = scan(data, context)
    except UpdateMessageError:
        return
    ours(scanned)
    assert scan(scanned.raw, ScanContext(context.internal, four_octet_as=True)).raw == scanned.raw


contexts = st.builds(ScanContext, st.booleans(), st.booleans())


@given(st.binary(max_size=80), contexts)
def test_any_octets_are_scanned_or_an_update_error(data: bytes, context: ScanContext) -> None:
    only_update_errors(data, context)


@given(facts(two_octet_as_numbers), st.data(), contexts)
def test_garbled_attributes_are_scanned_or_an_update_error(
    drawn: Facts, data: st.DataObject, context: ScanContext
) -> None:
    raw = bytearray(drawn.encode(as_octets=4 if context.four_octet_as else 2))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    only_update_errors(bytes(raw[: data.draw(st.integers(0, len(raw)))]), context)


codes = st.sampled_from([*CHECKS, 14, 15, 99, 128])


@given(
    st.lists(st.tuples(st.integers(0, 255), codes, st.binary(max_size=16)), max_size=6), contexts
)
def test_any_values_are_scanned_or_an_update_error(
    parts: list[tuple[int, int, bytes]], context: ScanContext
) -> None:
    only_update_errors(b"".join(tlv(flags, code, value) for flags, code, value in parts), context)


def test_an_attribute_that_stands_there_ten_thousand_times_is_complained_of_once() -> None:
    """The complaint must not cost more than the octets."""
    scanned = scan(BASE + tlv(0xC0, 99, b"") * 10_000, INTERNAL)
    assert [fault.attribute for fault in scanned.faults] == [99]
