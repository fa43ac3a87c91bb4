"""Attribute sets: the facts read from the octets, and the editor that makes new ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import (
    FLAGS,
    PARTIAL,
    Attribute,
    AttributeEditor,
    Origin,
    PathAttributes,
    local_attributes,
    prepend,
    segments,
    tlv,
    tlvs,
)
from tests.support.routes import as_path, attribute, attributes, u32

NUMBERS = st.integers(1, 0xFFFFFFFF)


@given(st.lists(st.tuples(st.sampled_from(list(FLAGS)), st.binary(max_size=300))))
def test_tlvs_undoes_tlv(parts: list[tuple[int, bytes]]) -> None:
    raw = b"".join(attribute(code, value) for code, value in parts)
    assert [(code, value) for _, code, value in tlvs(raw)] == parts


def test_the_extended_length_is_used_only_where_it_is_needed() -> None:
    assert tlv(0xC0, 8, bytes(255))[:3] == bytes((0xC0, 8, 255))
    assert tlv(0xC0, 8, bytes(256))[:4] == bytes((0xD0, 8, 1, 0))
    assert tlv(0xD0, 8, bytes(4))[:3] == bytes((0xC0, 8, 4))


def test_long_and_short_attributes_are_walked_alike() -> None:
    parts = [(8, bytes(300)), (1, b"\0"), (16, bytes(256))]
    raw = b"".join(attribute(code, value) for code, value in parts)
    assert [(code, value) for _, code, value in tlvs(raw)] == parts


def test_facts_are_read_from_the_octets() -> None:
    made = attributes(
        [65001, 65002],
        origin=1,
        med=7,
        local_pref=200,
        communities=[0xFDE80001],
        originator_id=9,
        clusters=[3, 4],
        large=[(1, 2, 3)],
    )
    assert (made.origin, made.as_path_length, made.neighbor_as) == (Origin.EGP, 2, 65001)
    assert (made.med, made.local_pref) == (7, 200)
    assert made.next_hop == bytes((192, 0, 2, 1))
    assert made.communities == {0xFDE80001}
    assert made.large_communities == {(1, 2, 3)}
    assert (made.originator_id, made.cluster_list) == (9, (3, 4))
    assert made.as_sequence == (65001, 65002)
    assert "c0000201" in repr(made)


def test_what_is_absent_reads_as_nothing() -> None:
    made = PathAttributes(b"")
    assert (made.med, made.local_pref, made.originator_id) == (None, None, None)
    assert (made.as_path, made.communities, made.cluster_list) == ((), frozenset(), ())
    assert made.value(Attribute.COMMUNITIES) is None
    assert made.origin == Origin.INCOMPLETE


def test_facts_are_read_whatever_the_order_of_attributes() -> None:
    """RFC 4271 §5: the receiver must be prepared for any order."""
    raw = (
        attribute(Attribute.COMMUNITIES, u32(1))
        + tlv(0xC0, 99, bytes(300))
        + attribute(Attribute.LOCAL_PREF, u32(5))
        + attribute(Attribute.AS_PATH, as_path([65009]))
        + attribute(Attribute.ORIGIN, b"\0")
    )
    made = PathAttributes(raw)
    assert (made.local_pref, made.neighbor_as, made.origin) == (5, 65009, Origin.IGP)


def test_an_as_path_of_extended_length_is_read() -> None:
    """FRR sends AS_PATH with the Extended Length bit even where it is short."""
    made = PathAttributes(bytes((0x50, 2, 0, 6)) + as_path([65001]) + attribute(1, b"\0"))
    assert (made.as_path_length, made.neighbor_as, made.origin) == (1, 65001, Origin.IGP)


@pytest.mark.parametrize(
    ("value", "length", "neighbor"),
    [
        (b"", 0, 0),
        (as_path([65001, 65002]), 2, 65001),
        (as_path([65001], {65002, 65003}), 2, 65001),
        (as_path({65002, 65003}), 1, 0),
        (b"\x03\x02" + u32(64512, 64513) + as_path([65001]), 1, 65001),
        (b"\x04\x02" + u32(64512, 64513), 0, 0),
        (b"\x04\x01" + u32(64512) + as_path([65001]), 1, 65001),
        (as_path([7] * 255, [8]), 256, 7),
        (b"\x02\x00", 0, 0),
    ],
)
def test_the_length_of_the_path_counts_a_set_once_and_confederations_never(
    value: bytes, length: int, neighbor: int
) -> None:
    """RFC 4271 §9.1.2.2 a, RFC 5065 §5.3."""
    made = attributes(value)
    assert (made.as_path_length, made.neighbor_as) == (length, neighbor)


def test_own_as_is_counted_in_sets_too() -> None:
    made = attributes(as_path([65001, 65000], {65000, 65002}))
    assert made.count_as(65000) == 2


@given(st.lists(NUMBERS, max_size=600), st.lists(NUMBERS, max_size=12))
def test_prepend_puts_the_numbers_in_front_in_their_order(old: list[int], new: list[int]) -> None:
    """RFC 4271 §5.1.2: no segment grows beyond 255 numbers."""
    value = b""
    for at in range(0, len(old), 255):
        value += as_path(old[at : at + 255])
    result = list(segments(prepend(value, new)))
    assert [number for _, numbers in result for number in numbers] == new + old
    assert all(len(numbers) <= 255 for _, numbers in result)


def test_prepend_opens_a_sequence_before_a_set() -> None:
    assert prepend(as_path({1, 2}), [9]) == as_path([9], {1, 2})


def test_the_editor_writes_ascending_types() -> None:
    """RFC 4271 §5."""
    editor = AttributeEditor(attribute(8, u32(1)) + attribute(1, b"\0"))
    editor.set(Attribute.LOCAL_PREF, u32(100))
    assert [code for _, code, _ in tlvs(editor.encode())] == [1, 5, 8]


def test_the_editor_prepends_to_a_path_or_makes_one() -> None:
    editor = AttributeEditor(b"")
    editor.prepend([2])
    editor.prepend([1])
    assert editor.get(Attribute.AS_PATH) == as_path([1, 2])


def test_communities_are_added_once_and_sorted() -> None:
    editor = AttributeEditor(attribute(8, u32(7, 3)))
    editor.add_communities([5, 3, (1, 2, 3), (0, 9, 9), (1, 2, 3)])
    made = PathAttributes(editor.encode())
    assert made.value(Attribute.COMMUNITIES) == u32(3, 5, 7)
    assert made.value(Attribute.LARGE_COMMUNITIES) == u32(0, 9, 9, 1, 2, 3)


def test_adding_no_community_makes_no_attribute() -> None:
    editor = AttributeEditor(b"")
    editor.add_communities([])
    assert editor.encode() == b""


def test_the_partial_bit_of_what_was_there_is_kept() -> None:
    """RFC 4271 §5: it must not be set back."""
    editor = AttributeEditor(tlv(0xC0 | PARTIAL, 8, u32(1)))
    editor.add_communities([2])
    assert editor.encode()[0] == 0xC0 | PARTIAL


def test_unknown_attributes_pass_as_partial_or_not_at_all() -> None:
    """RFC 4271 §5."""
    editor = AttributeEditor(tlv(0xC0, 99, b"a") + tlv(0x80, 98, b"b") + attribute(8, u32(1)))
    editor.drop_unknown_non_transitive()
    editor.mark_unknown_partial()
    assert list(tlvs(editor.encode())) == [(0xC0, 8, u32(1)), (0xE0, 99, b"a")]


def test_dropping_what_is_not_there_is_no_error() -> None:
    editor = AttributeEditor(attribute(1, b"\0"))
    editor.drop(Attribute.MULTI_EXIT_DISC, Attribute.ORIGIN)
    assert editor.encode() == b""
    assert editor.get(Attribute.ORIGIN) is None


def test_a_route_made_here_has_origin_igp_and_an_empty_path() -> None:
    made = local_attributes(bytes((192, 0, 2, 9)), med=5)
    assert (made.origin, made.as_path_length, made.med) == (Origin.IGP, 0, 5)
    assert made.value(Attribute.NEXT_HOP) == bytes((192, 0, 2, 9))
    assert local_attributes(bytes(16)).value(Attribute.NEXT_HOP) is None
