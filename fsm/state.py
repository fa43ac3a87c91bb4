"""The six states of a BGP connection, in the order of their progress.

A leaf that the machine, its effects and its readers share. What each state does is `fsm.bgp`.

Standards: RFC 4271 §8.2.2.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """The states of RFC 4271 §8.2.2; a greater one is nearer to Established."""

    IDLE = 0
    CONNECT = 1
    ACTIVE = 2
    OPEN_SENT = 3
    OPEN_CONFIRM = 4
    ESTABLISHED = 5

    def __str__(self) -> str:
        return self.name.title().replace("_", "")
