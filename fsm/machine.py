"""The hands of a connection's machine: timers, effects, and what entering a state entails.

`Machine` holds what one connection has: its state, its timers, whether it dials or is connected,
what was agreed. It knows how to do things: dial, drop, keep the timers, enter a state and report
what was lost. *When* to do them is for `fsm.bgp`, whose `BgpFsm` adds a rule for each event in each
state. Everything that is to be done ends in `_effects`; each call of the rules begins with a fresh
list, the present time and the number for jitter.

Standards: RFC 4271 §4.4, §8.2.2, §10; RFC 9687 §4.
"""

from __future__ import annotations

from fsm.config import SessionConfig
from fsm.effects import (
    AttemptFailed,
    CancelDial,
    Close,
    Dial,
    DownKind,
    DownReason,
    Effect,
    Send,
    SessionDown,
    SessionUp,
)
from fsm.events import (
    KeepaliveTimerExpires,
    MessageSent,
    SendBlocked,
    SendEvent,
    SendProgress,
    Side,
)
from fsm.messages import Keepalive, Open
from fsm.negotiation import Negotiated
from fsm.state import State
from fsm.timers import Timer, Timers, jittered


class Machine:
    """What one connection has, and what can be done with it.

    Args:
        config: the peer's configuration.
        side: which connection; an INCOMING machine listens and never dials.
    """

    def __init__(self, config: SessionConfig, side: Side) -> None:
        self.side = side
        self.state = State.IDLE
        self.timers = Timers()
        self.open_message: Open = config.open_message()
        """The OPEN to send; may be replaced until it is sent."""
        self.negotiated: Negotiated | None = None
        self.connect_retry_counter = 0
        self.is_dialing = False
        self.is_connected = False
        self._config = config
        self._reason: DownReason | None = None
        self._effects: list[Effect] = []
        self._now = 0.0
        self._chance = 0.0

    def offer(self, config: SessionConfig, open_message: Open) -> None:
        """Go on with a configuration that offers something else; an OPEN that was sent stands."""
        self._config = config
        if self.state < State.OPEN_SENT:
            self.open_message = open_message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.side}, {self.state}, {self.timers!r})"

    def _heed_sending(self, event: KeepaliveTimerExpires | SendEvent) -> None:
        """Keep the timers that depend on what we send, while Established.

        RFC: the SendHoldTimer runs always, and restarts with every message sent (RFC 9687 §4).
        Ours: it runs only while something waits that the peer does not take, since only the shell
        knows that; a session with nothing to say is not stuck.
        """
        assert self.negotiated is not None
        seconds = self.negotiated.send_hold_time
        match event:
            case KeepaliveTimerExpires():
                self._send_keepalive()
            case MessageSent():
                self._restart_keepalive_timer()
            case SendProgress(is_drained=True):
                self.timers.stop(Timer.SEND_HOLD)
            case SendProgress() if seconds:
                self.timers.start(Timer.SEND_HOLD, seconds, self._now)
            case SendBlocked() if seconds and not self.timers.is_running(Timer.SEND_HOLD):
                self.timers.start(Timer.SEND_HOLD, seconds, self._now)
            case _:
                pass

    def _dial_again(self) -> None:
        """Give up a dial that nobody answered, or a connection that waits to be used."""
        if self.is_dialing:
            self._drop()
            text = f"no answer within {self._config.connect_retry_time:g} s"
            reason = DownReason(DownKind.TCP, text=text)
            self._effects.append(AttemptFailed(self.side, reason))
        self._dial()

    def _dial(self) -> None:
        self._drop()
        self._start_connect_retry_timer()
        self.is_dialing = True
        self._effects.append(Dial())

    def _drop(self) -> None:
        """Let go of whatever connection or dial there is."""
        self.timers.stop(Timer.DELAY_OPEN)
        if self.is_dialing:
            self._effects.append(CancelDial())
        if self.is_connected:
            self._effects.append(Close(self.side))
        self.is_dialing = self.is_connected = False

    def _send_keepalive(self) -> None:
        self._effects.append(Send(self.side, Keepalive()))
        self._restart_keepalive_timer()

    def _restart_keepalive_timer(self) -> None:
        """RFC 4271 §8.2.2: with each KEEPALIVE or UPDATE sent, unless the hold time is zero."""
        if self.negotiated and self.negotiated.keepalive_time:
            seconds = jittered(self.negotiated.keepalive_time, self._chance)
            self.timers.start(Timer.KEEPALIVE, seconds, self._now)

    @property
    def _patience(self) -> float:
        """Seconds that the peer has to get the connection Established.

        RFC: a large value, for either side. Ours: less for a connection that somebody else opened.
        """
        config = self._config
        if self.side is Side.OUTGOING:
            return config.open_hold_time
        return min(config.open_hold_time, config.accepted_open_hold_time)

    def _silence(self, what: str) -> str:
        """Say what was not heard, and for how long."""
        agreed = self.negotiated.hold_time if self.negotiated else 0
        return f"{what} came for {agreed or self._patience:g} s"

    def _restart_hold_timer(self) -> None:
        """RFC 4271 §4.4: with a hold time of zero neither timer runs."""
        if self.negotiated and self.negotiated.hold_time:
            self.timers.start(Timer.HOLD, self.negotiated.hold_time, self._now)

    def _bound_the_wait(self) -> None:
        """Wait for the KEEPALIVE that makes the session.

        RFC: with a hold time of zero for ever. Ours: not longer than for an OPEN, since a
        connection that never becomes a session must not keep the place of one that would.
        """
        self.timers.start(Timer.HOLD, self._patience, self._now)
        self._restart_hold_timer()

    def _start_connect_retry_timer(self) -> None:
        """RFC: it runs in Active too. Ours: not for a machine that would never dial."""
        if self.side is Side.OUTGOING:
            seconds = jittered(self._config.connect_retry_time, self._chance)
            self.timers.start(Timer.CONNECT_RETRY, seconds, self._now)

    # Entering a state.

    def _enter(self, new: State) -> None:
        """Change the state and do what belongs to the new one."""
        old, self.state = self.state, new
        match new:
            case State.IDLE:
                self.timers.clear()
                self._drop()
                self._report_loss(old)
            case State.CONNECT:
                self._dial()
            case State.ACTIVE:
                self.timers.clear()
                self._drop()
                self._start_connect_retry_timer()
                self._report_loss(old)
            case State.OPEN_SENT:
                self.timers.clear()
                self._effects.append(Send(self.side, self.open_message))
                self.timers.start(Timer.HOLD, self._patience, self._now)
            case State.OPEN_CONFIRM:
                self.timers.clear()
                self._send_keepalive()
                self._bound_the_wait()
            case State.ESTABLISHED:
                self.timers.stop(Timer.HOLD)
                self._restart_hold_timer()
                assert self.negotiated is not None  # OpenConfirm is only entered with it
                self._effects.append(SessionUp(self.side, self.negotiated))

    def _report_loss(self, old: State) -> None:
        self.negotiated = None
        if self._reason is None:
            return
        kind = SessionDown if old is State.ESTABLISHED else AttemptFailed
        self._effects.append(kind(self.side, self._reason))
