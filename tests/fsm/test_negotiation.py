from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.config import SessionConfig
from fsm.errors import OpenMessageError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from fsm.messages import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Multiprotocol,
    Open,
    RouteRefreshCapability,
    UnknownCapability,
)
from fsm.negotiation import Negotiated, negotiate
from fsm.notifications import Notification
from tests.support.duet import config, mirrored

BOTH = (IPV4_UNICAST, IPV6_UNICAST)


def agreed(of: SessionConfig, received: Open) -> Negotiated:
    return negotiate(of.open_message(), received, of)


def refusal(of: SessionConfig, received: Open) -> Notification:
    with pytest.raises(OpenMessageError) as refused:
        agreed(of, received)
    return refused.value.notification


def peer(of: SessionConfig | None = None, **changes: object) -> Open:
    return replace(mirrored(of or config()).open_message(), **changes)  # type: ignore[arg-type] # a keyword per field


def with_capabilities(*capabilities: Capability) -> Open:
    return peer(capabilities=capabilities)


def test_two_plain_opens_agree() -> None:
    assert agreed(config(), peer()) == Negotiated(
        local_asn=64512,
        peer_asn=64513,
        peer_router_id=0x0A000002,
        families=frozenset({IPV4_UNICAST}),
        hold_time=90,
        keepalive_time=30.0,
        four_octet_as=True,
        route_refresh=True,
        peer_capabilities=peer().capabilities,
    )


@pytest.mark.parametrize("asn", [64514, 0, 23456])
def test_another_as_than_the_configured_is_refused(asn: int) -> None:
    """RFC 4271 §6.2, RFC 7607 §2."""
    assert refusal(config(), peer(asn=asn)) == Notification(2, 2)


def test_a_zero_identifier_is_refused() -> None:
    """RFC 6286 §2.1."""
    assert refusal(config(), peer(router_id=0)) == Notification(2, 3)


def test_our_own_identifier_is_refused_within_one_as_only() -> None:
    """RFC 6286 §2.2."""
    internal = config(peer_asn=64512)
    assert refusal(internal, peer(internal, router_id=0x0A000001)) == Notification(2, 3)
    assert agreed(internal, peer(internal)).is_internal
    assert not agreed(config(), peer(router_id=0x0A000001)).is_internal


@pytest.mark.parametrize("hold_time", [1, 2])
def test_a_hold_time_of_one_or_two_seconds_is_refused(hold_time: int) -> None:
    """RFC 4271 §4.2, §6.2."""
    assert refusal(config(), peer(hold_time=hold_time)) == Notification(2, 6)


@pytest.mark.parametrize(
    ("ours", "theirs", "hold", "keepalive"),
    [(90, 180, 90, 30.0), (90, 9, 9, 3.0), (0, 90, 0, 0.0), (90, 0, 0, 0.0), (10, 90, 10, 10 / 3)],
)
def test_the_shorter_hold_time_is_in_force(
    ours: int, theirs: int, hold: int, keepalive: float
) -> None:
    """RFC 4271 §4.2, §4.4."""
    result = agreed(config(hold_time=ours), peer(hold_time=theirs))
    assert (result.hold_time, result.keepalive_time) == (hold, keepalive)


@pytest.mark.parametrize(
    ("configured", "theirs", "used"), [(5, 90, 5.0), (60, 30, 10.0), (5, 0, 0)]
)
def test_a_configured_interval_never_exceeds_a_third_of_the_hold_time(
    configured: int, theirs: int, used: float
) -> None:
    result = agreed(config(keepalive_time=configured), peer(hold_time=theirs))
    assert result.keepalive_time == used


def test_families_in_force_are_those_that_both_offer() -> None:
    """RFC 4760 §8."""
    assert agreed(config(families=BOTH), peer()).families == {IPV4_UNICAST}


def test_a_peer_without_the_capability_speaks_ipv4_unicast() -> None:
    """RFC 4760 §8, RFC 6793 §4.1."""
    result = agreed(config(families=BOTH), with_capabilities())
    assert result.families == {IPV4_UNICAST}
    assert not result.four_octet_as


def test_no_common_family_is_refused_with_the_capabilities_that_were_missed() -> None:
    """RFC 5492 §5: the data lists the capabilities, as they would stand in an OPEN."""
    received = with_capabilities(Multiprotocol(IPV4_UNICAST))
    data = bytes.fromhex("01 04 0002 00 01")  # code, length, AFI, reserved, SAFI
    assert refusal(config(families=(IPV6_UNICAST,)), received) == Notification(2, 7, data)


def test_a_peer_that_offers_only_unknown_families_does_not_speak_ipv4_unicast() -> None:
    received = with_capabilities(UnknownCapability(1, b"\x40\x05\x00\x01"))
    assert refusal(config(), received).subcode == 7


def test_what_only_one_end_offers_is_not_in_force() -> None:
    alone = agreed(
        config(route_refresh=False),
        with_capabilities(RouteRefreshCapability(), ExtendedMessage(), EnhancedRouteRefresh()),
    )
    assert not alone.route_refresh
    assert not alone.extended_message
    assert not alone.enhanced_route_refresh


def test_what_both_ends_offer_is_in_force() -> None:
    next_hop = ExtendedNextHop(((IPV4_UNICAST, Afi.IPV6),))
    of = config(
        enhanced_route_refresh=True,
        extra_capabilities=(ExtendedMessage(), next_hop),
    )
    result = agreed(
        of,
        with_capabilities(
            RouteRefreshCapability(),
            EnhancedRouteRefresh(),
            ExtendedMessage(),
            next_hop,
            FourOctetAs(64513),
        ),
    )
    assert result.route_refresh
    assert result.extended_message
    assert result.enhanced_route_refresh
    assert result.four_octet_as
    assert result.extended_next_hop == {(IPV4_UNICAST, Afi.IPV6)}


@pytest.mark.parametrize(
    ("ours", "theirs", "we_receive", "we_send"),
    [
        (3, 3, True, True),
        (1, 2, True, False),
        (2, 1, False, True),
        (1, 1, False, False),
        (3, 0, False, False),
        (3, 4, False, False),
    ],
)
def test_path_identifiers_need_a_sender_and_a_receiver(
    ours: int, theirs: int, we_receive: bool, we_send: bool
) -> None:
    """RFC 7911 §4."""
    of = config(extra_capabilities=(AddPath(((IPV4_UNICAST, ours), (IPV6_UNICAST, 3))),))
    result = agreed(of, with_capabilities(AddPath(((IPV4_UNICAST, theirs), (IPV6_UNICAST, 3)))))
    assert result.add_path_receive == ({IPV4_UNICAST} if we_receive else set())
    assert result.add_path_send == ({IPV4_UNICAST} if we_send else set())


def test_the_peers_graceful_restart_is_kept() -> None:
    """RFC 4724 §3."""
    graceful = GracefulRestart(True, False, 120, ((IPV4_UNICAST, True),))
    assert agreed(config(), with_capabilities(graceful)).graceful_restart == graceful
    assert agreed(config(), peer()).graceful_restart is None


def test_an_unknown_capability_is_ignored_and_kept() -> None:
    """RFC 5492 §3."""
    unknown = UnknownCapability(239, b"\x01")
    assert agreed(config(), with_capabilities(unknown)).peer_capabilities == (unknown,)


opens = st.builds(
    Open,
    st.integers(0, 0xFFFFFFFF) | st.just(64513),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.lists(
        st.sampled_from(
            [Multiprotocol(IPV6_UNICAST), FourOctetAs(0), AddPath(((IPV4_UNICAST, 9),))]
        )
        | st.builds(UnknownCapability, st.integers(0, 255), st.binary(max_size=4))
    ).map(tuple),
)


@given(opens)
def test_any_open_is_agreed_to_or_refused_as_an_open_message_error(received: Open) -> None:
    acceptable = (
        received.asn == 64513
        and received.router_id != 0
        and received.hold_time not in (1, 2)
        and all(c.code != 1 for c in received.capabilities)
    )
    if acceptable:
        result = agreed(config(), received)
        assert result.hold_time == min(90, received.hold_time)
        assert result.families == {IPV4_UNICAST}
    else:
        assert refusal(config(), received).code == 2
