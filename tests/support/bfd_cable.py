"""Two BFD sessions, a cable that loses packets, and a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count

from fsm.bfd.packet import BfdState, ControlPacket, decode
from fsm.bfd.session import BfdSession, Effect, Moved, Send
from fsm.bfd.settings import Settings

DELAY = 0.001
"""Seconds that a packet travels."""


class Cable:
    """Two ends, 0 and 1, and what passes between them.

    Attributes:
        cut: by the end that sends: whether its packets are lost.
        loses: asked for each packet besides.
        sent: what each end sent and when.
        moves: the changes of state of each end and when.
        is_short: packets take the short way through a session where there is one.
        shortcuts: how often there was.
    """

    def __init__(
        self, left: Settings, right: Settings, chance: float = 0.5, *, is_short: bool = False
    ) -> None:
        self.now = 0.0
        self.chance = chance
        self.ends = (BfdSession(left, 11, 100), BfdSession(right, 22, 4_000_000_000))
        self.cut = [False, False]
        self.loses: Callable[[], bool] = lambda: False
        self.sent: tuple[list[tuple[float, ControlPacket]], ...] = ([], [])
        self.moves: tuple[list[tuple[float, Moved]], ...] = ([], [])
        self.is_short = is_short
        self.shortcuts = 0
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._order = count()

    @property
    def states(self) -> tuple[BfdState, BfdState]:
        return self.ends[0].state, self.ends[1].state

    def perform(self, end: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Moved):
                self.moves[end].append((self.now, effect))
                continue
            assert isinstance(effect, Send)
            packet = decode(effect.octets)
            assert isinstance(packet, ControlPacket)
            self.sent[end].append((self.now, packet))
            if not self.cut[end] and not self.loses():
                arrival = (self.now + DELAY, next(self._order), 1 - end, effect.octets)
                heapq.heappush(self._flying, arrival)

    def run(self, seconds: float) -> None:
        """Let time pass, from deadline to deadline."""
        until = self.now + seconds
        for end in (0, 1):
            self.perform(end, self.ends[end].tick(self.now, self.chance))
        while (moment := self._next()) <= until:
            self.now = max(self.now, moment)
            if self._flying and self._flying[0][0] <= self.now:
                self._arrive()
                continue
            for end, session in enumerate(self.ends):
                if session.deadline is not None and session.deadline <= self.now:
                    self.perform(end, self._tick(session))
        self.now = until

    def _tick(self, session: BfdSession) -> list[Effect]:
        octets = session.send_again(self.now, self.chance) if self.is_short else None
        if octets is None:
            return session.tick(self.now, self.chance)
        self.shortcuts += 1
        return [Send(octets)]

    def _next(self) -> float:
        moments = [s.deadline for s in self.ends if s.deadline is not None]
        moments += [self._flying[0][0]] if self._flying else []
        return min(moments, default=float("inf"))

    def _arrive(self) -> None:
        _, _, end, octets = heapq.heappop(self._flying)
        if self.is_short and self.ends[end].steady == octets:
            self.shortcuts += 1
            self.ends[end].heard_again(self.now)
            return
        packet = decode(octets)
        assert isinstance(packet, ControlPacket)
        assert packet.your_discriminator in (0, self.ends[end].discriminator)
        effects = self.ends[end].received(packet, octets, self.now, self.chance)
        self.perform(end, effects)
