"""What a router carries from one AS to another, and what it leaves behind, seen from outside."""

from __future__ import annotations

import asyncio

import pytest

from policy.attributes import FLAGS, PARTIAL, Attribute, WellKnown, tlv
from tests.support.bench import Bench
from tests.support.builders import body
from tests.support.malformed import EXTERNAL, GOOD, INTERNAL, Sender, framed, packed
from tests.support.routes import attribute, u32

PREFIX = "198.18.0.0/24"
Around = tuple[asyncio.Runner, Bench]


def carried(around: Around, sender: Sender, more: bytes) -> dict[int, tuple[int, bytes]]:
    """Announce a route with attributes, and give those with which it reaches another AS."""
    runner, bench = around

    async def exchange() -> dict[int, tuple[int, bytes]]:
        talker = await bench.talker(sender)
        talker.send(framed(body(b"", sender.base() + more, packed(PREFIX))))
        await bench.listener.until(lambda: PREFIX in bench.listener.table)
        found = bench.listener.attributes[PREFIX]
        talker.send(framed(body(packed(PREFIX))))
        await bench.listener.until(lambda: PREFIX not in bench.listener.table)
        return found

    return runner.run(exchange())


PASSING = [
    Attribute.ATOMIC_AGGREGATE,
    Attribute.AGGREGATOR,
    Attribute.COMMUNITIES,
    Attribute.EXTENDED_COMMUNITIES,
    Attribute.IPV6_EXTENDED_COMMUNITIES,
    Attribute.LARGE_COMMUNITIES,
    Attribute.ONLY_TO_CUSTOMER,
]


@pytest.mark.parametrize("sender", [EXTERNAL, INTERNAL], ids=["external", "internal"])
def test_what_a_transit_router_carries_arrives_unchanged(bench: Around, sender: Sender) -> None:
    more = b"".join(attribute(code, GOOD[code]) for code in PASSING)
    found = carried(bench, sender, more)
    assert {code: found[code] for code in PASSING} == {
        code: (FLAGS[code], GOOD[code]) for code in PASSING
    }


STAYING = [
    (EXTERNAL, Attribute.MULTI_EXIT_DISC),
    (EXTERNAL, Attribute.AIGP),
    (INTERNAL, Attribute.MULTI_EXIT_DISC),
    (INTERNAL, Attribute.LOCAL_PREF),
    (INTERNAL, Attribute.ORIGINATOR_ID),
    (INTERNAL, Attribute.CLUSTER_LIST),
    (INTERNAL, Attribute.AIGP),
]


@pytest.mark.parametrize(("sender", "code"), STAYING)
def test_what_belongs_to_one_as_stays_in_it(bench: Around, sender: Sender, code: Attribute) -> None:
    """RFC 4271 §5.1.4, §5.1.5; RFC 4456 §8; RFC 7311 §3.3."""
    more = b"" if code == Attribute.LOCAL_PREF else attribute(code, GOOD[code])
    assert code not in carried(bench, sender, more)


@pytest.mark.parametrize("flags", [0xC0, 0xE0, 0xD0])
@pytest.mark.parametrize("size", [0, 4, 300])
def test_what_nobody_knows_is_passed_on_as_partial(bench: Around, flags: int, size: int) -> None:
    """RFC 4271 §5."""
    value = bytes(size)
    octets = bytes((flags | 0x10, 99)) + size.to_bytes(2, "big") + value
    found_flags, found = carried(bench, EXTERNAL, octets)[99]
    assert found_flags & ~0x10 == 0xC0 | PARTIAL
    assert found == value


def test_what_nobody_knows_and_is_not_transitive_is_dropped(bench: Around) -> None:
    """RFC 4271 §5."""
    assert 99 not in carried(bench, EXTERNAL, tlv(0x80, 99, b"x"))


def test_partial_stays_where_another_has_set_it(bench: Around) -> None:
    """RFC 4271 §4.3."""
    code = Attribute.LARGE_COMMUNITIES
    found = carried(bench, EXTERNAL, tlv(0xE0, code, GOOD[code]))
    assert found[code] == (0xE0, GOOD[code])


def test_extended_communities_of_one_as_stay_in_it(bench: Around) -> None:
    """RFC 4360 §6."""
    code = Attribute.EXTENDED_COMMUNITIES
    crossing, staying = bytes(8), b"\x40" + bytes(7)
    assert carried(bench, EXTERNAL, attribute(code, staying + crossing))[code][1] == crossing


@pytest.mark.parametrize("community", [WellKnown.NO_EXPORT, WellKnown.NO_ADVERTISE])
def test_well_known_communities_keep_a_route_here(bench: Around, community: int) -> None:
    """RFC 1997: the route takes the place of one that was told, which is withdrawn."""
    runner, around = bench
    keep = attribute(Attribute.COMMUNITIES, u32(community))
    octets = framed(body(b"", EXTERNAL.base() + keep, packed(EXTERNAL.affected)))
    answer = runner.run(around.say(EXTERNAL, octets, lambda answer: not answer.last))
    assert (answer.last, answer.unrelated, answer.notification) == (0, True, None)
