"""Finite state machines: the protocol without the network.

This package is BGP as RFC 4271 §8 draws it, and nothing besides: no socket, no clock, no thread, no
random number, no byte of a message. One `Session` per configured peer takes events and the present
time, and answers with effects:

    session = Session(SessionConfig(local_asn=64512, peer_asn=64513, router_id=0x0A000001))
    for effect in session.handle(ManualStart(), now):
        ...  # Dial(), Send(side, Open(...)), Close(side), SessionUp(side, negotiated), ...
    # when `session.deadline` has come:
    session.handle(Tick(), now)

Reading order: `family`, `notifications`, `errors`, `messages` are the vocabulary; `config` and
`negotiation` say what is offered and what comes of it; `events`, `effects`, `state`, `timers` are
what the machines are made of; `bgp` is the machine of one connection, `session` joins two of them
for one peer and says what a shell owes them.

It can be used by itself: whoever has sockets of his own performs the effects. What a name not
listed in `__all__` does may change without notice.

Standards: RFC 4271, RFC 4486, RFC 4724, RFC 4760, RFC 5492, RFC 6286, RFC 6608, RFC 6793, RFC 7313,
RFC 7607, RFC 7911, RFC 8654, RFC 8950, RFC 9003, RFC 9687.
"""

from __future__ import annotations

from fsm.bgp import BgpFsm
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
    StateChanged,
)
from fsm.errors import (
    BgpError,
    CeaseError,
    FsmError,
    HoldTimerExpired,
    LocalError,
    MessageHeaderError,
    OpenMessageError,
    RouteRefreshError,
    SendHoldTimerExpired,
    SpeakerError,
    UpdateMessageError,
)
from fsm.events import (
    AutomaticStart,
    AutomaticStartWithDampPeerOscillations,
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
    AutomaticStartWithPassiveTcpEstablishment,
    AutomaticStop,
    BgpHeaderErr,
    BgpOpen,
    BgpOpenMsgErr,
    BgpOpenWithDelayOpenTimerRunning,
    ConnectionEvent,
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
    SendHoldTimerExpires,
    Side,
    StartEvent,
    TcpConnectionConfirmed,
    TcpConnectionFails,
    TcpConnectionValid,
    TcpCrAcked,
    TcpCrInvalid,
    Tick,
    UpdateMsg,
    UpdateMsgErr,
)
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from fsm.messages import (
    AS_TRANS,
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAs,
    GracefulRestart,
    Keepalive,
    Message,
    MessageType,
    Multiprotocol,
    Open,
    RefreshSubtype,
    RouteRefresh,
    RouteRefreshCapability,
    SendReceive,
    UnknownCapability,
)
from fsm.negotiation import Negotiated, negotiate
from fsm.notifications import (
    Cease,
    Code,
    FsmSubcode,
    HeaderSubcode,
    Notification,
    OpenSubcode,
    RefreshSubcode,
    UpdateSubcode,
    shutdown_communication,
)
from fsm.session import HistoryEntry, Session
from fsm.state import State
from fsm.timers import Timer, Timers, jittered

__all__ = [
    "AS_TRANS",
    "IPV4_UNICAST",
    "IPV6_UNICAST",
    "AddPath",
    "Afi",
    "AttemptFailed",
    "AutomaticStart",
    "AutomaticStartWithDampPeerOscillations",
    "AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment",
    "AutomaticStartWithPassiveTcpEstablishment",
    "AutomaticStop",
    "BgpError",
    "BgpFsm",
    "BgpHeaderErr",
    "BgpOpen",
    "BgpOpenMsgErr",
    "BgpOpenWithDelayOpenTimerRunning",
    "CancelDial",
    "Capability",
    "Cease",
    "CeaseError",
    "Close",
    "Code",
    "ConnectRetryTimerExpires",
    "ConnectionEvent",
    "DelayOpenTimerExpires",
    "Dial",
    "DownKind",
    "DownReason",
    "Effect",
    "EnhancedRouteRefresh",
    "Event",
    "ExtendedMessage",
    "ExtendedNextHop",
    "Family",
    "FourOctetAs",
    "FsmError",
    "FsmSubcode",
    "GracefulRestart",
    "HeaderSubcode",
    "HistoryEntry",
    "HoldTimerExpired",
    "HoldTimerExpires",
    "IdleHoldTimerExpires",
    "KeepAliveMsg",
    "Keepalive",
    "KeepaliveTimerExpires",
    "LocalError",
    "ManualStart",
    "ManualStartWithPassiveTcpEstablishment",
    "ManualStop",
    "Message",
    "MessageHeaderError",
    "MessageType",
    "Multiprotocol",
    "Negotiated",
    "NotifMsg",
    "NotifMsgVerErr",
    "Notification",
    "Open",
    "OpenCollisionDump",
    "OpenMessageError",
    "OpenSubcode",
    "RefreshSubcode",
    "RefreshSubtype",
    "RouteRefresh",
    "RouteRefreshCapability",
    "RouteRefreshError",
    "RouteRefreshMsg",
    "Safi",
    "Send",
    "SendHoldTimerExpired",
    "SendHoldTimerExpires",
    "SendReceive",
    "Session",
    "SessionConfig",
    "SessionDown",
    "SessionUp",
    "Side",
    "SpeakerError",
    "StartEvent",
    "State",
    "StateChanged",
    "TcpConnectionConfirmed",
    "TcpConnectionFails",
    "TcpConnectionValid",
    "TcpCrAcked",
    "TcpCrInvalid",
    "Tick",
    "Timer",
    "Timers",
    "UnknownCapability",
    "UpdateMessageError",
    "UpdateMsg",
    "UpdateMsgErr",
    "UpdateSubcode",
    "jittered",
    "negotiate",
    "shutdown_communication",
]
