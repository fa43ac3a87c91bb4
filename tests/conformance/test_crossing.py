"""Every attribute from every kind of peer to every kind of peer, octet by octet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from random import Random

import pytest

from policy.attributes import FLAGS, PARTIAL, Attribute, tlv
from tests.support.crossing import (
    AS_TRANS,
    EXTERNAL,
    HEARERS,
    INTERNAL,
    OLD,
    TELLERS,
    TO_EXTERNAL,
    TO_INTERNAL,
    TO_OLD,
    TO_WIDE,
    WIDE_AS,
    Crossing,
    End,
    Told,
)
from tests.support.malformed import GOOD, sequence
from tests.support.routers import AS, Town
from tests.support.routes import attribute, u32

A = Attribute
Around = tuple[asyncio.Runner, Crossing]
KINDS = ["external", "internal", "two octets"]
TO_KINDS = ["to external", "to internal", "to two octets", "to two octets from a long AS"]

tellers = pytest.mark.parametrize("teller", TELLERS, ids=KINDS)
hearers = pytest.mark.parametrize("hearer", HEARERS, ids=TO_KINDS)


@pytest.fixture(scope="module")
def crossing() -> Iterator[Around]:
    with asyncio.Runner() as runner:
        town = Town()

        async def build() -> Crossing:
            await town.__aenter__()
            return await Crossing.build(town)

        crossing = runner.run(build())
        yield runner, crossing
        runner.run(crossing.close())
        runner.run(town.__aexit__(None))


def base(teller: End, *numbers: int) -> dict[int, bytes]:
    """Give the attributes that a route of a teller must have, its AS_PATH with these numbers."""
    own = () if teller.internal else (teller.asn,)
    values: dict[int, bytes] = {A.ORIGIN: b"\1", A.AS_PATH: teller.path(*own, *(numbers or (8,)))}
    values[A.NEXT_HOP] = teller.address
    if teller.internal:
        values[A.LOCAL_PREF] = u32(70)
    return values


def joined(values: Mapping[int, bytes]) -> bytes:
    return b"".join(attribute(code, value) for code, value in values.items())


def carried(around: Around, teller: End, attributes: bytes) -> dict[End, Told]:
    runner, crossing = around
    found = runner.run(crossing.carry(teller, attributes))
    assert None not in found.values()
    return {end: told for end, told in found.items() if told is not None}


def values(told: Told) -> dict[int, bytes]:
    return {code: value for code, (_, value) in told.items()}


def own_numbers(teller: End, hearer: End) -> tuple[int, ...]:
    """Give what stands before the teller's own path towards a hearer."""
    asked = () if teller.internal else (teller.asn,)
    return asked if hearer.internal else (hearer.local_asn, *asked)


# What must be there.


@tellers
@hearers
def test_what_every_route_has_is_made_for_the_one_who_hears(
    crossing: Around, teller: End, hearer: End
) -> None:
    """RFC 4271 §5.1.1–§5.1.5, §9.1.3; RFC 6793 §4.2.2."""
    told = carried(crossing, teller, joined(base(teller)))[hearer]
    numbers = (*own_numbers(teller, hearer), 8)
    wanted = {
        A.ORIGIN: b"\1",
        A.AS_PATH: hearer.path(*(min(n, AS_TRANS) if n > 0xFFFF else n for n in numbers))
        if hearer.as_octets == 2
        else hearer.path(*numbers),
        A.NEXT_HOP: teller.address if hearer.internal else bytes((127, 0, 0, 1)),
    }
    if hearer is TO_WIDE:
        wanted[A.AS4_PATH] = sequence(*numbers)
    if hearer.internal:
        wanted[A.LOCAL_PREF] = u32(70 if teller.internal else 100)
        if teller.internal:
            wanted[A.ORIGINATOR_ID] = teller.address
            wanted[A.CLUSTER_LIST] = bytes((127, 0, 0, 1))
    assert values(told) == wanted
    assert {code: flags for code, (flags, _) in told.items()} == {c: FLAGS[c] for c in wanted}
    assert list(told) == sorted(told)


# What may be there.

PASSING = {
    A.ATOMIC_AGGREGATE: b"",
    A.COMMUNITIES: GOOD[A.COMMUNITIES],
    A.EXTENDED_COMMUNITIES: GOOD[A.EXTENDED_COMMUNITIES],
    A.IPV6_EXTENDED_COMMUNITIES: GOOD[A.IPV6_EXTENDED_COMMUNITIES],
    A.LARGE_COMMUNITIES: GOOD[A.LARGE_COMMUNITIES],
    A.ONLY_TO_CUSTOMER: GOOD[A.ONLY_TO_CUSTOMER],
}


@tellers
def test_what_is_for_everybody_reaches_everybody(crossing: Around, teller: End) -> None:
    """RFC 4271 §5.1.6; RFC 1997; RFC 4360; RFC 5701; RFC 8092; RFC 9234 §5."""
    sent = joined(base(teller) | PASSING)
    for told in carried(crossing, teller, sent).values():
        assert {code: told[code] for code in PASSING} == {
            code: (FLAGS[code], value) for code, value in PASSING.items()
        }


@tellers
def test_the_order_of_attributes_is_all_the_same(crossing: Around, teller: End) -> None:
    """RFC 4271 §5: a receiver must be prepared for any order; ours is ascending."""
    everything = base(teller) | PASSING | {A.MULTI_EXIT_DISC: u32(5)}
    expected = carried(crossing, teller, joined(everything))
    for seed in range(3):
        order = list(everything)
        Random(seed).shuffle(order)
        mixed = joined({code: everything[code] for code in order})
        assert carried(crossing, teller, mixed) == expected
    for told in expected.values():
        assert list(told) == sorted(told)


@tellers
@pytest.mark.parametrize(
    ("code", "value"),
    [
        (A.MULTI_EXIT_DISC, u32(5)),
        (A.LOCAL_PREF, u32(71)),
        (A.ORIGINATOR_ID, u32(0xC0000209)),
        (A.CLUSTER_LIST, u32(1, 2)),
        (A.AIGP, GOOD[A.AIGP]),
    ],
    ids=["MED", "LOCAL_PREF", "ORIGINATOR_ID", "CLUSTER_LIST", "AIGP"],
)
def test_what_is_of_one_as_stays_in_it(
    crossing: Around, teller: End, code: Attribute, value: bytes
) -> None:
    """RFC 4271 §5.1.4, §5.1.5; RFC 4456 §8; RFC 7311 §3.3: reflected, and not told outside."""
    found = carried(crossing, teller, joined(base(teller) | {code: value}))
    for hearer in (TO_EXTERNAL, TO_OLD, TO_WIDE):
        assert code not in found[hearer]
    inside = values(found[TO_INTERNAL]).get(code)
    if code == A.MULTI_EXIT_DISC:
        assert inside == value
    elif not teller.internal:
        assert inside == (u32(100) if code == A.LOCAL_PREF else None)
    else:
        assert inside == (bytes((127, 0, 0, 1)) + value if code == A.CLUSTER_LIST else value)


@tellers
def test_extended_communities_of_one_as_stay_in_it(crossing: Around, teller: End) -> None:
    """RFC 4360 §6, RFC 5701 §2."""
    for code, size in ((A.EXTENDED_COMMUNITIES, 8), (A.IPV6_EXTENDED_COMMUNITIES, 20)):
        crossing_over, staying = bytes(size), b"\x40" + bytes(size - 1)
        sent = joined(base(teller) | {code: staying + crossing_over})
        for hearer, told in carried(crossing, teller, sent).items():
            assert told[code][1] == (staying if hearer.internal else b"") + crossing_over


# What nobody knows.


@tellers
@pytest.mark.parametrize("flags", [0xC0, 0xE0])
def test_what_nobody_knows_and_is_transitive_goes_on_as_partial(
    crossing: Around, teller: End, flags: int
) -> None:
    """RFC 4271 §5."""
    sent = joined(base(teller)) + tlv(flags, 99, b"abc") + tlv(0xC0, 200, b"")
    for told in carried(crossing, teller, sent).values():
        assert told[99] == (0xC0 | PARTIAL, b"abc")
        assert told[200] == (0xC0 | PARTIAL, b"")
        assert list(told) == sorted(told)


@tellers
def test_what_nobody_knows_and_is_not_transitive_is_dropped(crossing: Around, teller: End) -> None:
    """RFC 4271 §5."""
    sent = joined(base(teller)) + tlv(0x80, 98, b"abc")
    for told in carried(crossing, teller, sent).values():
        assert 98 not in told


@tellers
def test_partial_stays_where_another_has_set_it(crossing: Around, teller: End) -> None:
    """RFC 4271 §4.3, §5."""
    codes = [code for code in PASSING if code != A.ATOMIC_AGGREGATE]
    sent = joined(base(teller)) + b"".join(tlv(0xE0, code, PASSING[code]) for code in codes)
    for told in carried(crossing, teller, sent).values():
        assert {code: told[code] for code in codes} == {
            code: (0xE0, PASSING[code]) for code in codes
        }


# AS numbers of two octets.

WIDE, WIDER = 70_001, 4_200_000_000


def two(*numbers: int) -> bytes:
    return sequence(*numbers, size=2)


@pytest.mark.parametrize("teller", [EXTERNAL, INTERNAL], ids=KINDS[:2])
def test_numbers_that_do_not_fit_go_beside_the_path(crossing: Around, teller: End) -> None:
    """RFC 6793 §4.2.2."""
    found = carried(crossing, teller, joined(base(teller, WIDE, 8, WIDER)))
    for hearer in (TO_OLD, TO_WIDE):
        numbers = (*own_numbers(teller, hearer), WIDE, 8, WIDER)
        told = found[hearer]
        short = [AS_TRANS if number > 0xFFFF else number for number in numbers]
        assert told[A.AS_PATH] == (0x40, two(*short))
        assert told[A.AS4_PATH] == (0xC0, sequence(*numbers))
    for hearer in (TO_EXTERNAL, TO_INTERNAL):
        assert A.AS4_PATH not in found[hearer]


@pytest.mark.parametrize("teller", [EXTERNAL, INTERNAL], ids=KINDS[:2])
@pytest.mark.parametrize("number", [65001, WIDER])
def test_an_aggregator_that_does_not_fit_goes_beside_the_other(
    crossing: Around, teller: End, number: int
) -> None:
    """RFC 6793 §4.2.2: and one that fits goes alone."""
    router = u32(0xC0000201)
    found = carried(crossing, teller, joined(base(teller) | {A.AGGREGATOR: u32(number) + router}))
    for hearer in (TO_EXTERNAL, TO_INTERNAL):
        assert found[hearer][A.AGGREGATOR] == (0xC0, u32(number) + router)
        assert A.AS4_AGGREGATOR not in found[hearer]
    for hearer in (TO_OLD, TO_WIDE):
        fits = number < 0x10000
        short = (number if fits else AS_TRANS).to_bytes(2, "big")
        assert found[hearer][A.AGGREGATOR] == (0xC0, short + router)
        beside = found[hearer].get(A.AS4_AGGREGATOR)
        assert beside == (None if fits else (0xC0, u32(number) + router))


ROUTER = u32(0xC0000201)
OTHER_ROUTER = u32(0xC0000202)
TRANS = AS_TRANS.to_bytes(2, "big")
FITTING = (65001).to_bytes(2, "big")
SET = bytes((1, 2)) + (5).to_bytes(2, "big") + (6).to_bytes(2, "big")

# Name, AS_PATH, AS4_PATH, AGGREGATOR, AS4_AGGREGATOR; then the path and the aggregator that follow.
MERGES = {
    "nothing beside": (two(65013, 8), None, None, None, sequence(65013, 8), None),
    "the end from beside": (
        *(two(65013, AS_TRANS, 8), sequence(WIDE, 8), None, None),
        *(sequence(65013, WIDE, 8), None),
    ),
    "all from beside": (
        *(two(AS_TRANS, 8), sequence(WIDE, 8), None, None),
        *(sequence(WIDE, 8), None),
    ),
    "more beside than in the path": (
        *(two(65013, 8), sequence(WIDE, 1, 8), None, None),
        *(sequence(65013, 8), None),
    ),
    "a set counts as one": (
        *(two(65013, AS_TRANS) + SET, sequence(WIDE) + SET[:2] + u32(5, 6), None, None),
        *(sequence(65013, WIDE) + SET[:2] + u32(5, 6), None),
    ),
    "the aggregator from beside": (
        *(two(65013, AS_TRANS), sequence(WIDE), TRANS + ROUTER, u32(WIDER) + ROUTER),
        *(sequence(65013, WIDE), u32(WIDER) + ROUTER),
    ),
    "another has aggregated since": (
        *(two(65013, AS_TRANS), sequence(WIDE), FITTING + OTHER_ROUTER, u32(WIDER) + ROUTER),
        *(sequence(65013, AS_TRANS), u32(65001) + OTHER_ROUTER),
    ),
    "an aggregator beside nothing": (
        *(two(65013, AS_TRANS), sequence(WIDE), None, u32(WIDER) + ROUTER),
        *(sequence(65013, WIDE), None),
    ),
    "no aggregator beside": (
        *(two(65013, 8), None, TRANS + ROUTER, None),
        *(sequence(65013, 8), u32(AS_TRANS) + ROUTER),
    ),
}


@pytest.mark.parametrize("name", MERGES)
def test_what_a_two_octet_peer_says_in_two_places_is_put_together(
    crossing: Around, name: str
) -> None:
    """RFC 6793 §4.2.3; and taken apart again for the next of its kind."""
    path, as4_path, aggregator, as4_aggregator, whole, who = MERGES[name]
    given = {
        A.ORIGIN: b"\0",
        A.AS_PATH: path,
        A.NEXT_HOP: OLD.address,
        A.AGGREGATOR: aggregator,
        A.AS4_PATH: as4_path,
        A.AS4_AGGREGATOR: as4_aggregator,
    }
    sent = joined({code: value for code, value in given.items() if value is not None})
    found = carried(crossing, OLD, sent)
    inside, outside = values(found[TO_INTERNAL]), values(found[TO_EXTERNAL])
    assert (inside[A.AS_PATH], inside.get(A.AGGREGATOR)) == (whole, who)
    longer = bytes((2, whole[1] + 1)) + u32(AS) + whole[2:]
    assert (outside[A.AS_PATH], outside.get(A.AGGREGATOR)) == (longer, who)
    assert {A.AS4_PATH, A.AS4_AGGREGATOR}.isdisjoint(inside.keys() | outside.keys())
    again = values(found[TO_OLD])
    is_wide = bool(as4_path) and u32(WIDE) in whole
    assert again.get(A.AS4_PATH) == (longer if is_wide else None)
    assert again[A.AS_PATH][:2] == longer[:2]
    wide_path = values(found[TO_WIDE])[A.AS4_PATH]
    assert wide_path == longer[:2] + u32(WIDE_AS) + longer[6:]


@pytest.mark.parametrize("teller", [EXTERNAL, INTERNAL], ids=KINDS[:2])
def test_what_is_for_two_octets_is_nothing_to_others(crossing: Around, teller: End) -> None:
    """RFC 6793 §6: discarded, and not passed on to a peer for whom it would mean something."""
    beside = {A.AS4_PATH: sequence(9, 9), A.AS4_AGGREGATOR: u32(WIDER) + ROUTER}
    found = carried(crossing, teller, joined(base(teller) | beside))
    for hearer, told in found.items():
        assert A.AS4_AGGREGATOR not in told
        assert (A.AS4_PATH in told) == (hearer is TO_WIDE)
    assert u32(9) not in found[TO_WIDE][A.AS4_PATH][1]
