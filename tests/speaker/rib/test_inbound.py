"""UPDATEs on their way in: what one peer's octets make of its tables."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.errors import UpdateMessageError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from fsm.notifications import UpdateSubcode
from policy.attributes import Attribute, tlv
from policy.decision import select
from policy.path import PeerType
from policy.prefix import Nlri
from speaker.rib.attribute_table import REFUSED_KEPT
from speaker.rib.inbound import REASONS
from speaker.rib.loc_rib import LocRib
from speaker.wire.framing import HEADER_LENGTH
from speaker.wire.update import Packer, end_of_rib, pack_withdrawals
from speaker.wire.verdicts import Error, Part, Verdict
from tests.support.builders import (
    OUR_ADDRESS,
    OUR_AS,
    Facts,
    Session,
    body,
    facts,
    few_prefixes,
    peers,
    reach,
    unreach,
    with_id,
)
from tests.support.routes import INTERNAL_PEER, as_path, attribute, nlri, nlris

ONE, TWO, THREE = few_prefixes(3)
ONE6, TWO6 = few_prefixes(2, Afi.IPV6)
GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
LINK_LOCAL = bytes.fromhex("fe800000000000000000000000000001")
OUR_ADDRESS_6 = bytes.fromhex("20010db80000000000000000000000fe")
GOOD = Facts().encode()
# The next hop of MP_REACH_NLRI counts, so NEXT_HOP is left out.
GOOD6 = Facts(next_hop=b"").encode()
BAD_ORIGIN = Facts(origin=7).encode()


def test_ipv4_routes_are_learned_with_their_attributes() -> None:
    session = Session()
    assert session.inbound.learn(body(b"", GOOD, ONE + TWO)) == ()
    held = session.held()
    assert list(held) == [ONE, TWO]
    assert held[ONE] is held[TWO]
    assert held[ONE].attributes.as_sequence == (65001,)
    assert held[ONE].next_hop.address == bytes((192, 0, 2, 1))
    assert session.loc_ribs[IPV4_UNICAST].best == held
    assert session.inbound.updates == 1


def test_ipv6_routes_are_learned_with_both_next_hops() -> None:
    """RFC 2545 §3."""
    session = Session()
    session.inbound.learn(body(b"", reach(ONE6 + TWO6, GLOBAL + LINK_LOCAL) + GOOD6))
    held = session.held(IPV6_UNICAST)
    assert list(held) == [ONE6, TWO6]
    attributes = held[ONE6].attributes
    assert (attributes.next_hop, attributes.link_local) == (GLOBAL, LINK_LOCAL)
    assert held[ONE6].next_hop.address == GLOBAL
    assert set(session.next_hops.known) == {(GLOBAL, 7, LINK_LOCAL)}


def test_a_next_hop_of_the_link_alone_is_bound_to_its_interface() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, bytes(16) + LINK_LOCAL)))
    session.inbound.learn(body(b"", GOOD6 + reach(TWO6, LINK_LOCAL)))
    session.inbound.learn(body(b"", GOOD6 + reach(TWO6, LINK_LOCAL * 2)))
    assert set(session.next_hops.known) == {(LINK_LOCAL, 7, b"")}
    assert set(session.held(IPV6_UNICAST)) == {ONE6, TWO6}


def test_equal_attributes_are_one_path_whatever_message_they_came_in() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    session.inbound.learn(body(b"", GOOD, TWO))
    session.inbound.learn(body(THREE, GOOD, TWO))
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, GLOBAL)))
    session.inbound.learn(body(b"", reach(TWO6, GLOBAL) + GOOD6))
    assert session.held()[ONE] is session.held()[TWO]
    six = session.held(IPV6_UNICAST)
    assert six[ONE6] is six[TWO6]
    assert len(session.table) == 2


def test_withdrawals_and_announcements_of_one_message_are_both_done() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE + TWO))
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, GLOBAL)))
    session.inbound.learn(body(ONE, GOOD + unreach(ONE6), THREE))
    assert set(session.held()) == {TWO, THREE}
    assert session.held(IPV6_UNICAST) == {}


def test_a_prefix_withdrawn_and_announced_in_one_message_is_announced() -> None:
    """RFC 4271 §4.3: as if it did not stand among the withdrawn routes."""
    session = Session()
    session.inbound.learn(body(ONE, GOOD, ONE))
    session.inbound.learn(body(b"", GOOD6 + unreach(ONE6) + reach(ONE6, GLOBAL)))
    assert set(session.held()) == {ONE}
    assert set(session.held(IPV6_UNICAST)) == {ONE6}


def test_withdrawing_what_is_unknown_changes_nothing() -> None:
    """RFC 4271 §9.1.4."""
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    session.inbound.learn(body(TWO))
    assert set(session.held()) == {ONE}


def test_host_bits_make_no_other_prefix() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD, bytes((20, 10, 1, 0xFF))))
    assert set(session.held()) == {nlri("10.1.240.0/20")}
    session.inbound.learn(body(bytes((20, 10, 1, 0xF1))))
    assert session.held() == {}


NOWHERE, NOWHERE6 = nlri("224.0.0.0/8"), nlri("fe80::/64")


def test_prefixes_that_lead_nowhere_are_left_out_and_the_others_taken() -> None:
    """RFC 4271 §6.3: what is semantically incorrect is logged and ignored."""
    session = Session()
    learn = session.inbound.learn
    for _ in range(2):
        told = learn(body(b"", GOOD, NOWHERE + ONE + nlri("127.0.0.0/8")))
        assert [(fault.attribute, fault.verdict) for fault in told] == [(Part.NLRI, Verdict.IGNORE)]
        assert told[0].what.startswith("224.0.0.0/8 and 1 more is a prefix of multicast")
        told = learn(body(b"", reach(ONE6 + NOWHERE6, GLOBAL) + GOOD6))
        assert [fault.attribute for fault in told] == [Attribute.MP_REACH_NLRI]
    assert (set(session.held()), set(session.held(IPV6_UNICAST))) == ({ONE}, {ONE6})
    assert session.inbound.refusals == {Error.UNROUTABLE.value: 6}
    refusals = session.tables[IPV4_UNICAST].refusals
    assert refusals[NOWHERE] == Error.UNROUTABLE.value
    assert learn(body(NOWHERE + ONE)) == learn(body(b"", unreach(ONE6 + NOWHERE6))) == ()
    assert session.held() == session.held(IPV6_UNICAST) == {}
    assert NOWHERE not in refusals


def test_a_prefix_that_leads_nowhere_does_not_hide_what_else_is_wrong() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    told = session.inbound.learn(body(b"", BAD_ORIGIN, ONE + NOWHERE))
    assert [fault.verdict for fault in told] == [Verdict.WITHDRAW, Verdict.IGNORE]
    assert session.held() == {}
    with pytest.raises(UpdateMessageError):
        session.inbound.learn(body(b"", GOOD, NOWHERE + b"\x21" + bytes(5)))


def test_treat_as_withdraw_takes_exactly_the_prefixes_of_the_message() -> None:
    """RFC 7606 §2."""
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE + TWO))
    faults = session.inbound.learn(body(b"", BAD_ORIGIN, ONE + THREE))
    assert [(fault.attribute, fault.verdict) for fault in faults] == [
        (Attribute.ORIGIN, Verdict.WITHDRAW)
    ]
    assert set(session.held()) == {TWO}
    assert set(session.loc_ribs[IPV4_UNICAST].best) == {TWO}


def test_treat_as_withdraw_takes_the_prefixes_of_mp_reach() -> None:
    session = Session()
    session.inbound.learn(body(b"", reach(ONE6 + TWO6, GLOBAL) + GOOD6))
    session.inbound.learn(body(b"", reach(ONE6, GLOBAL) + BAD_ORIGIN))
    assert set(session.held(IPV6_UNICAST)) == {TWO6}


def test_attributes_cut_off_behind_mp_reach_withdraw_its_prefixes() -> None:
    """RFC 7606 §4."""
    session = Session()
    session.inbound.learn(body(b"", reach(ONE6 + TWO6, GLOBAL) + GOOD6))
    session.inbound.learn(body(b"", reach(ONE6, GLOBAL) + GOOD6 + b"\xc0\x08\x04\0"))
    assert set(session.held(IPV6_UNICAST)) == {TWO6}


def test_a_fault_is_told_for_every_message_that_has_it() -> None:
    session = Session()
    odd = GOOD + attribute(Attribute.ATOMIC_AGGREGATE, b"\0")
    first = session.inbound.learn(body(b"", odd, ONE))
    second = session.inbound.learn(body(b"", odd, TWO))
    assert first == second
    assert [fault.verdict for fault in first] == [Verdict.DISCARD]
    assert set(session.held()) == {ONE, TWO}


def test_missing_attributes_withdraw() -> None:
    """RFC 7606 §3 d."""
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    (fault,) = session.inbound.learn(body(b"", b"", ONE))
    assert (fault.attribute, fault.what) == (Attribute.ORIGIN, "it is missing")
    assert session.held() == {}


REFUSED = [
    (
        "AS loop",
        Facts(path=((2, (65001, OUR_AS)),)),
        "AS loop: 65000 stands in the AS_PATH 1 times",
    ),
    ("our own next hop", Facts(next_hop=OUR_ADDRESS), "the next hop is our own address"),
    ("0.0.0.0", Facts(next_hop=bytes(4)), "the next hop is the unspecified address"),
    (
        "multicast",
        Facts(next_hop=bytes((224, 0, 0, 1))),
        "the next hop is no unicast address of a neighbour",
    ),
    (
        "loopback",
        Facts(next_hop=bytes((127, 0, 0, 1))),
        "the next hop is no unicast address of a neighbour",
    ),
]


@pytest.mark.parametrize(("said", "why"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_an_unusable_route_takes_the_place_of_a_good_one(said: Facts, why: str) -> None:
    """RFC 4271 §9.1.2, §5.1.3: it is a route like any other, but excluded, so the old one goes."""
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE + TWO))
    assert session.inbound.learn(body(b"", said.encode(), ONE)) == ()
    assert set(session.held()) == {TWO}
    assert session.inbound.refusals == {why: 1}


@pytest.mark.parametrize(
    "next_hop",
    [OUR_ADDRESS, bytes(15) + b"\1", b"\xff\x02" + bytes(14)],
    ids=["4", "::1", "ff02::"],
)
def test_an_unusable_next_hop_of_ipv6_is_refused(next_hop: bytes) -> None:
    session = Session()
    if len(next_hop) == 4:
        next_hop = GLOBAL
        session.next_hops.own.add(GLOBAL)
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, next_hop)))
    assert session.held(IPV6_UNICAST) == {}
    assert sum(session.inbound.refusals.values()) == 1


def test_our_as_may_stand_in_the_path_as_often_as_it_is_allowed_to() -> None:
    session = Session(allow_local_as=1)
    once = Facts(path=((2, (65001, OUR_AS)),)).encode()
    twice = Facts(path=((2, (65001, OUR_AS, OUR_AS)),)).encode()
    session.inbound.learn(body(b"", once, ONE))
    session.inbound.learn(body(b"", twice, TWO))
    assert set(session.held()) == {ONE}


@pytest.mark.parametrize(
    "said",
    [
        Facts(local_pref=100, originator_id=0x0A0000FE),
        Facts(local_pref=100, clusters=(1, 42)),
    ],
    ids=["ORIGINATOR_ID", "CLUSTER_LIST"],
)
def test_a_reflected_route_of_our_own_is_refused(said: Facts) -> None:
    """RFC 4456 §8."""
    session = Session(INTERNAL_PEER, cluster_id=42)
    session.inbound.learn(body(b"", Facts(local_pref=100).encode(), ONE))
    assert set(session.held()) == {ONE}
    session.inbound.learn(body(b"", said.encode(), ONE))
    assert session.held() == {}


def test_unknown_families_are_ignored() -> None:
    session = Session(families=[IPV4_UNICAST])
    multicast = Family(Afi.IPV6, Safi.MULTICAST)
    for octets in (
        reach(ONE6, GLOBAL),
        unreach(ONE6),
        reach(b"\xff\xff", GLOBAL, multicast),
        unreach(b"\xff\xff", multicast),
    ):
        assert session.inbound.learn(body(b"", GOOD6 + octets)) == ()
    assert session.held() == {}


def test_ipv4_routes_are_ignored_where_ipv4_was_not_negotiated() -> None:
    session = Session(families=[IPV6_UNICAST])
    assert session.inbound.learn(body(ONE, GOOD, TWO)) == ()
    assert session.held(IPV6_UNICAST) == {}


@pytest.mark.parametrize("family", [IPV4_UNICAST, IPV6_UNICAST], ids=str)
def test_end_of_rib_is_noted(family: Family) -> None:
    """RFC 4724 §2."""
    session = Session()
    session.inbound.learn(end_of_rib(family)[HEADER_LENGTH:])
    assert session.inbound.ended == {family}


def test_attributes_without_prefixes_say_nothing_unless_they_are_broken() -> None:
    """RFC 7606 §5.2."""
    session = Session()
    assert session.inbound.learn(body(b"", GOOD)) == ()
    assert session.inbound.learn(body(b"", GOOD6 + unreach(ONE6))) == ()
    for broken in (body(b"", BAD_ORIGIN), body(ONE, BAD_ORIGIN), body(b"", GOOD6 + b"\x80")):
        with pytest.raises(UpdateMessageError) as raised:
            session.inbound.learn(broken)
        assert raised.value.subcode == UpdateSubcode.MALFORMED_ATTRIBUTE_LIST


NETWORK, OPTIONAL = UpdateSubcode.INVALID_NETWORK_FIELD, UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR


@pytest.mark.parametrize(
    ("octets", "subcode"),
    [
        pytest.param(body(b"", GOOD, b"\x21\x0a\0\0\0\0"), NETWORK, id="longer than an address"),
        pytest.param(body(b"", GOOD, b"\x18\x0a\0"), NETWORK, id="cut off"),
        pytest.param(body(b"\x18\x0a\0"), NETWORK, id="withdrawn and cut off"),
        pytest.param(
            body(b"", GOOD6 + reach(b"\x81" + bytes(17), GLOBAL)), OPTIONAL, id="in MP_REACH_NLRI"
        ),
        pytest.param(body(b"", unreach(b"\x40\0")), OPTIONAL, id="in MP_UNREACH_NLRI"),
    ],
)
def test_prefixes_that_do_not_parse_reset(octets: bytes, subcode: int) -> None:
    """RFC 4271 §6.3, RFC 4760 §7, RFC 7606 §5.3; also when the attributes are known already."""
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    with pytest.raises(UpdateMessageError) as raised:
        session.inbound.learn(octets)
    assert raised.value.subcode == subcode


@pytest.mark.parametrize("attribute", [reach(ONE6, GLOBAL), unreach(ONE6)])
def test_wrong_flags_of_a_multiprotocol_attribute_reset(attribute: bytes) -> None:
    """RFC 7606 §5.3: its NLRI count as not parsed."""
    session = Session()
    with pytest.raises(UpdateMessageError) as raised:
        session.inbound.learn(body(b"", b"\xc0" + attribute[1:] + GOOD, ONE))
    assert raised.value.subcode == OPTIONAL
    assert session.held() == {}


def test_a_next_hop_that_is_missing_withdraws_the_routes_of_mp_reach_too() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, GLOBAL)))
    session.inbound.learn(body(b"", GOOD6 + reach(ONE6, GLOBAL), ONE))
    assert session.held(IPV6_UNICAST) == {}


def test_an_mp_reach_without_nlri_does_not_excuse_broken_attributes() -> None:
    """RFC 7606 §5.2."""
    session = Session()
    assert session.inbound.learn(body(b"", reach(b"", GLOBAL) + GOOD6)) == ()
    with pytest.raises(UpdateMessageError):
        session.inbound.learn(body(b"", reach(b"", GLOBAL) + BAD_ORIGIN))


def test_ipv4_over_an_ipv6_next_hop_is_learned_where_it_was_agreed() -> None:
    """RFC 8950 §3."""
    session = Session()
    over = body(b"", reach(ONE, GLOBAL, IPV4_UNICAST) + GOOD6)
    with pytest.raises(UpdateMessageError):
        session.inbound.learn(over)
    context = replace(session.table.intake.context, extended_next_hop=frozenset({IPV4_UNICAST}))
    session.table.intake = replace(session.table.intake, context=context)
    session.inbound.learn(over)
    assert session.held()[ONE].attributes.next_hop == GLOBAL
    session.inbound.learn(body(b"", reach(TWO, GLOBAL + LINK_LOCAL, IPV4_UNICAST) + GOOD6))
    assert session.held()[TWO].attributes.link_local == LINK_LOCAL


@pytest.mark.parametrize(
    "next_hop",
    [
        bytes(16),
        bytes.fromhex("ff02") + bytes(13) + b"\1",
        bytes(15) + b"\1",
        OUR_ADDRESS_6,
        OUR_ADDRESS_6 + LINK_LOCAL,
        bytes(16) + OUR_ADDRESS_6,
    ],
    ids=["unspecified", "multicast", "loopback", "our own", "our own, and a link's", "no second"],
)
def test_ipv4_over_no_neighbour_s_ipv6_address_is_withdrawn(next_hop: bytes) -> None:
    """RFC 4271 §6.3, for next hops of RFC 8950."""
    session = Session()
    session.next_hops.own.add(OUR_ADDRESS_6)
    context = replace(session.table.intake.context, extended_next_hop=frozenset({IPV4_UNICAST}))
    session.table.intake = replace(session.table.intake, context=context)
    session.inbound.learn(body(b"", reach(ONE, GLOBAL, IPV4_UNICAST) + GOOD6))
    session.inbound.learn(body(b"", reach(ONE, next_hop, IPV4_UNICAST) + GOOD6))
    assert session.held() == {}


@pytest.mark.parametrize("length", [0, 5, 12, 15, 17, 24, 31, 33, 48])
def test_ipv4_over_a_next_hop_of_another_length_resets(length: int) -> None:
    """RFC 8950 §3: 24 and 48 octets are for VPN routes; RFC 7606 §7.11."""
    session = Session()
    context = replace(session.table.intake.context, extended_next_hop=frozenset({IPV4_UNICAST}))
    session.table.intake = replace(session.table.intake, context=context)
    with pytest.raises(UpdateMessageError):
        session.inbound.learn(body(b"", reach(ONE, bytes(length), IPV4_UNICAST) + GOOD6))


def test_sets_and_reasons_that_a_peer_makes_up_are_bounded() -> None:
    session = Session()
    for number in range(REFUSED_KEPT + 100):
        path = (2, tuple([OUR_AS] * (1 + number % 200) + [number + 1]))
        session.inbound.learn(body(b"", Facts(path=(path,)).encode(), ONE))
        origin = attribute(Attribute.ORIGIN, bytes(2 + number))
        session.inbound.learn(body(b"", origin + GOOD[4:], ONE))
    assert len(session.table) <= REFUSED_KEPT
    assert len(session.inbound.refusals) <= REASONS
    session.inbound.learn(body(b"", GOOD, ONE))
    assert set(session.held()) == {ONE}


def test_two_octet_sessions_read_two_octets() -> None:
    session = Session(four_octet_as=False)
    old = Facts(path=((2, (65001, 23456)),)).encode(as_octets=2)
    session.inbound.learn(body(b"", old + attribute(17, as_path([70000])), ONE))
    assert session.held()[ONE].attributes.as_sequence == (65001, 70000)


def test_sweeping_the_attributes_keeps_what_is_used() -> None:
    session = Session()
    session.inbound.learn(body(b"", GOOD, ONE))
    session.inbound.learn(body(b"", Facts(med=1).encode(), TWO))
    session.inbound.learn(body(b"", BAD_ORIGIN, THREE))
    used = session.held()[ONE]
    session.inbound.learn(body(TWO))
    assert len(session.table) == 3
    session.table.sweep(set(session.held().values()))
    assert list(session.table.paths()) == [used]
    session.inbound.learn(body(b"", GOOD, TWO))
    assert session.held()[TWO] is used


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw bodies of real UPDATEs for both families."""
    bodies: list[bytes] = []
    for _ in range(draw(st.integers(1, 5))):
        said = draw(facts())
        four = draw(st.lists(nlris(Afi.IPV4, within=3), min_size=1, max_size=4))
        six = draw(st.lists(nlris(Afi.IPV6, within=3), min_size=1, max_size=4))
        bodies += draw(
            st.sampled_from(
                [
                    Packer(IPV4_UNICAST).pack(said.encode(), b"", four),
                    Packer(IPV6_UNICAST).pack(Facts(next_hop=b"").encode(), GLOBAL, six),
                    pack_withdrawals(IPV4_UNICAST, four),
                    pack_withdrawals(IPV6_UNICAST, six),
                    [b"\0" * 19 + body(b"".join(four), said.encode(), b"".join(four[:1]))],
                ]
            )
        )
    return [octets[HEADER_LENGTH:] for octets in bodies]


def consistent(sessions: list[Session]) -> None:
    """Tables hold canonical prefixes, own paths alone, and the Loc-RIB follows from them."""
    for family, rib in sessions[0].loc_ribs.items():
        expected = {}
        every: set[Nlri] = set()
        for session in sessions:
            held = session.held(family)
            every |= held.keys()
            assert set(held.values()) <= set(session.table.paths())
            assert all(path.source is session.source for path in held.values())
        for prefix in every:
            assert 0 <= prefix[0] <= (32 if family.afi is Afi.IPV4 else 128)
            assert len(prefix) == 1 + (prefix[0] + 7) // 8
            expected[prefix] = select(rib.candidates(prefix))
        assert rib.best == expected


@given(st.data())
def test_mutated_updates_raise_nothing_but_update_errors(data: st.DataObject) -> None:
    ribs = {family: LocRib(family) for family in (IPV4_UNICAST, IPV6_UNICAST)}
    sessions = [
        Session(source, ribs=ribs, four_octet_as=source.peer_type is not PeerType.INTERNAL)
        for source in peers(2, internal=1)
    ]
    for session in sessions:
        for octets in data.draw(streams()):
            mutated = bytearray(octets)
            for _ in range(data.draw(st.integers(0, 3))):
                mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(
                    st.integers(0, 255)
                )
            with suppress(UpdateMessageError):
                session.inbound.learn(bytes(mutated))
            consistent(sessions)


@given(streams())
def test_real_updates_are_learned_without_an_error(bodies: list[bytes]) -> None:
    session = Session(INTERNAL_PEER)
    for octets in bodies:
        assert all(fault.attribute == 5 for fault in session.inbound.learn(octets))
    consistent([session])


@given(st.binary(min_size=4, max_size=80))
def test_any_octets_raise_nothing_but_update_errors(octets: bytes) -> None:
    session = Session()
    try:
        session.inbound.learn(octets)
    except UpdateMessageError as error:
        assert error.notification.code == 3  # noqa: PT017 - the error is not the only outcome
    consistent([session])


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 40), st.binary(max_size=40)), max_size=6
    ),
    st.binary(max_size=8),
    st.binary(max_size=8),
)
def test_any_attributes_raise_nothing_but_update_errors(
    parts: list[tuple[int, int, bytes]], withdrawn: bytes, announced: bytes
) -> None:
    raw = b"".join(tlv(flags, code, value) for flags, code, value in parts)
    session = Session()
    with suppress(UpdateMessageError):
        session.inbound.learn(body(withdrawn, raw, announced))
    consistent([session])


# Path identifiers (RFC 7911).

BOTH = (IPV4_UNICAST, IPV6_UNICAST)
OTHER_WAY, OTHER_WAY6 = Facts(med=5).encode(), Facts(med=5, next_hop=b"").encode()


def key(number: int, *nlris: Nlri) -> bytes:
    return b"".join(with_id(number, nlris))


def test_identifiers_stand_before_the_prefixes_of_all_four_fields() -> None:
    """RFC 7911 §3."""
    session = Session(several=BOTH)
    learn = session.inbound.learn
    assert learn(body(b"", GOOD, key(1, ONE, TWO))) == ()
    assert learn(body(b"", OTHER_WAY, key(2, ONE))) == ()
    assert learn(body(b"", reach(key(1, ONE6), GLOBAL) + GOOD6)) == ()
    assert learn(body(b"", reach(key(2, ONE6), GLOBAL) + OTHER_WAY6)) == ()
    four, six = session.loc_ribs[IPV4_UNICAST], session.loc_ribs[IPV6_UNICAST]
    assert [len(four.candidates(ONE)), len(four.candidates(TWO)), len(six.candidates(ONE6))] == [
        *(2, 1, 2)
    ]
    assert four.best[ONE].attributes.med is None
    learn(body(key(1, ONE)))
    learn(body(b"", unreach(key(1, ONE6))))
    assert (four.best[ONE].attributes.med, six.best[ONE6].attributes.med) == (5, 5)
    learn(body(key(2, ONE), GOOD6 + unreach(key(2, ONE6)), b""))
    assert set(four.best) == {TWO}
    assert set(six.best) == set()


def test_prefixes_that_lead_nowhere_are_left_out_behind_their_identifiers() -> None:
    session = Session(several=BOTH)
    learn = session.inbound.learn
    [four] = learn(body(b"", GOOD, key(0xE0000000, ONE) + key(1, NOWHERE)))
    [six] = learn(body(b"", reach(key(2, NOWHERE6, ONE6), GLOBAL) + GOOD6))
    assert four.what.startswith("224.0.0.0/8 is ")
    assert six.what.startswith("fe80::/64 is ")
    assert set(session.loc_ribs[IPV4_UNICAST].best) == {ONE}
    assert set(session.loc_ribs[IPV6_UNICAST].best) == {ONE6}
    assert learn(body(key(1, NOWHERE) + key(0xE0000000, ONE))) == ()
    assert set(session.loc_ribs[IPV4_UNICAST].best) == set()


def test_ipv4_prefixes_in_mp_reach_have_identifiers_too() -> None:
    session = Session(several=[IPV4_UNICAST])
    value = reach(key(7, ONE), bytes((192, 0, 2, 1)), IPV4_UNICAST)
    session.inbound.learn(body(b"", value + GOOD6))
    assert list(session.tables[IPV4_UNICAST].received) == [key(7, ONE)]
    session.inbound.learn(body(b"", unreach(key(7, ONE), IPV4_UNICAST)))
    assert len(session.tables[IPV4_UNICAST]) == 0


@pytest.mark.parametrize("several", BOTH, ids=str)
def test_a_family_for_which_nothing_was_agreed_has_no_identifiers(several: Family) -> None:
    """RFC 7911 §4: it is agreed by family."""
    session = Session(several=[several])
    four = key(1, ONE) if several == IPV4_UNICAST else ONE
    six = key(1, ONE6) if several == IPV6_UNICAST else ONE6
    session.inbound.learn(body(b"", GOOD, four))
    session.inbound.learn(body(b"", GOOD6 + reach(six, GLOBAL)))
    assert set(session.loc_ribs[IPV4_UNICAST].best) == {ONE}
    assert set(session.loc_ribs[IPV6_UNICAST].best) == {ONE6}


@pytest.mark.parametrize("family", BOTH, ids=str)
def test_the_end_of_rib_has_no_identifier(family: Family) -> None:
    session = Session(several=BOTH)
    assert session.inbound.learn(end_of_rib(family)[HEADER_LENGTH:]) == ()
    assert session.inbound.ended == {family}


@pytest.mark.parametrize(
    ("octets", "subcode"),
    [
        pytest.param(
            body(b"", GOOD, key(1, ONE) + b"\0\0\0"),
            UpdateSubcode.INVALID_NETWORK_FIELD,
            id="in the NLRI field",
        ),
        pytest.param(
            body(b"\0\0\0\1"), UpdateSubcode.INVALID_NETWORK_FIELD, id="in the withdrawn routes"
        ),
        pytest.param(
            body(b"", reach(b"\0\0\0\1", GLOBAL) + GOOD6),
            UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR,
            id="in MP_REACH_NLRI",
        ),
        pytest.param(
            body(b"", unreach(b"\0\0\1")),
            UpdateSubcode.OPTIONAL_ATTRIBUTE_ERROR,
            id="in MP_UNREACH_NLRI",
        ),
    ],
)
def test_an_identifier_without_a_prefix_resets(octets: bytes, subcode: UpdateSubcode) -> None:
    """RFC 7606 §5.3: what cannot be found cannot be withdrawn."""
    with pytest.raises(UpdateMessageError) as raised:
        Session(several=BOTH).inbound.learn(octets)
    assert raised.value.subcode == subcode


def test_a_broken_route_withdraws_its_own_identifier_and_no_other() -> None:
    """RFC 7606 §2, treat-as-withdraw."""
    session = Session(several=BOTH)
    session.inbound.learn(body(b"", GOOD, key(1, ONE)))
    session.inbound.learn(body(b"", OTHER_WAY, key(2, ONE)))
    session.inbound.learn(body(b"", BAD_ORIGIN, key(1, ONE)))
    assert list(session.tables[IPV4_UNICAST].received) == [key(2, ONE)]
    assert session.loc_ribs[IPV4_UNICAST].best[ONE].attributes.med == 5


some_keys = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([ONE, TWO, THREE])), max_size=4
).map(lambda pairs: [key(number, nlri) for number, nlri in pairs])


@given(
    st.lists(
        st.tuples(some_keys, st.sampled_from([None, 1, 2, 3]), some_keys, st.booleans()),
        max_size=12,
    )
)
def test_tables_with_identifiers_are_what_the_messages_say_one_by_one(
    messages: list[tuple[list[bytes], int | None, list[bytes], bool]],
) -> None:
    """RFC 7911 §5: each identifier is replaced and withdrawn by itself."""
    session = Session(several=BOTH)
    told: dict[bytes, int | None] = {}
    for gone, med, come, multiprotocol in messages:
        raw = Facts(med=med, next_hop=b"" if multiprotocol else bytes((192, 0, 2, 1))).encode()
        if multiprotocol:
            hop = bytes((192, 0, 2, 1))
            lost = unreach(b"".join(gone), IPV4_UNICAST) if gone else b""
            new = reach(b"".join(come), hop, IPV4_UNICAST) if come else b""
            session.inbound.learn(body(b"", lost + new + (raw if come else b"")))
        else:
            session.inbound.learn(body(b"".join(gone), raw if come else b"", b"".join(come)))
        for each in gone:
            told.pop(each, None)
        told |= dict.fromkeys(come, med)
        received = session.tables[IPV4_UNICAST].received
        assert {each: path.attributes.med for each, path in received.items()} == told


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from([GOOD, BAD_ORIGIN, b""]))
def test_any_octets_where_identifiers_should_be_are_a_verdict(
    withdrawn: bytes, nlri: bytes, raw: bytes
) -> None:
    session = Session(several=BOTH)
    for octets in (
        body(withdrawn, raw, nlri),
        body(b"", unreach(withdrawn) + reach(nlri, GLOBAL) + GOOD6),
    ):
        with suppress(UpdateMessageError):
            session.inbound.learn(octets)
    for table in session.tables.values():
        assert set(table.paths) == {each[4:] for each in table.received}
