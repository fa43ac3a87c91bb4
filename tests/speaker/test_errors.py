"""Errors that say what to do, in one line."""

from __future__ import annotations

import pytest

from speaker import errors
from speaker.errors import ConfigError, HintedError, KernelError, SpeakerError, TransportError


@pytest.mark.parametrize("kind", [ConfigError, TransportError, KernelError])
def test_message_and_hint_are_one_sentence(kind: type[HintedError]) -> None:
    error = kind("the port is taken", "stop the other one")
    assert str(error) == "the port is taken; stop the other one"
    assert (error.message, error.hint) == ("the port is taken", "stop the other one")
    assert str(kind("it is so")) == "it is so"
    assert isinstance(error, SpeakerError)


def test_a_config_error_knows_where_it_stands() -> None:
    error = ConfigError("no", source="BGPPeer/a", path="spec.peerIP")
    assert (error.source, error.path) == ("BGPPeer/a", "spec.peerIP")


def test_the_tree_is_whole() -> None:
    found = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(error, SpeakerError) for error in found)
