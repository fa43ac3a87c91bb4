from __future__ import annotations

import pytest

from fsm import errors
from fsm.notifications import Code, Notification, OpenSubcode


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.MessageHeaderError, Code.MESSAGE_HEADER_ERROR),
        (errors.OpenMessageError, Code.OPEN_MESSAGE_ERROR),
        (errors.UpdateMessageError, Code.UPDATE_MESSAGE_ERROR),
        (errors.HoldTimerExpired, Code.HOLD_TIMER_EXPIRED),
        (errors.FsmError, Code.FINITE_STATE_MACHINE_ERROR),
        (errors.CeaseError, Code.CEASE),
        (errors.RouteRefreshError, Code.ROUTE_REFRESH_MESSAGE_ERROR),
        (errors.SendHoldTimerExpired, Code.SEND_HOLD_TIMER_EXPIRED),
    ],
)
def test_the_class_carries_the_code_and_the_instance_the_rest(
    kind: type[errors.BgpError], code: Code
) -> None:
    error = kind(3, b"\x05")
    assert error.notification == Notification(code, 3, b"\x05")
    assert isinstance(error, errors.SpeakerError)


def test_an_error_says_the_notification_and_what_happened() -> None:
    error = errors.OpenMessageError(OpenSubcode.BAD_PEER_AS, text="it is AS 7")
    assert str(error) == "OPEN Message Error/Bad Peer AS: it is AS 7"
    assert str(errors.HoldTimerExpired()) == "Hold Timer Expired"


def test_an_error_of_ours_is_none_of_the_peers() -> None:
    assert issubclass(errors.LocalError, errors.SpeakerError)
    assert not issubclass(errors.LocalError, errors.BgpError)
