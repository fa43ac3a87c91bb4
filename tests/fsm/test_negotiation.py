from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    Fqdn,
    GracefulRestart,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RoleCapability,
    RouteRefreshCapability,
    SendReceive,
    SoftwareVersion,
    UnknownCapability,
)
from fsm.config import SessionConfig
from fsm.errors import OpenMessageError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from fsm.messages import Open
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
        enhanced_route_refresh=True,
        send_hold_time=480.0,
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
        extended_message=True,
        extended_next_hop=next_hop.families,
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
    of = config(add_path=((IPV4_UNICAST, SendReceive(ours)),))
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


def test_a_next_hop_of_another_family_needs_the_family_itself() -> None:
    """RFC 8950 §4."""
    both = ((IPV4_UNICAST, Afi.IPV6), (IPV6_UNICAST, Afi.IPV4))
    of = config(families=BOTH, extended_next_hop=both)
    result = agreed(of, with_capabilities(Multiprotocol(IPV4_UNICAST), ExtendedNextHop(both)))
    assert result.extended_next_hop == {(IPV4_UNICAST, Afi.IPV6)}


@pytest.mark.parametrize(("ours", "theirs"), [(True, True), (True, False), (False, True)])
def test_a_notification_is_graceful_if_both_ends_say_so(ours: bool, theirs: bool) -> None:
    """RFC 8538 §2."""
    of = config(graceful_restart=GracefulRestart(False, ours, 120, ()))
    result = agreed(of, with_capabilities(GracefulRestart(False, theirs, 120, ())))
    assert result.restarts_on_notification == (ours and theirs)


def test_what_is_only_for_people_is_kept() -> None:
    long_lived = LongLivedGracefulRestart(((IPV4_UNICAST, True, 3600),))
    result = agreed(
        config(), with_capabilities(long_lived, Fqdn("tor-1", "lab"), SoftwareVersion("v\n"))
    )
    assert result.long_lived == long_lived
    assert (result.peer_hostname, result.peer_software) == ("tor-1.lab", "v\\n")


@pytest.mark.parametrize(
    ("hold_time", "configured", "used"),
    [(90, None, 480.0), (300, None, 600.0), (0, None, 0.0), (0, 60, 60), (90, 0, 0), (90, 5, 5)],
)
def test_the_send_hold_time_is_long_unless_it_is_configured(
    hold_time: int, configured: float | None, used: float
) -> None:
    """RFC 9687 §6."""
    of = config(hold_time=hold_time, send_hold_time=configured)
    assert agreed(of, peer(hold_time=hold_time)).send_hold_time == used


@pytest.mark.parametrize("ours", Role)
@pytest.mark.parametrize("theirs", Role)
def test_roles_that_do_not_fit_are_refused(ours: Role, theirs: Role) -> None:
    """RFC 9234 §4.2."""
    of, received = config(role=ours), with_capabilities(RoleCapability(theirs))
    if theirs is ours.counterpart:
        result = agreed(of, received)
        assert (result.role, result.peer_role) == (ours, theirs)
    else:
        assert refusal(of, received) == Notification(2, 11)


@pytest.mark.parametrize(
    "told",
    [
        (RoleCapability(Role.PROVIDER), RoleCapability(Role.PEER)),
        (RoleCapability(77),),
        (UnknownCapability(9, b""),),
    ],
)
def test_roles_that_make_no_sense_are_refused(told: tuple[Capability, ...]) -> None:
    """RFC 9234 §4.2."""
    assert refusal(config(role=Role.CUSTOMER), with_capabilities(*told)) == Notification(2, 11)
    assert agreed(config(), with_capabilities(*told)).peer_role is None


def test_a_role_told_twice_counts_once() -> None:
    """RFC 9234 §4.2."""
    told = RoleCapability(Role.PROVIDER)
    assert agreed(config(role=Role.CUSTOMER), with_capabilities(told, told)).peer_role == 0


def test_a_peer_without_a_role_is_refused_in_strict_mode_only() -> None:
    """RFC 9234 §4.2."""
    result = agreed(config(role=Role.CUSTOMER), peer())
    assert (result.role, result.peer_role) == (Role.CUSTOMER, None)
    assert refusal(config(role=Role.CUSTOMER, strict_role=True), peer()) == Notification(2, 11)


def test_the_role_of_a_peer_is_known_although_we_have_none() -> None:
    assert agreed(config(), with_capabilities(RoleCapability(Role.PEER))).peer_role is Role.PEER


def test_a_role_mismatch_is_told_with_both_roles() -> None:
    with pytest.raises(OpenMessageError, match=r"role is customer, and the peer says peer about"):
        agreed(config(role=Role.CUSTOMER), with_capabilities(RoleCapability(Role.PEER)))


def test_a_required_capability_that_is_missing_is_quoted() -> None:
    """RFC 5492 §5."""
    of = config(families=BOTH, extended_message=True, required=frozenset({1, 6, 65}))
    received = with_capabilities(Multiprotocol(IPV4_UNICAST), FourOctetAs(64513))
    data = bytes.fromhex("01 04 0002 00 0106 00")
    assert refusal(of, received) == Notification(2, 7, data)
    assert agreed(of, with_capabilities(*of.capabilities())).extended_message


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
