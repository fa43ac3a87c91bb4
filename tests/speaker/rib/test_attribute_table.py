"""Attribute sets at one look: the long way is the referee of the short one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from policy.attributes import PathAttributes
from policy.path import Path, Source
from policy.ranking import rank
from policy.roles import Role
from policy.wellknown import CommunityRules
from speaker.rib.attribute_table import AttributeTable, Intake, Interned
from speaker.wire.attributes import ScanContext
from tests.support.builders import OUR_AS, Facts, PlainNextHops, facts
from tests.support.routes import EXTERNAL_PEER, INTERNAL_PEER

NEXT_HOP = bytes((192, 0, 2, 1))
STRICT = CommunityRules(graceful_shutdown=True, blackhole=True)

sources = st.sampled_from([EXTERNAL_PEER, INTERNAL_PEER])
drawn_facts = st.one_of(
    facts(),
    facts(st.sampled_from([EXTERNAL_PEER.asn, OUR_AS, 65009])),
).map(lambda drawn: replace(drawn, next_hop=NEXT_HOP, order=()))


def intake(source: Source, **rules: object) -> Intake:
    context = ScanContext(source.is_internal, four_octet_as=True)
    return replace(
        Intake(source, context, OUR_AS, router_id=0x0A0000FE, cluster_id=77),
        **rules,  # type: ignore[arg-type]  # each is a field of Intake
    )


def table(of: Intake) -> tuple[AttributeTable, list[Path]]:
    """Make a table that has judged the next hop already, and the list of what it tells."""
    told: list[Path] = []
    made = AttributeTable(of, PlainNextHops(), told.append)
    local_pref = 100 if of.context.internal else None
    path = ((2, (9,)),) if of.context.internal else ((2, (of.source.asn,)),)
    first = made.intern_classic(Facts(path=path, next_hop=NEXT_HOP, local_pref=local_pref).encode())
    assert first.path is not None
    return made, told


def long_way(of: Intake, raw: bytes) -> Interned | None:
    try:
        return AttributeTable(of, PlainNextHops(), lambda _: None).intern_classic(raw)
    except UpdateMessageError:
        return None


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({}, id="plain"),
        pytest.param({"enforces_first_as": True}, id="first AS"),
        pytest.param({"communities": STRICT}, id="communities"),
        pytest.param({"role": Role.CUSTOMER}, id="role"),
    ],
)
@given(sources, drawn_facts)
def test_what_is_taken_at_one_look_is_what_the_long_way_gives(
    rules: dict[str, object], source: Source, drawn: Facts
) -> None:
    of = intake(source, **({} if "role" in rules and source.is_internal else rules))
    raw = drawn.encode()
    short = table(of)[0].intern_usual(raw)
    if short is None:
        return
    long = long_way(of, raw)
    assert long is not None
    assert long.path is not None
    assert long.faults == ()
    assert short.attributes.raw == long.path.attributes.raw
    assert short.attributes.next_hop == long.path.attributes.next_hop
    for fact in ("origin", "as_path_length", "neighbor_as", "med", "local_pref"):
        assert getattr(short.attributes, fact) == getattr(PathAttributes(raw), fact)
    assert (short.blackhole, short.preference) == (long.path.blackhole, long.path.preference)
    assert short.rank == long.path.rank == rank(short)


def test_a_usual_set_goes_the_short_way_once_its_next_hop_is_known() -> None:
    made, _ = table(intake(EXTERNAL_PEER))
    raw = Facts(path=((2, (EXTERNAL_PEER.asn, 9)),), next_hop=NEXT_HOP, med=5).encode()
    path = made.intern_usual(raw)
    assert path is not None
    assert made.lookup(raw) is path
    assert made.intern_classic(raw).path is path


def test_a_pair_of_neighbouring_as_and_med_is_told_once_until_a_sweep() -> None:
    made, told = table(intake(EXTERNAL_PEER))
    told.clear()

    def hear(*path: int, med: int | None = None) -> Path:
        raw = Facts(path=((2, path),), next_hop=NEXT_HOP, med=med).encode()
        found = made.intern_usual(raw)
        assert found is not None
        return found

    first = hear(7, 1)
    hear(7, 2)
    hear(7, 3, med=0)
    other = hear(7, 4, med=9)
    assert [path.attributes.med for path in told] == [None, 0, 9]
    assert (told[0], told[2]) == (first, other)
    made.sweep({first})
    assert made.intern_classic(Facts(path=((2, (7,)),), next_hop=NEXT_HOP, med=9).encode())
    assert [path.attributes.med for path in told] == [None, 0, 9, 9]
