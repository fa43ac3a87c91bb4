"""What a session is otherwise than its plan asks, and when it is told."""

from __future__ import annotations

from typing import Any

import pytest

from speaker.status import Status
from tests.support.routers import Town, on_uvloop


@on_uvloop
@pytest.mark.parametrize(
    ("asked", "hold_time", "told"),
    [
        ("60s", 30, "every 10 s"),
        ("60s", 0, "no KEEPALIVEs"),
        ("10s", 30, None),
        ("5s", 30, None),
        (None, 30, None),
    ],
)
async def test_a_keepalive_time_above_a_third_of_the_hold_time_is_told(
    asked: str | None, hold_time: int, told: str | None
) -> None:
    """RFC 4271 §4.4."""
    async with Town() as town:
        more: dict[str, Any] = {} if asked is None else {"keepaliveTime": asked}
        p = town.peer("p", 11, 65011, node="r1", keys={"passive": "on"}, **more)
        router = await town.run(town.plan("r1", town.settings(), town.node("r1", 1), p))
        await town.join(11, hold_time=hold_time)
        conditions = Status(router, 1).status()["conditions"]
        assert [(c["resource"], c["reason"]) for c in conditions] == (
            [] if told is None else [("BGPPeer/p", "KeepaliveTime")]
        )
        assert all(told in condition["message"] for condition in conditions if told)
