"""The error tree: who did wrong, and what the peer must be told.

`SpeakerError` is the root of everything this project raises on purpose, so that one `except` is
enough for an embedder. Below it stand two kinds of blame:

- `BgpError`: the peer broke the protocol, or the session must end. The *class* carries the error
  code, the instance the subcode and data, and `notification` is the message to send. One
  `except BgpError` in the shell turns any of them into an event.
- `LocalError`: the caller asked for what cannot be. It is never told to a peer.

The errors of configuration, transports and the kernel have the same root, one floor up.

Standards: RFC 4271 §6, RFC 6608 §3, RFC 4486 §3, RFC 7313 §5.
"""

from __future__ import annotations

from typing import ClassVar

from fsm.notifications import Code, Notification


class SpeakerError(Exception):
    """The root of all errors of this project."""


class LocalError(SpeakerError):
    """The caller asked for the impossible; the peer is not to blame."""


class BgpError(SpeakerError):
    """An error that ends the session by a NOTIFICATION.

    Args:
        subcode: the subcode within the class's code, 0 for *unspecific*.
        data: the NOTIFICATION's data field.
        text: what happened, for people; it is not sent.
    """

    code: ClassVar[Code]

    def __init__(self, subcode: int = 0, data: bytes = b"", text: str = "") -> None:
        super().__init__(subcode, data, text)
        self.subcode = subcode
        self.data = data
        self.text = text

    def __str__(self) -> str:
        return f"{self.notification}: {self.text}" if self.text else str(self.notification)

    @property
    def notification(self) -> Notification:
        """The message that tells the peer."""
        return Notification(self.code, self.subcode, self.data)


class MessageHeaderError(BgpError):
    """A message whose header cannot be right. RFC 4271 §6.1."""

    code = Code.MESSAGE_HEADER_ERROR


class OpenMessageError(BgpError):
    """An OPEN that is malformed or that we cannot agree to. RFC 4271 §6.2."""

    code = Code.OPEN_MESSAGE_ERROR


class UpdateMessageError(BgpError):
    """An UPDATE so wrong that the session must be reset. RFC 4271 §6.3, RFC 7606 §3."""

    code = Code.UPDATE_MESSAGE_ERROR


class HoldTimerExpired(BgpError):  # noqa: N818 - the RFC's name of the error
    """The peer was silent for the whole hold time. RFC 4271 §6.5."""

    code = Code.HOLD_TIMER_EXPIRED


class FsmError(BgpError):
    """A message or event that the present state does not allow. RFC 4271 §6.6, RFC 6608 §3."""

    code = Code.FINITE_STATE_MACHINE_ERROR


class CeaseError(BgpError):
    """The session ends although the peer did nothing wrong. RFC 4271 §6.7, RFC 4486 §3."""

    code = Code.CEASE


class RouteRefreshError(BgpError):
    """A ROUTE-REFRESH of a wrong length. RFC 7313 §5."""

    code = Code.ROUTE_REFRESH_MESSAGE_ERROR


class SendHoldTimerExpired(BgpError):  # noqa: N818 - the RFC's name of the error
    """The peer read nothing for the whole send hold time. RFC 9687 §4."""

    code = Code.SEND_HOLD_TIMER_EXPIRED
