"""What the two halves of BFD say to each other."""

from __future__ import annotations

import pytest

from fsm.bfd import Authentication, AuthType, Settings
from speaker.bfd.words import Watch, decode_line, encode_line, watch_as_json, watch_of

AUTH = Authentication(AuthType.KEYED_SHA1, {1: b"a\0b", 255: b"c"}, 255)


@pytest.mark.parametrize(
    "watch",
    [
        Watch("a", "10.0.0.2"),
        Watch("a", "fe80::2", "fe80::1", "eth0", settings=Settings(10_000, 20_000, 4, 60_000_000)),
        Watch("a", "10.0.0.2", None, None, True, 250, Settings(authentication=AUTH)),
    ],
)
def test_a_session_survives_the_way(watch: Watch) -> None:
    line = encode_line("watch", session=watch_as_json(watch))
    assert line.count(b"\n") == 1
    assert watch_of(decode_line(line)["session"]) == watch


def test_keys_do_not_show() -> None:
    assert "a\0b" not in repr(Watch("a", "10.0.0.2", settings=Settings(authentication=AUTH)))
