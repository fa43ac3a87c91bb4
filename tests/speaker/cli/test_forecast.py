"""What is said of routes beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speaker.cli.forecast import forecast, forecast_lines
from speaker.config.differences import Difference
from speaker.config.documents import Document
from speaker.config.kinds import Kind
from speaker.config.stored import Stored
from speaker.control.protocol import MAX_REQUEST, ControlError
from speaker.control.views import ForecastView, RouteDifferenceView
from tests.support.control import serving

NOTHING: RouteDifferenceView = {"appear": [], "vanish": [], "change": []}


def view(**changed: Any) -> ForecastView:
    whole: dict[str, Any] = {
        "used": {"appear": [], "vanish": [], "move": []},
        "peers": [],
        "left": 0,
        "unforeseen": [],
        "sessions": [],
        **changed,
    }
    return whole  # type: ignore[return-value]  # of that shape


TOLD: RouteDifferenceView = {"appear": ["a", "b", "c", "d"], "vanish": ["e"], "change": ["f", "g"]}


def test_routes_are_counted_and_the_first_few_named() -> None:
    moves = [{"prefix": "a", "was": "one via x", "becomes": "two"}]
    lines = forecast_lines(
        view(
            used={"appear": [], "vanish": ["e"], "move": moves},
            peers=[{"peer": "two", "accepted": NOTHING, "advertised": TOLD}],
            left=7,
            unforeseen=["what three will tell"],
            sessions=["removes Dynamic_rack_10_1_0_7"],
        )
    )
    assert lines == [
        "  removes Dynamic_rack_10_1_0_7",
        "  routes: 1 vanishes (e); 1 moves (a: one via x → two)",
        "  told to two: 4 appear (a, b, c, …); 1 vanishes (e); 2 change (f, g)",
        "  about 7 more prefixes were not looked at",
        "  not foreseen: what three will tell",
    ]
    assert forecast_lines(view()) == ["  routes: none appears, vanishes or moves"]


def test_chunks_are_put_together(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(request: dict[str, Any]) -> Any:
        asked.append(request)
        return iter([view(peers=[{"peer": "p", "accepted": TOLD, "advertised": NOTHING}])] * 2)

    gone = Difference(Kind.NODE, "r2", "deleted")
    new = Difference(Kind.NODE, "r3", "created")
    key = (Kind.NODE, "r3")
    kept = {key: Stored(*key, Document("", 0, {"kind": "Node"}, {}))}
    with serving(tmp_path, {"forecast": answer}):
        found = forecast(tmp_path, [gone, new], kept)
    assert not isinstance(found, str)
    assert asked == [{"put": [{"kind": "Node"}], "delete": [["Node", "r2"]]}]
    assert found["peers"][0]["accepted"]["vanish"] == ["e", "e"]


@pytest.mark.parametrize("size", [1, MAX_REQUEST])
def test_where_nothing_can_be_known_it_is_said_why(tmp_path: Path, size: int) -> None:
    def refuse(request: dict[str, Any]) -> Any:
        raise ControlError("there is no Node r1")

    key = (Kind.NODE, "r3")
    kept = {key: Stored(*key, Document("", 0, {"kind": "N" * size}, {}))}
    differences = [Difference(*key, "created")]
    with serving(tmp_path, {"forecast": refuse}):
        found = forecast(tmp_path, differences, kept)
    assert found == (
        "the daemon says nothing about routes: there is no Node r1"
        if size == 1
        else "the edit is too large for the daemon to be asked about routes"
    )
    assert forecast(tmp_path, [], {}) == ""
