"""BFD beside Wren: BIRD's and FRR's words for it, and what each end says of a session."""

from __future__ import annotations

from typing import Any

from lab import RunningNode
from speaker.control.client import ask
from speaker.control.views import BfdView
from tests.support.birds import WREN, at
from tests.support.resources import peer

TIMERS = "min rx interval 100 ms; min tx interval 150 ms; multiplier 4;"
PATIENT = TIMERS.replace("multiplier 4", "multiplier 30")
"""For whom no session is to fall, on a machine that is busy with other tests."""


def protocol(timers: str = TIMERS) -> str:
    return 'protocol bfd { accept direct; interface "*" { ' + timers + " }; }\n"


def watched(number: int, **spec: Any) -> dict[str, Any]:
    keys = {"wren.bgp/connectRetry": "1", "wren.bgp/idleHold": "1,2", "wren.bgp/holdTime": "90"}
    spec = {"failureDetectionMode": "BFDIfDirectlyConnected", **spec}
    return peer(
        f"b{number}", node="w", peerIP=at(number), asNumber=65000 + number, extensions=keys, **spec
    )


def shown(wren: RunningNode) -> BfdView:
    """Ask for what `wren bfd` shows, without a process for each question."""
    found: BfdView = ask(wren.home, "bfd")
    return found


def sessions(wren: RunningNode) -> dict[str, dict[str, Any]]:
    return {session["name"]: dict(session) for session in shown(wren)["sessions"]}


def state(wren: RunningNode, number: int) -> str | None:
    session = sessions(wren).get(at(number))
    return None if session is None else str(session["state"])


def birds_view(bird: RunningNode) -> list[str]:
    """Give what BIRD says of its session with Wren: state, interval, timeout."""
    said = bird.execute(["birdc", "-s", str(bird.home / "bird.ctl"), "show", "bfd", "sessions"])
    [line] = [line.split() for line in said.splitlines() if line.startswith(WREN)]
    return [line[2], *line[-2:]]


FRR_TIMERS = """bfd
 profile quick
  receive-interval 120
  transmit-interval 80
  detect-multiplier 3
 exit
"""

FRR_PATIENT = FRR_TIMERS.replace("detect-multiplier 3", "detect-multiplier 30")
