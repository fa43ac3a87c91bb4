"""Errors of the shell: configuration, transports, the kernel.

They stand beside the protocol's errors (`fsm.errors`) under the one root, `SpeakerError`, so that
one `except` is enough for an embedder. None of them is ever told to a peer.
"""

from __future__ import annotations

from fsm.errors import SpeakerError


class ConfigError(SpeakerError):
    """The resources, or what was asked of them, make no working speaker.

    Args:
        message: one line that says what to do.
        source: the file or resource to blame, empty when there is none.
        path: the field, empty when there is none.
    """

    def __init__(self, message: str, *, source: str = "", path: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.path = path
