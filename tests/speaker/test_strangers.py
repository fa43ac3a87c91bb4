"""What is said about those who knock in vain, however often they do."""

from __future__ import annotations

import pytest

from speaker import strangers
from speaker.clock import Clock
from speaker.strangers import Strangers
from tests.support.routers import Town, home, is_up, on_both_loops, on_uvloop, until
from tests.support.scripted_peer import ScriptedPeer


class Hand(Clock):
    """A clock that is moved by hand; its alarms do not ring by themselves."""

    moment = 1000.0

    def now(self) -> float:
        return self.moment


async def knock(town: Town, number: int) -> None:
    visitor = await ScriptedPeer.connect(home(1), town.port, source=home(number))
    await visitor.until_closed()
    assert visitor.messages == []


@on_both_loops
async def test_an_address_is_named_once_and_then_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "PERIOD", 0.3)
    async with Town() as town:
        router = await town.run_for_strangers()
        await town.join()
        for number in (98, 99, 98, 98):
            await knock(town, number)
        assert [told["address"] for told in town.said.of("stranger")] == [home(98), home(99)]
        await until(lambda: town.said.of("more_strangers"))
        [more] = town.said.of("more_strangers")
        assert more["count"] == 2
        await knock(town, 98)
        assert len(town.said.of("stranger")) == 3
        assert is_up(router)


@on_uvloop
async def test_few_addresses_are_named_and_all_the_others_counted() -> None:
    async with Town() as town:
        clock = Hand()
        door = Strangers(clock)
        for number in range(2000):
            door.knocked(f"10.0.{number >> 8}.{number & 255}")
        assert len(town.said.of("stranger")) == strangers.LINES
        assert town.said.of("more_strangers") == []
        clock.moment += strangers.PERIOD
        door.knocked("192.0.2.1")
        [more] = town.said.of("more_strangers")
        assert more["count"] == 2000 - strangers.LINES
        assert town.said.of("stranger")[-1]["address"] == "192.0.2.1"
        door.knocked("192.0.2.1")
        door.close()
        assert [told["count"] for told in town.said.of("more_strangers")][1:] == [1]
        door.close()
        assert len(town.said.of("more_strangers")) == 2
