from __future__ import annotations

import pytest

from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from fsm.messages import Keepalive, Message, Open, RefreshSubtype, RouteRefresh


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Open(64512, 90, 1), "OPEN as=64512 hold=90"),
        (Keepalive(), "KEEPALIVE"),
        (RouteRefresh(IPV4_UNICAST), "ROUTE-REFRESH ipv4 unicast subtype=0"),
        (RouteRefresh(IPV6_UNICAST, RefreshSubtype.END), "ROUTE-REFRESH ipv6 unicast subtype=2"),
    ],
)
def test_a_message_is_a_line_of_a_transcript(message: Message, text: str) -> None:
    assert str(message) == text
