"""From a plan to the configuration of a session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm.errors import LocalError
from fsm.family import IPV4_UNICAST, IPV6_UNICAST
from speaker.config.plan import PeerKind, PeerPlan
from speaker.session_config import session_config

PLAN = PeerPlan(
    name="a",
    address="192.0.2.1",
    local_asn=64512,
    peer_asn=65001,
    families=(IPV4_UNICAST, IPV6_UNICAST),
    kind=PeerKind.NODE,
    hold_time=30,
    keepalive_time=7,
    connect_retry=3.0,
    idle_hold=(1.0, 9.0),
    passive=True,
)


def test_every_value_of_the_session_comes_from_the_plan() -> None:
    config = session_config(PLAN, 0x0A000001)
    assert (config.local_asn, config.peer_asn, config.router_id) == (64512, 65001, 0x0A000001)
    assert config.families == (IPV4_UNICAST, IPV6_UNICAST)
    assert (config.hold_time, config.keepalive_time) == (30, 7)
    assert (config.connect_retry_time, config.idle_hold) == (3.0, (1.0, 9.0))
    assert config.passive


def test_the_words_of_a_plan_do_not_matter_to_the_session() -> None:
    named = replace(PLAN, name="b", resource="r", kind=PeerKind.GLOBAL, bfd=True)
    assert session_config(named, 1) == session_config(PLAN, 1)


def test_an_impossible_plan_is_refused() -> None:
    with pytest.raises(LocalError, match="hold time"):
        session_config(replace(PLAN, hold_time=2), 1)
