"""What the router tells about its routes."""

from __future__ import annotations

import pytest

from speaker.control.protocol import ControlError
from speaker.route_views import CHUNK, RouteViews
from tests.support.routers import Town, best, on_both_loops, peer_at, table_of, until


@on_both_loops
async def test_routes_come_best_first_with_the_reason_of_each_loser() -> None:
    async with Town() as town:
        router = await town.run_for_strangers(2)
        one, two = await town.join(11), await town.join(12)
        one.announce("10.1.0.0/16", path=(65011, 7))
        two.announce("10.1.0.0/16", communities=[(1, 2)])
        await one.until(lambda: one.table)
        views = RouteViews(router)
        [chunk] = views.routes({"prefix": "10.1.0.0/16"})
        first, second = chunk["routes"]
        assert (first["best"], first["peer"]) == (True, peer_at(router, 12).name)
        assert (first["asPath"], first["communities"]) == ("65012", ["1:2"])
        assert first["reason"] == "best"
        assert second["best"] is False
        assert "AS" in second["reason"]
        [chunk] = views.routes({"peer": peer_at(router, 11).name})
        assert [route["asPath"] for route in chunk["routes"]] == ["65011 7"]
        [chunk] = views.routes({"prefix": "10.99.0.0/16"})
        assert chunk["routes"] == []
        with pytest.raises(ControlError, match="is no prefix"):
            list(views.routes({"prefix": "fish"}))


@on_both_loops
async def test_many_routes_come_in_slices_and_no_more_than_asked() -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join()
        peer.announce(*table_of(2 * CHUNK + 1))
        await until(lambda: len(best(router)) == 2 * CHUNK + 1)
        views = RouteViews(router)
        assert [len(chunk["routes"]) for chunk in views.routes({})] == [CHUNK, CHUNK, 1]
        assert sum(len(chunk["routes"]) for chunk in views.routes({"limit": 7})) == 7
        assert sum(len(chunk["routes"]) for chunk in views.routes({"family": "ipv6"})) == 0
