"""The BGP state machine: one connection, six states.

`BgpFsm` is RFC 4271 §8.2.2 for one connection. A peer has two of them, one for the connection that
we dial and one for the connection that the peer dials; what they owe each other is `fsm.session`.

How to read it: one method per state, in it one `case` per row of the RFC's text, in the RFC's
order, with the event numbers beside; the last case is the RFC's "in response to any other event".
A case returns the next state. What is done *because* a state is entered stands once, in
`fsm.machine`, so a case holds only what is peculiar to its event. `docs/fsm-grid.txt` shows
every cell of the machine, and a test keeps it true.

Data comes in as events and goes out as effects. An event handed to a machine is always about its
own connection; `side` matters only to the session. The machine never reads a clock, draws a number,
sees a byte, or refuses an event: whatever comes in any state has an answer.

Choices that the RFC leaves open: CollisionDetectEstablished-
State is false, TrackTcpState is false: events 14 and 15 may be told and change nothing. Those that
the configuration chooses: DelayOpen is on if `delay_open_time` is, SendNOTIFICATIONwithoutOPEN is
`notify_without_open`, and the session keeps DampPeerOscillations, AllowAutomaticStart and
AllowAutomaticStop. Where we depart from the text, *RFC:* and *Ours:* say so.

Standards: RFC 4271 §6, §8.2.2, §10; RFC 6608 §4; RFC 8538 §3; RFC 9687 §4.
"""

from __future__ import annotations

from fsm.effects import (
    DownKind,
    DownReason,
    Effect,
    Send,
)
from fsm.errors import (
    BgpError,
    CeaseError,
    FsmError,
    HoldTimerExpired,
    RouteRefreshError,
    SendHoldTimerExpired,
)
from fsm.events import (
    AutomaticStart,
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
    AutomaticStartWithPassiveTcpEstablishment,
    AutomaticStop,
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    BgpOpenWithDelayOpenTimerRunning,
    ConnectRetryTimerExpires,
    DelayOpenTimerExpires,
    Event,
    HoldTimerExpires,
    IdleHoldTimerExpires,
    KeepAliveMsg,
    KeepaliveTimerExpires,
    ManualStart,
    ManualStartWithPassiveTcpEstablishment,
    ManualStop,
    NotifMsg,
    NotifMsgVerErr,
    OpenCollisionDump,
    RouteRefreshMsg,
    SendEvent,
    SendHoldTimerExpires,
    Side,
    StartEvent,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpConnectionValid,
    TcpCrAcked,
    TcpCrInvalid,
    UpdateMsg,
    UpdateMsgErr,
)
from fsm.machine import Machine
from fsm.messages import MessageType, Open
from fsm.negotiation import negotiate
from fsm.notifications import (
    Cease,
    Code,
    FsmSubcode,
    Notification,
    OpenSubcode,
    hard_reset,
    shutdown_communication,
)
from fsm.state import State
from fsm.timers import Timer, jittered

_MESSAGE_TYPES: dict[type[Event], MessageType] = {
    BgpOpen: MessageType.OPEN,
    BgpOpenWithDelayOpenTimerRunning: MessageType.OPEN,
    BgpOpenMsgErr: MessageType.OPEN,
    KeepAliveMsg: MessageType.KEEPALIVE,
    UpdateMsg: MessageType.UPDATE,
    UpdateMsgErr: MessageType.UPDATE,
    RouteRefreshMsg: MessageType.ROUTE_REFRESH,
}

_UNEXPECTED_IN = {
    State.OPEN_SENT: FsmSubcode.UNEXPECTED_MESSAGE_IN_OPEN_SENT,
    State.OPEN_CONFIRM: FsmSubcode.UNEXPECTED_MESSAGE_IN_OPEN_CONFIRM,
    State.ESTABLISHED: FsmSubcode.UNEXPECTED_MESSAGE_IN_ESTABLISHED,
}


class BgpFsm(Machine):
    """The rules of one connection: what each event means in each state."""

    def handle(self, event: Event, now: float, chance: float = 0.0) -> list[Effect]:
        """Let one event happen.

        Args:
            event: any event but `Tick`, which `expire` is for.
            now: monotonic seconds.
            chance: a number in [0, 1) for the jitter of whatever timer is started.

        Returns:
            What is to be done, in order.
        """
        self._effects, self._now, self._chance, self._reason = [], now, chance, None
        match self.state:
            case State.IDLE:
                new = self._idle(event)
            case State.CONNECT:
                new = self._connect(event)
            case State.ACTIVE:
                new = self._active(event)
            case State.OPEN_SENT:
                new = self._open_sent(event)
            case State.OPEN_CONFIRM:
                new = self._open_confirm(event)
            case State.ESTABLISHED:
                new = self._established(event)
        if new is not self.state:
            self._enter(new)
        return self._effects

    def expire(self, now: float, chance: float = 0.0) -> list[Effect]:
        """Let every timer that is due expire, each at most once, earliest first."""
        effects: list[Effect] = []
        for timer in self.timers.due(now):
            # An earlier expiry may have stopped or moved this one.
            if timer in self.timers.due(now):
                self.timers.stop(timer)
                effects += self.handle(self._expiry(timer), now, chance)
        return effects

    def _expiry(self, timer: Timer) -> Event:
        match timer:
            case Timer.CONNECT_RETRY:
                return ConnectRetryTimerExpires(self.side)
            case Timer.HOLD:
                return HoldTimerExpires(self.side)
            case Timer.KEEPALIVE:
                return KeepaliveTimerExpires(self.side)
            case Timer.DELAY_OPEN:
                return DelayOpenTimerExpires(self.side)
            case Timer.SEND_HOLD:
                return SendHoldTimerExpires(self.side)
            case Timer.IDLE_HOLD | Timer.BFD_HOLD_DOWN:  # the session's own
                return IdleHoldTimerExpires()

    # The states.

    def _idle(self, event: Event) -> State:
        match event:
            case ManualStart() | AutomaticStart():  # 1, 3
                self.connect_retry_counter = 0
                return self._begin()
            case (  # 4, 5
                ManualStartWithPassiveTcpEstablishment()
                | AutomaticStartWithPassiveTcpEstablishment()
            ):
                self.connect_retry_counter = 0
                return State.ACTIVE
            # The RFC leaves to us how oscillations are damped; the counter goes on.
            case AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment():  # 7
                return State.ACTIVE
            case StartEvent() | IdleHoldTimerExpires():  # 6, 13
                return self._begin()
            case _:  # 2, 8-12, 14-29
                return State.IDLE

    def _connect(self, event: Event) -> State:
        match event:
            case (
                StartEvent() | TcpConnectionValid() | TcpCrInvalid() | SendEvent()
            ):  # 1, 3-7, 14, 15
                return State.CONNECT
            case ManualStop():  # 2
                self.connect_retry_counter = 0
                return State.IDLE
            case ConnectRetryTimerExpires():  # 9
                self._dial_again()
                return State.CONNECT
            case DelayOpenTimerExpires() if self.is_connected:  # 12
                return State.OPEN_SENT
            case TcpCrAcked() | TcpConnectionConfirmed():  # 16, 17
                return self._connected()
            case TcpConnectionFails():  # 18
                # RFC: without a running DelayOpenTimer, change to Idle.
                # Ours: Active in both cases. A peer that is not there yet has done no wrong, so
                # the back-off of Idle is not for it; we listen, and the ConnectRetryTimer dials.
                return self._disconnected(event, State.ACTIVE)
            case BgpOpen() | BgpOpenWithDelayOpenTimerRunning():  # 19, 20
                return self._early_open(event.message, event)
            case AutomaticStop() | OpenCollisionDump():  # 8, 23: wanted, so no reason to tell
                self.connect_retry_counter += 1
                return State.IDLE
            case _:  # 10, 11, 13, 21, 22, 24-29
                return self._give_up(event)

    def _active(self, event: Event) -> State:
        match event:
            case (
                StartEvent() | TcpConnectionValid() | TcpCrInvalid() | SendEvent()
            ):  # 1, 3-7, 14, 15
                return State.ACTIVE
            case ManualStop():  # 2
                self.connect_retry_counter = 0
                return State.IDLE
            case ConnectRetryTimerExpires():  # 9
                return State.CONNECT if self.side is Side.OUTGOING else State.ACTIVE
            case DelayOpenTimerExpires() if self.is_connected:  # 12
                return State.OPEN_SENT
            case TcpCrAcked() | TcpConnectionConfirmed():  # 16, 17
                return self._connected()
            case TcpConnectionFails():  # 18
                self.connect_retry_counter += 1
                return self._disconnected(event, State.IDLE)
            case BgpOpen() | BgpOpenWithDelayOpenTimerRunning():  # 19, 20
                return self._early_open(event.message, event)
            case AutomaticStop() | OpenCollisionDump():  # 8, 23: wanted, so no reason to tell
                self.connect_retry_counter += 1
                return State.IDLE
            case _:  # 10, 11, 13, 21, 22, 24-29
                return self._give_up(event)

    def _open_sent(self, event: Event) -> State:
        match event:
            case (  # 1, 3-7, 14-17: a second connection is tracked by its own machine
                StartEvent()
                | TcpConnectionValid()
                | TcpCrInvalid()
                | TcpCrAcked()
                | TcpConnectionConfirmed()
                | SendEvent()
            ):
                return State.OPEN_SENT
            case ManualStop() | AutomaticStop() | OpenCollisionDump():  # 2, 8, 23
                return self._cease(event)
            case HoldTimerExpires():  # 10
                return self._fail(HoldTimerExpired(text=self._silence("no OPEN")))
            case TcpConnectionFails():  # 18
                return self._disconnected(event, State.ACTIVE)
            case BgpOpen():  # 19
                return self._agree(event.message)
            case BgpHeaderErr() | BgpOpenMsgErr():  # 21, 22
                return self._fail(event.error)
            case NotifMsg() | NotifMsgVerErr():  # 24, 25
                # RFC: 25 is among the unexpected events, to be answered by an FSM error.
                # Ours: a NOTIFICATION is never answered. §6.4 has no way to report an error in
                # one, and the peer has closed already.
                return self._told(event.message)
            case _:  # 9, 11-13, 20, 26-29
                return self._unexpected(event)

    def _open_confirm(self, event: Event) -> State:
        match event:
            case (  # 1, 3-7, 14-17
                StartEvent()
                | TcpConnectionValid()
                | TcpCrInvalid()
                | TcpCrAcked()
                | TcpConnectionConfirmed()
                | SendEvent()
            ):
                return State.OPEN_CONFIRM
            case ManualStop() | AutomaticStop() | OpenCollisionDump():  # 2, 8, 23
                return self._cease(event)
            case HoldTimerExpires():  # 10
                return self._fail(HoldTimerExpired(text=self._silence("no KEEPALIVE")))
            case KeepaliveTimerExpires():  # 11
                self._send_keepalive()
                return State.OPEN_CONFIRM
            case TcpConnectionFails():  # 18
                self.connect_retry_counter += 1
                return self._disconnected(event, State.IDLE)
            case NotifMsg() | NotifMsgVerErr():  # 24, 25
                return self._told(event.message)
            case BgpHeaderErr() | BgpOpenMsgErr():  # 21, 22
                return self._fail(event.error)
            case KeepAliveMsg():  # 26
                return State.ESTABLISHED
            case _:  # 9, 12, 13, 19, 20, 27-29; RFC 6608 §4 names OPEN and UPDATE
                # RFC: 19 detects a collision here. That is about the OPEN of the *other*
                # connection, which the session hears of; a second one on this is unexpected.
                return self._unexpected(event)

    def _established(self, event: Event) -> State:
        match event:
            case (  # 1, 3-7, 14-17
                StartEvent()
                | TcpConnectionValid()
                | TcpCrInvalid()
                | TcpCrAcked()
                | TcpConnectionConfirmed()
            ):
                return State.ESTABLISHED
            case ManualStop() | AutomaticStop() | OpenCollisionDump():  # 2, 8, 23
                return self._cease(event)
            case HoldTimerExpires():  # 10
                return self._fail(HoldTimerExpired(text=self._silence("no message")))
            case KeepaliveTimerExpires() | SendEvent():  # 11
                self._heed_sending(event)
                return State.ESTABLISHED
            case TcpConnectionFails():  # 18
                self.connect_retry_counter += 1
                return self._disconnected(event, State.IDLE)
            case NotifMsg() | NotifMsgVerErr():  # 24, 25
                return self._told(event.message)
            case KeepAliveMsg() | UpdateMsg() | RouteRefreshMsg():  # 26, 27
                self._restart_hold_timer()
                return State.ESTABLISHED
            case BgpHeaderErr() | UpdateMsgErr():  # 21, 28
                # RFC: 21 is among the unexpected events.
                # Ours: the error it carries, since §6.1 demands that one.
                return self._fail(event.error)
            case SendHoldTimerExpires():  # 29
                return self._fail(SendHoldTimerExpired(text="the peer does not read"))
            case _:  # 9, 12, 13, 19, 20, 22
                return self._unexpected(event)

    # What more than one case does.

    def _begin(self) -> State:
        return State.CONNECT if self.side is Side.OUTGOING else State.ACTIVE

    def _connected(self) -> State:
        """The connection is there: send the OPEN, or wait for the peer's first."""
        self.is_dialing, self.is_connected = False, True
        if not self._config.delay_open_time:
            return State.OPEN_SENT
        self.timers.stop(Timer.CONNECT_RETRY)
        delay = jittered(self._config.delay_open_time, self._chance)
        self.timers.start(Timer.DELAY_OPEN, delay, self._now)
        return self.state

    def _disconnected(self, event: TcpConnectionFails, new: State) -> State:
        self._reason = DownReason(DownKind.TCP, text=event.text)
        self.is_dialing = False
        return new

    def _early_open(self, message: Open, event: Event) -> State:
        """The peer's OPEN came before ours was due: answer with both OPEN and KEEPALIVE."""
        if not self.timers.is_running(Timer.DELAY_OPEN):
            return self._give_up(event)
        self._enter(State.OPEN_SENT)
        return self._agree(message)

    def _agree(self, message: Open) -> State:
        try:
            self.negotiated = negotiate(self.open_message, message, self._config)
        except BgpError as error:
            return self._fail(error)
        return State.OPEN_CONFIRM

    def _give_up(self, event: Event) -> State:
        """Drop a connection on which no OPEN was sent, without a word or with one."""
        self.connect_retry_counter += 1
        match event:
            case BgpHeaderErr() | BgpOpenMsgErr() if (  # SendNOTIFICATIONwithoutOPEN
                self.is_connected and self._config.notify_without_open
            ):
                return self._tell(event.error)
            case NotifMsg() | NotifMsgVerErr():
                if self.timers.is_running(Timer.DELAY_OPEN) and _is_version_error(event.message):
                    self.connect_retry_counter -= 1  # 24 in the delay is no failure
                self._reason = DownReason(DownKind.RECEIVED, event.message)
            case BgpHeaderErr() | BgpOpenMsgErr() | UpdateMsgErr():
                self._reason = DownReason(DownKind.DROPPED, text=str(event.error))
            case _:
                text = f"{type(event).__name__} in state {self.state}"
                self._reason = DownReason(DownKind.DROPPED, text=text)
        return State.IDLE

    def _cease(self, event: ManualStop | AutomaticStop | OpenCollisionDump) -> State:
        match event:
            case ManualStop():
                self.connect_retry_counter = 0
                data = shutdown_communication(event.message)
                return self._tell(self._ceasing(event.subcode, data, hard=event.hard))
            case AutomaticStop():
                return self._fail(
                    self._ceasing(event.subcode, event.data, hard=event.hard, text=event.text)
                )
            case OpenCollisionDump():
                return self._fail(CeaseError(Cease.CONNECTION_COLLISION_RESOLUTION))

    def _ceasing(self, subcode: int, data: bytes, *, hard: bool, text: str = "") -> CeaseError:
        """RFC 8538 §3: a Hard Reset is only for a peer that would restart gracefully otherwise."""
        if not (hard and self.negotiated and self.negotiated.restarts_on_notification):
            return CeaseError(subcode, data, text)
        wrapped = hard_reset(Notification(Code.CEASE, subcode, data))
        return CeaseError(wrapped.subcode, wrapped.data, text)

    def _unexpected(self, event: Event) -> State:
        """RFC 6608 §4: the subcode names the state, the data the type of the message."""
        kind = _MESSAGE_TYPES.get(type(event))
        if isinstance(event, UpdateMsgErr) and isinstance(event.error, RouteRefreshError):
            kind = MessageType.ROUTE_REFRESH
        text = f"{type(event).__name__} in state {self.state}"
        if kind is None:
            return self._fail(FsmError(text=text))
        return self._fail(FsmError(_UNEXPECTED_IN[self.state], bytes([kind]), text))

    def _fail(self, error: BgpError) -> State:
        self.connect_retry_counter += 1
        return self._tell(error)

    def _tell(self, error: BgpError) -> State:
        self._reason = DownReason(DownKind.SENT, error.notification, error.text)
        self._effects.append(Send(self.side, error.notification))
        return State.IDLE

    def _told(self, message: Notification) -> State:
        self._reason = DownReason(DownKind.RECEIVED, message)
        rejected = (Code.CEASE, Cease.CONNECTION_REJECTED)
        if self.state is State.OPEN_SENT and (message.code, message.subcode) == rejected:
            # RFC: Idle, as for any NOTIFICATION.
            # Ours: Active. A peer that sits out its own back-off refuses us so (RFC 4486 §4). If
            # both ends went to Idle on that, each would be refusing whenever the other dials, for
            # ever; one that listens is found.
            return State.ACTIVE
        if self.state is State.ESTABLISHED or not _is_version_error(message):
            self.connect_retry_counter += 1
        return State.IDLE


def _is_version_error(message: Notification) -> bool:
    """Whether it says that our version is not spoken there: event 24, even if told as 25."""
    said = (Code.OPEN_MESSAGE_ERROR, OpenSubcode.UNSUPPORTED_VERSION_NUMBER)
    return (message.code, message.subcode) == said
