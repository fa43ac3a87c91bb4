"""Roles, on the way in: leaks are found, and what came from above is marked."""

from __future__ import annotations

import pytest

from policy.attributes import Attribute, PathAttributes
from policy.roles import Role, received
from tests.support.routes import attribute, attributes, u32

PEER_AS = 65001
BARE = attributes()


def marked(asn: int) -> PathAttributes:
    return attributes(more=attribute(Attribute.ONLY_TO_CUSTOMER, u32(asn)))


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.ROUTE_SERVER])
def test_a_mark_from_a_customer_is_a_leak(role: Role) -> None:
    """RFC 9234 §5, ingress 1."""
    assert received(marked(PEER_AS), role, PEER_AS) is None
    assert received(BARE, role, PEER_AS) is BARE


def test_a_peer_marks_with_its_own_number_or_leaks() -> None:
    """RFC 9234 §5, ingress 2."""
    own, other = marked(PEER_AS), marked(7)
    assert received(own, Role.PEER, PEER_AS) is own
    assert received(other, Role.PEER, PEER_AS) is None


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.ROUTE_SERVER_CLIENT, Role.PEER])
def test_what_comes_from_above_or_beside_is_marked(role: Role) -> None:
    """RFC 9234 §5, ingress 3."""
    found = received(BARE, role, PEER_AS)
    assert found is not None
    assert found.value(Attribute.ONLY_TO_CUSTOMER) == u32(PEER_AS)
    assert found.next_hop == BARE.next_hop


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.ROUTE_SERVER_CLIENT])
def test_a_mark_from_above_stays(role: Role) -> None:
    other = marked(7)
    assert received(other, role, PEER_AS) is other
