"""The machine of one BFD session, in asynchronous mode, active role.

A `BfdSession` is told what happens (`received`, `tick`, `configure`, `disable`, `enable`), with the
present time and a number by chance, and answers with effects in their order: `Send` with the octets
of a packet, `Moved` when its state is another. `deadline` is when it wants its next `tick`.

Demand mode is never asked for and honoured where the peer asks for it. Echo packets are not sent;
whether they are looped back is told to the peer by `Settings.required_min_echo_rx_us`.

RFC: parameters that change while a Poll Sequence runs need one of their own (RFC 5880 §6.5).
Ours: the next sequence begins with a packet after the first's Final, so that no old Final ends it.

Standards: RFC 5880 §6.5, §6.6, §6.8.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TypeAlias

from fsm.bfd.guard import Guard
from fsm.bfd.packet import BfdState, ControlPacket, Diagnostic, Discard
from fsm.bfd.settings import SLOW_US, Settings

MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Send:
    """Send a packet."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """The session moved from one state to another; why, says the diagnostic."""

    old: BfdState
    new: BfdState
    diagnostic: int


Effect: TypeAlias = Send | Moved


class BfdSession:
    """One session.

    Args:
        settings: what is configured.
        discriminator: ours, unique among the sessions of this system and not 0.
        sequence: of the first authenticated packet, by chance.

    Attributes:
        state: bfd.SessionState.
        diagnostic: bfd.LocalDiag.
        remote: the last packet that was heeded; None if there was none since the peer was lost.
        discards: how many packets were dropped, by reason.
        tx_due: when the next periodic packet is due; None if none is.
        detect_due: when the peer's silence has lasted for the detection time.
        steady: the peer's usual packet: if these octets come again, `heard_again` does all that
            `received` would; None while there is none.
    """

    def __init__(self, settings: Settings, discriminator: int, sequence: int = 0) -> None:
        self.settings = settings
        self.discriminator = discriminator
        self.state = BfdState.DOWN
        self.diagnostic: int = Diagnostic.NONE
        self.remote: ControlPacket | None = None
        self.discards: Counter[Discard] = Counter()
        self.tx_due: float | None = None
        self.detect_due: float | None = None
        self._guard = Guard(settings.authentication, sequence)
        self._last_tx: float | None = None
        self._chance = 0.0
        # What is announced, and what counts, which is older while a Poll Sequence runs.
        self._desired_tx_us = max(settings.idle_tx_us, SLOW_US)
        self._used_tx_us = self._desired_tx_us
        self._used_rx_us = settings.required_min_rx_us
        self._polling = False
        self._poll_again = False
        self._octets: bytes | None = None
        self.steady: bytes | None = None
        # Of the steady state, in seconds.
        self._pace = self._patience = 0.0

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called next."""
        if self.tx_due is None or (self.detect_due is not None and self.detect_due < self.tx_due):
            return self.detect_due
        return self.tx_due

    @property
    def sequence(self) -> int | None:
        """bfd.XmitAuthSeq, of the next packet; None without authentication. RFC 5880 §6.8.1."""
        return self._guard.sequence

    @property
    def is_polling(self) -> bool:
        """Whether a Poll Sequence of ours runs."""
        return self._polling

    @property
    def tx_interval_us(self) -> int:
        """The interval between our packets, without jitter; 0 if none are sent. RFC 5880 §6.8.7."""
        remote = self.remote
        if remote is None:
            return self._used_tx_us
        if not remote.required_min_rx_us or (self._peer_demands and not self._polling):
            return 0
        return max(self._used_tx_us, remote.required_min_rx_us)

    @property
    def rx_interval_us(self) -> int:
        """The interval that is agreed for the peer's packets. RFC 5880 §6.8.4."""
        told = 0 if self.remote is None else self.remote.desired_min_tx_us
        return max(self._used_rx_us, told)

    @property
    def detection_time_us(self) -> int:
        """After so long a silence the session is down; 0 before a packet came. RFC 5880 §6.8.4."""
        return 0 if self.remote is None else self.remote.detect_mult * self.rx_interval_us

    @property
    def _peer_demands(self) -> bool:
        """Whether demand mode is active at the peer. RFC 5880 §6.8.6."""
        remote = self.remote
        return (
            remote is not None
            and remote.demand
            and self.state is BfdState.UP
            and remote.state is BfdState.UP
        )

    def tick(self, now: float, chance: float) -> list[Effect]:
        """Let time pass: send what is due, and find out whether the peer is silent.

        Args:
            now: monotonic seconds.
            chance: a number in [0, 1) for the jitter of the next interval. RFC 5880 §6.8.7.
        """
        self._chance = chance
        effects: list[Effect] = []
        if self.detect_due is not None and self.detect_due <= now:
            self._lose_peer(now, effects)
        self._guard.tick(now)
        if self.tx_due is None and self._last_tx is None and self.tx_interval_us:
            self.tx_due = now
        if self.tx_due is not None and self.tx_due <= now:
            self._send(now, effects)
        return effects

    def received(
        self, packet: ControlPacket, octets: bytes, now: float, chance: float
    ) -> list[Effect]:
        """Take a packet that was found to be for this session. RFC 5880 §6.8.6.

        Args:
            packet: what `decode` made of it.
            octets: the packet itself, for its authentication.
            now: monotonic seconds.
            chance: a number in [0, 1) for the jitter of the next interval.
        """
        self._chance = chance
        self.steady = None
        wrong = self._guard.refuse(packet, octets, now)
        if wrong is not None:
            self.discards[wrong] += 1
            return []
        effects: list[Effect] = []
        before = self.tx_interval_us
        was_told = None if self.remote is None else self.remote.my_discriminator
        self.remote = packet
        if was_told != packet.my_discriminator:
            # Another one is there: it hears at once that it is heard. RFC 5880 §6.8.7.
            self._octets = None
            self.tx_due = now
        if packet.final and self._polling:
            self._end_poll(now)
        if self.state is BfdState.ADMIN_DOWN:
            self.discards[Discard.ADMIN_DOWN] += 1
            return []
        state, diagnostic = _after(self.state, packet.state)
        if state is not self.state:
            self._move(state, diagnostic, now, effects)
        self._expect(now)
        if packet.poll:
            effects.append(Send(self._sign(final=True)))
        if not any(isinstance(effect, Moved) for effect in effects):
            self._heed_interval(before, now)
        self._settle(packet, octets)
        return effects

    def _settle(self, packet: ControlPacket, octets: bytes) -> None:
        """Find out whether the same packet would change nothing but when the peer was heard."""
        if (
            self.state is BfdState.UP
            and packet.state is BfdState.UP
            and self.tx_due is not None
            and not (packet.poll or packet.final or packet.authenticated or self._guard.signs)
        ):
            self.steady = octets
            self._pace = self.tx_interval_us / MICROSECONDS
            self._patience = self.detection_time_us / MICROSECONDS

    def heard_again(self, now: float) -> None:
        """Take the packet that is `steady` once more."""
        self.detect_due = now + self._patience

    def send_again(self, now: float, chance: float) -> bytes | None:
        """Do what `tick` would, where that is to send the usual packet and nothing else.

        Returns:
            The packet; None where it was not done, and `tick` is to be called.
        """
        octets, due, silent = self._octets, self.tx_due, self.detect_due
        if self.steady is None or octets is None or due is None or silent is None:
            return None
        if now < due or silent <= now:
            return None
        self._chance = chance
        self._last_tx = now
        self.tx_due = now + self._jittered(self._pace)
        return octets

    def resume(self, remote: ControlPacket, now: float) -> None:
        """Be Up without a word, as a session of this discriminator was a moment ago.

        For a process that takes the place of one that died: a peer that has not missed it yet never
        will. Whether it has is seen by what it says.

        Args:
            remote: a packet that the peer sent when the session came up.
            now: monotonic seconds.
        """
        self.state, self.remote, self.steady = BfdState.UP, remote, None
        self._retime(now, anew=False)
        self._expect(now)
        self.tx_due = now

    def configure(self, settings: Settings, now: float, sequence: int = 0) -> None:
        """Go on under other settings; a Poll Sequence tells the peer. RFC 5880 §6.8.3, §6.8.13.

        Args:
            settings: what is configured from now on.
            now: monotonic seconds.
            sequence: of the next authenticated packet, if none was before.
        """
        before, self.settings = self.settings, settings
        self.steady = None
        if settings.authentication != before.authentication:
            # As long as either end could still hold the session.
            patience = max(self.detection_time_us, settings.detect_mult * self.tx_interval_us)
            until = now + patience / MICROSECONDS if self.state is BfdState.UP else None
            self._guard.change(settings.authentication, sequence, until)
        self._octets = None
        self._retime(now, anew=settings.required_min_rx_us != before.required_min_rx_us)
        if self.tx_due is not None:
            self.tx_due = min(self.tx_due, now + self._jittered(self.tx_interval_us / MICROSECONDS))
        if self.detect_due is not None:
            self._expect(now)

    def disable(self, now: float) -> list[Effect]:
        """Take the session down by an operator's will. RFC 5880 §6.8.16.

        The peer is told so by the packets of at least a detection time, which the caller lets pass.
        """
        effects: list[Effect] = []
        if self.state is not BfdState.ADMIN_DOWN:
            self._move(BfdState.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, now, effects)
        self.detect_due = None
        return effects

    def enable(self, now: float) -> list[Effect]:
        """Let a session that was taken down come up again. RFC 5880 §6.8.16."""
        effects: list[Effect] = []
        if self.state is BfdState.ADMIN_DOWN:
            self.remote = None
            self._move(BfdState.DOWN, Diagnostic.NONE, now, effects)
        return effects

    def _move(
        self, state: BfdState, diagnostic: int | None, now: float, effects: list[Effect]
    ) -> None:
        """Be in another state, tell the peer at once, and time packets as it asks."""
        old, self.state = self.state, state
        if diagnostic is not None:
            self.diagnostic = diagnostic
        self._retime(now, anew=False)
        self._octets = self.steady = None
        effects.append(Moved(old, state, self.diagnostic))
        # RFC 5880 §6.8.7: what differs from the last packet is told before the interval is over.
        if self.tx_interval_us:
            self._send(now, effects)
        else:
            self.tx_due = None

    def _retime(self, now: float, *, anew: bool) -> None:
        """Announce the interval that the state asks for. RFC 5880 §6.8.3.

        Args:
            now: monotonic seconds.
            anew: the peer is to be asked also if our interval of sending stays.
        """
        settings = self.settings
        is_up = self.state is BfdState.UP
        wanted = settings.desired_min_tx_us
        if not is_up:
            wanted = max(wanted, SLOW_US if self.remote else settings.idle_tx_us, SLOW_US)
        anew = anew or wanted != self._desired_tx_us
        self._desired_tx_us = wanted
        if not anew:
            return
        self._octets = None
        # While Up, longer silence of ours and less patience with the peer's wait for its Final.
        self._used_tx_us = min(self._used_tx_us, wanted) if is_up else wanted
        rx = settings.required_min_rx_us
        self._used_rx_us = max(self._used_rx_us, rx) if is_up else rx
        if self.remote is None:
            self._take_announced()
        elif self._polling:
            self._poll_again = True
        else:
            self._polling = True
            if self.tx_due is None:
                self.tx_due = now

    def _end_poll(self, now: float) -> None:
        """The peer has answered: what was announced counts. RFC 5880 §6.5, §6.8.3."""
        self._octets = None
        if self._poll_again:
            # That answer may be to what was announced before; ask again.
            self._poll_again = False
            self.tx_due = now
            return
        self._polling = False
        self._take_announced()

    def _take_announced(self) -> None:
        self._used_tx_us = self._desired_tx_us
        self._used_rx_us = self.settings.required_min_rx_us

    def _lose_peer(self, now: float, effects: list[Effect]) -> None:
        """The detection time is over. RFC 5880 §6.8.1, §6.8.4."""
        self._guard.lose(now, self.detection_time_us / MICROSECONDS)
        self.detect_due = None
        self.remote = None
        self._polling = self._poll_again = False
        self._octets = self.steady = None
        if self.state in (BfdState.INIT, BfdState.UP):
            self._move(BfdState.DOWN, Diagnostic.DETECTION_TIME_EXPIRED, now, effects)
        else:
            self._take_announced()
        if self.tx_due is None:
            self.tx_due = now

    def _expect(self, now: float) -> None:
        """Be patient with the peer from now on. RFC 5880 §6.8.4."""
        self._guard.hear()
        self.detect_due = now + self.detection_time_us / MICROSECONDS

    def _heed_interval(self, before_us: int, now: float) -> None:
        """Send earlier, or not at all, if the peer asks for it. RFC 5880 §6.8.3, §6.8.7."""
        interval = self.tx_interval_us
        if not interval:
            self.tx_due = None
        elif self.tx_due is None:
            self.tx_due = now
        elif interval < before_us and self._last_tx is not None:
            self.tx_due = min(
                self.tx_due, max(now, self._last_tx + self._jittered(interval / MICROSECONDS))
            )

    def _send(self, now: float, effects: list[Effect]) -> None:
        effects.append(Send(self._sign()))
        self._last_tx = now
        pace = self.tx_interval_us / MICROSECONDS
        self.tx_due = now + self._jittered(pace) if pace else None

    def _jittered(self, pace: float) -> float:
        """Give the next interval in seconds: 75 to 100 % of it. RFC 5880 §6.8.7."""
        most = 0.9 if self.settings.detect_mult == 1 else 1.0
        return pace * (most - (most - 0.75) * self._chance)

    def _sign(self, *, final: bool = False) -> bytes:
        """Write a packet; the usual one is kept, since nothing in it changes."""
        if self._octets is not None and not final:
            return self._octets
        packet = self._packet()
        if final:
            packet = replace(packet, final=True, poll=False)
        octets = self._guard.sign(packet)
        if not final and not self._guard.signs:
            self._octets = octets
        return octets

    def _packet(self) -> ControlPacket:
        settings, remote = self.settings, self.remote
        return ControlPacket(
            self.state,
            self.discriminator,
            0 if remote is None else remote.my_discriminator,
            self.diagnostic,
            settings.detect_mult,
            self._desired_tx_us,
            settings.required_min_rx_us,
            settings.required_min_echo_rx_us,
            poll=self._polling,
            independent=settings.independent,
            authenticated=self._guard.signs,
        )


def _after(state: BfdState, told: BfdState) -> tuple[BfdState, int | None]:
    """Give the state that a packet leads to, and the diagnostic if it says why. RFC 5880 §6.8.6."""
    if told is BfdState.ADMIN_DOWN:
        if state is BfdState.DOWN:
            return state, None
        return BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN
    if state is BfdState.DOWN:
        moves = {BfdState.DOWN: BfdState.INIT, BfdState.INIT: BfdState.UP}
        return moves.get(told, state), None
    if state is BfdState.INIT:
        return (state if told is BfdState.DOWN else BfdState.UP), None
    if told is BfdState.DOWN:
        return BfdState.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN
    return state, None
