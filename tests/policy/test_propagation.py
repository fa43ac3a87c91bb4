"""Who may hear a path by the rules of the protocol."""

from __future__ import annotations

import pytest

from policy.attributes import WellKnown
from policy.path import PeerType, Source
from policy.propagation import Withheld, may_advertise, why_not
from policy.roles import Role
from tests.support.routes import EXTERNAL_PEER, INTERNAL_PEER, local, peer, route

CLIENT = peer(PeerType.INTERNAL, is_client=True)
EXTERNAL, INTERNAL = PeerType.EXTERNAL, PeerType.INTERNAL


@pytest.mark.parametrize(
    ("source", "peer_type", "is_client", "allowed"),
    [
        (EXTERNAL_PEER, EXTERNAL, False, True),
        (EXTERNAL_PEER, INTERNAL, False, True),
        (INTERNAL_PEER, EXTERNAL, False, True),
        (INTERNAL_PEER, INTERNAL, False, False),
        (INTERNAL_PEER, INTERNAL, True, True),
        (CLIENT, INTERNAL, False, True),
        (CLIENT, INTERNAL, True, True),
        (CLIENT, EXTERNAL, False, True),
        (local(), EXTERNAL, False, True),
        (local(), INTERNAL, False, True),
        (local(), INTERNAL, True, True),
    ],
)
def test_internal_routes_go_to_internal_peers_only_by_reflection(
    source: Source, peer_type: PeerType, is_client: bool, allowed: bool
) -> None:
    """RFC 4271 §9.2, RFC 4456 §6."""
    assert may_advertise(route(source), peer_type, is_client) is allowed
    expected = None if allowed else Withheld.SPLIT_HORIZON
    assert why_not(route(source), peer_type, is_client) is expected


@pytest.mark.parametrize(
    ("community", "to_external", "to_internal"),
    [
        (WellKnown.NO_ADVERTISE, Withheld.NO_ADVERTISE, Withheld.NO_ADVERTISE),
        (WellKnown.NO_EXPORT, Withheld.NO_EXPORT, None),
        (WellKnown.NO_EXPORT_SUBCONFED, Withheld.NO_EXPORT_SUBCONFED, None),
        (WellKnown.NOPEER, None, None),
        (WellKnown.GRACEFUL_SHUTDOWN, None, None),
    ],
)
def test_well_known_communities_are_obeyed(
    community: int, to_external: Withheld | None, to_internal: Withheld | None
) -> None:
    """RFC 1997."""
    for source in (EXTERNAL_PEER, local()):
        path = route(source, communities=[1, community])
        assert why_not(path, EXTERNAL) is to_external
        assert why_not(path, INTERNAL) is to_internal


@pytest.mark.parametrize("takes_stale", [True, False])
def test_a_long_lived_stale_route_is_for_those_who_take_it(takes_stale: bool) -> None:
    """RFC 9494 §4.3."""
    path = route(communities=[WellKnown.LLGR_STALE])
    expected = None if takes_stale else Withheld.LLGR_STALE
    for peer_type in PeerType:
        assert why_not(path, peer_type, takes_stale=takes_stale) is expected


def test_octets_that_only_look_like_a_well_known_community_are_none() -> None:
    path = route(communities=[0x01FFFFFF, 0x02000000])
    assert may_advertise(path, EXTERNAL)


@pytest.mark.parametrize("role", [None, *Role])
def test_nopeer_keeps_a_route_from_those_who_pay_nobody(role: Role | None) -> None:
    """RFC 3765 §2."""
    path = route(communities=[WellKnown.NOPEER])
    expected = Withheld.NOPEER if role is Role.PEER else None
    assert why_not(path, EXTERNAL, role=role) is expected
