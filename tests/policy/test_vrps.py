"""Origin validation against the words of RFC 6811."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.attributes import PathAttributes, tlv
from policy.prefix import WIDTH, Nlri, covers
from policy.vrps import Covered, Validity, Vrp, Vrps, VrpTable, origin_of
from tests.support.routes import nlri, nlris

FAMILIES = st.sampled_from([Afi.IPV4, Afi.IPV6])


@st.composite
def vrps_of(draw: st.DrawFn, afi: Afi) -> Vrp:
    prefix = draw(nlris(afi, within=3))
    longest = draw(st.integers(prefix[0], min(WIDTH[afi], prefix[0] + 6)))
    return Vrp(afi, prefix, longest, draw(st.integers(0, 3)))


def table_of(afi: Afi, vrps: list[Vrp]) -> VrpTable:
    table = VrpTable(afi)
    for vrp in vrps:
        table.add(vrp.nlri, vrp.max_length, vrp.asn)
    return table


def judged(vrps: set[Vrp], prefix: Nlri, origin: int | None) -> Validity:
    """Say it as RFC 6811 §2 does."""
    covering = [vrp for vrp in vrps if covers(vrp.nlri, prefix)]
    matched = [v for v in covering if prefix[0] <= v.max_length and v.asn == origin and origin]
    if matched:
        return Validity.VALID
    return Validity.INVALID if covering else Validity.NOT_FOUND


@given(st.data(), FAMILIES)
def test_a_route_is_judged_as_rfc_6811_says(data: st.DataObject, afi: Afi) -> None:
    """RFC 6811 §2: of the VRPs of all sources together."""
    sources = data.draw(st.lists(st.lists(vrps_of(afi), max_size=12), max_size=3))
    vrps = Vrps(afi)
    for number, told in enumerate(sources):
        vrps.put(str(number), table_of(afi, told))
    everything = {vrp for told in sources for vrp in told}
    prefix, origin = data.draw(nlris(afi, within=3)), data.draw(st.none() | st.integers(0, 4))
    assert vrps.validate(prefix, origin) is judged(everything, prefix, origin)
    found = vrps.covering(prefix)
    assert {vrp for vrp, _ in found} == {v for v in everything if covers(v.nlri, prefix)}
    for vrp, names in found:
        assert names == tuple(str(i) for i, told in enumerate(sources) if vrp in told)


@given(st.data(), FAMILIES)
def test_a_table_holds_what_was_added_and_not_removed(data: st.DataObject, afi: Afi) -> None:
    table, model = VrpTable(afi), set[Vrp]()
    pool = data.draw(st.lists(vrps_of(afi), min_size=1, max_size=6))
    for vrp in data.draw(st.lists(st.sampled_from(pool), max_size=20)):
        if data.draw(st.booleans()):
            assert table.add(vrp.nlri, vrp.max_length, vrp.asn) is (vrp not in model)
            model.add(vrp)
        else:
            assert table.remove(vrp.nlri, vrp.max_length, vrp.asn) is (vrp in model)
            model.discard(vrp)
        assert set(table) == model
        assert len(table) == len(model)
        assert all((each in table) is (each in model) for each in pool)


@given(st.data(), FAMILIES)
def test_tables_differ_in_the_prefixes_of_which_they_say_something_else(
    data: st.DataObject, afi: Afi
) -> None:
    pool = data.draw(st.lists(vrps_of(afi), min_size=1, max_size=12))
    some = st.lists(st.sampled_from(pool), max_size=12)
    one, other = data.draw(some), data.draw(some)
    found = [n for part in table_of(afi, one).differs(table_of(afi, other)) for n in part]
    assert sorted(found) == sorted({vrp.nlri for vrp in set(one) ^ set(other)})


@given(st.data(), FAMILIES)
def test_covered_finds_what_a_look_at_each_would_find(data: st.DataObject, afi: Afi) -> None:
    lengths = st.sampled_from([0, 1, 7, 8, 15, 16, 17, 24, 31, 32])
    octets = st.binary(min_size=4, max_size=4).map(lambda b: bytes(octet & 0x81 for octet in b))

    def cut(length: int, address: bytes) -> Nlri:
        bits = int.from_bytes(address, "big") >> (32 - length) << (32 - length)
        return bytes((length,)) + bits.to_bytes(4, "big")[: length + 7 >> 3]

    some = st.lists(st.builds(cut, lengths, octets), max_size=12)
    outer, inner = data.draw(some), data.draw(some)
    expected = [n for n in inner if any(covers(o, n) for o in outer)]
    assert Covered(afi, outer).among(inner) == expected


def test_as_0_forbids_and_never_allows() -> None:
    """RFC 6483 §4."""
    vrps = Vrps(Afi.IPV4)
    vrps.put("cache", table_of(Afi.IPV4, [Vrp(Afi.IPV4, nlri("192.0.2.0/24"), 24, 0)]))
    assert vrps.validate(nlri("192.0.2.0/24"), 0) is Validity.INVALID
    assert vrps.validate(nlri("192.0.2.0/24"), 64500) is Validity.INVALID


def test_without_sources_nothing_is_found() -> None:
    """RFC 6811 §2: NotFound as long as there are no VRPs."""
    vrps = Vrps(Afi.IPV4)
    assert vrps.validate(nlri("10.0.0.0/8"), 1) is Validity.NOT_FOUND
    former = vrps.put("cache", table_of(Afi.IPV4, [Vrp(Afi.IPV4, nlri("10.0.0.0/8"), 8, 1)]))
    assert len(former) == 0
    assert vrps.validate(nlri("10.0.0.0/8"), 1) is Validity.VALID
    assert len(vrps) == 1
    assert len(vrps.put("cache", None)) == 1
    assert vrps.validate(nlri("10.0.0.0/8"), 1) is Validity.NOT_FOUND


def segment(kind: int, *numbers: int) -> bytes:
    return bytes((kind, len(numbers))) + b"".join(n.to_bytes(4, "big") for n in numbers)


@pytest.mark.parametrize(
    ("as_path", "expected"),
    [
        (segment(2, 65001, 65002), 65002),
        (segment(1, 65009) + segment(2, 65001), 65001),
        (segment(2, 65001) + segment(1, 65002, 65003), None),
        (segment(2, 65001) + segment(1, 65002), None),
        (b"", 64512),
        (segment(3, 65101, 65102), 64512),
        (segment(4, 65101), 64512),
        (segment(3, 65101) + segment(2, 65001), 65001),
    ],
)
def test_the_origin_is_the_last_as_of_the_last_sequence(
    as_path: bytes, expected: int | None
) -> None:
    """RFC 6811 §2, of the Route Origin ASN."""
    attributes = PathAttributes(tlv(0x40, 1, b"\0") + tlv(0x40, 2, as_path))
    assert origin_of(attributes, 64512) == expected


def test_a_vrp_is_written_for_people() -> None:
    vrp = Vrp(Afi.IPV4, nlri("192.0.2.0/24"), 25, 64500)
    assert str(vrp) == "192.0.2.0/24 up to /25 AS 64500"
