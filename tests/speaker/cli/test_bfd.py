"""``wren bfd`` in words."""

from __future__ import annotations

from speaker.bfd.watched import session_as_json
from speaker.bfd.watching import Watching
from speaker.bfd.words import Watch
from speaker.cli.bfd import late_at_most, session_table, show_process, show_rest, show_us
from speaker.control.views import BfdProcessView, BfdSessionView

PROCESS: BfdProcessView = {
    "pid": 47,
    "outlives": True,
    "spared": 0,
    "lateness": [5, 0, 0, 0, 0, 0],
    "latenessBounds": [0.001, 0.005, 0.02, 0.1, 0.5],
    "latest": 0.0007,
    "gapBounds": [],
    "discarded": {},
    "unread": {"ours": 0, "first": 0, "junk": 0},
    "trouble": "",
}

WOKE = (
    "process 47 woke up 5 times, half of them within 1ms, 99 % within 1ms,"
    " the last of all 0.7ms late"
)


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
            "witness": "",
            "trouble": "",
        }
    )
    assert found == [
        "10.0.0.2: packets cannot be sent: no interface with this name",
        "10.9.9.9: not watched, it is on no link of this node (wren.bgp/bfd: multihop lets it)",
        "10.0.0.2: packets of the peer dropped: 7 for wrong authentication, 1 for TTL",
        "10.8.8.8: not watched, there is no Secret s",
        WOKE,
    ]


def test_lateness_is_told_by_the_histogram() -> None:
    late: BfdProcessView = {
        **PROCESS,
        "lateness": [980, 11, 0, 0, 0, 9],
        "latest": 0.7314,
        "spared": 1,
        "unread": {"ours": 3, "first": 40, "junk": 2},
        "trouble": "no",
    }
    assert show_process(late) == (
        "process 47 woke up 1000 times, half of them within 1ms, 99 % within 5ms,"
        " the last of all 731.4ms late; 1 times a peer's packet lay unread, which cost nothing;"
        " 3 packets of peers are lost, since the buffer was full;"
        " 42 packets of strangers were dropped unread; no"
    )


def test_a_share_beyond_the_histogram_is_the_latest() -> None:
    late: BfdProcessView = {**PROCESS, "lateness": [1, 0, 0, 0, 0, 9], "latest": 0.6}
    assert late_at_most(late, 0.5) == "600.0ms"


def test_a_process_that_ends_with_the_daemon_says_so() -> None:
    """As in a container: peers know it by the C bit."""
    assert show_process({**PROCESS, "outlives": False}) == f"{WOKE}; it ends with the daemon"


def test_a_process_that_has_never_slept_is_not_late() -> None:
    assert show_process({**PROCESS, "lateness": [0] * 6}) == "process 47 woke up 0 times"
