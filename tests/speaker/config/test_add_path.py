"""The key that says which way several paths may travel."""

from __future__ import annotations

import pytest

from speaker.config.add_path import AddPathMode, parse_add_path
from speaker.config.scalars import ScalarError


@pytest.mark.parametrize("text", ["off", "receive", "send", "both", "send 2", "both 4"])
def test_what_is_shown_is_what_is_read(text: str) -> None:
    assert str(parse_add_path(text)) == text


@pytest.mark.parametrize(
    ("mode", "receives", "sends"),
    [
        (AddPathMode.OFF, False, False),
        (AddPathMode.RECEIVE, True, False),
        (AddPathMode.SEND, False, True),
        (AddPathMode.BOTH, True, True),
    ],
)
def test_a_mode_is_one_way_or_both(mode: AddPathMode, receives: bool, sends: bool) -> None:
    assert (mode.receives, mode.sends) == (receives, sends)


@pytest.mark.parametrize("text", ["", "sometimes", "off 2", "receive 1", "send 0", "send 65536"])
def test_what_could_not_be_done_is_refused(text: str) -> None:
    with pytest.raises(ScalarError):
        parse_add_path(text)
