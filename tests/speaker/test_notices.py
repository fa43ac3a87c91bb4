"""What embedders are told: in order, with a bound, and to the end."""

from __future__ import annotations

import asyncio

from speaker.notices import QUEUE, BfdChanged, Notice, Notices, NoticesLost, SessionDown
from tests.support.routers import on_both_loops


def down(number: int) -> SessionDown:
    return SessionDown(f"peer-{number}", "192.0.2.1", "a test")


@on_both_loops
async def test_every_follower_hears_everything_from_then_on() -> None:
    notices = Notices()
    assert not notices.wants(SessionDown)
    notices.tell(down(0))
    first, second = notices.follow(), notices.follow()
    assert notices.wants(SessionDown)
    notices.tell(down(1))
    notices.tell(down(2))
    notices.close()
    assert [notice async for notice in first] == [down(1), down(2)]
    assert [notice async for notice in second] == [down(1), down(2)]
    assert not notices.wants(SessionDown)


@on_both_loops
async def test_a_follower_may_want_some_kinds_alone() -> None:
    notices = Notices()
    follower = notices.follow(BfdChanged, NoticesLost)
    assert notices.wants(BfdChanged)
    assert not notices.wants(SessionDown)
    seen = BfdChanged("192.0.2.1", ("tor",), True, False, "")
    for notice in (down(1), seen, down(2)):
        notices.tell(notice)
    notices.close()
    assert [notice async for notice in follower] == [seen]


@on_both_loops
async def test_a_follower_waits_for_news() -> None:
    notices = Notices()
    follower = notices.follow()
    asyncio.get_running_loop().call_soon(notices.tell, down(7))
    assert await anext(follower) == down(7)


@on_both_loops
async def test_who_is_too_slow_loses_the_oldest_and_is_told_how_many() -> None:
    notices = Notices()
    follower = notices.follow()
    for number in range(QUEUE + 5):
        notices.tell(down(number))
    notices.close()
    heard: list[Notice] = [notice async for notice in follower]
    assert heard[:2] == [NoticesLost(5), down(5)]
    assert len(heard) == QUEUE + 1


@on_both_loops
async def test_who_stops_following_is_forgotten() -> None:
    notices = Notices()
    follower = notices.follow()
    notices.tell(down(1))
    assert await anext(follower) == down(1)
    await follower.aclose()  # type: ignore[attr-defined]  # an async generator, as all know
    assert not notices.wants(SessionDown)
