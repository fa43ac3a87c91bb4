"""``wren bfd`` in words."""

from __future__ import annotations

from speaker.bfd.watching import Watching, session_as_json
from speaker.bfd.words import Watch
from speaker.cli.bfd import session_table, show_process, show_rest, show_us
from speaker.control.views import BfdProcessView, BfdSessionView

PROCESS: BfdProcessView = {
    "pid": 47,
    "spared": 0,
    "lateness": [5, 0, 0, 0, 0, 0],
    "latenessBounds": [0.001, 0.005, 0.02, 0.1, 0.5],
    "gapBounds": [],
    "discarded": {},
    "trouble": "",
}


def session() -> BfdSessionView:
    """Give what the process says of a session, and the speaker adds."""
    watching = Watching(lambda: 1.0, lambda: 1e9, lambda watched: None)
    watching.watch(Watch("10.0.0.2", "10.0.0.2", interface="nosuch0"))
    [watched] = watching
    view: BfdSessionView = {**session_as_json(watched), "peers": ["p"]}  # type: ignore[typeddict-item]
    watching.close()
    return view


def test_what_the_process_says_is_what_is_promised() -> None:
    assert session().keys() == BfdSessionView.__annotations__.keys()


def test_a_session_that_has_heard_nobody() -> None:
    [heading, line] = session_table([session()]).lines()
    assert heading.split()[:3] == ["PEER", "INTERFACE", "STATE"]
    words = line.split()
    assert words[:3] == ["10.0.0.2", "nosuch0", "Down"]
    assert "1000ms" in words


def test_intervals_are_milliseconds() -> None:
    shown = [show_us(us) for us in (0, 300, 150_000, 60_000_000)]
    assert shown == ["-", "0.3ms", "150ms", "60s"]


def test_what_keeps_a_session_from_working_is_said() -> None:
    unsigned = {**session(), "trouble": "", "discarded": {"wrong authentication": 7, "TTL": 1}}
    found = show_rest(
        {
            "sessions": [session(), unsigned],  # type: ignore[list-item]
            "notConnected": ["10.9.9.9"],
            "withoutKey": [{"address": "10.8.8.8", "reason": "there is no Secret s"}],
            "process": PROCESS,
        }
    )
    assert found == [
        "10.0.0.2: packets cannot be sent: no interface with this name",
        "10.9.9.9: not watched, it is on no link of this node (wren.bgp/bfd: multihop lets it)",
        "10.0.0.2: packets of the peer dropped: 7 for wrong authentication, 1 for TTL",
        "10.8.8.8: not watched, there is no Secret s",
        "process 47 woke up 5 times; never late",
    ]


def test_lateness_is_told_from_a_millisecond_on() -> None:
    late: BfdProcessView = {**PROCESS, "lateness": [5, 2, 0, 0, 0, 1], "spared": 1, "trouble": "no"}
    assert show_process(late) == (
        "process 47 woke up 8 times; late 2 by more than 1ms, 1 by more than 500ms; "
        "1 times a peer's packet lay unread, which cost nothing; no"
    )
