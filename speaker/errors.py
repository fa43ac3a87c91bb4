"""Errors of the router's rooms above the wire; the tree of `fsm.errors` goes on here.

    SpeakerError
    ├── BgpError, LocalError        fsm.errors
    ├── ConfigError                 a resource or an option that cannot be used
    ├── TransportError              a socket that cannot be had
    └── KernelError                 netlink refuses, or is not there

Each carries a ``hint``: what the person who reads it can do. `str` is one line.
"""

from __future__ import annotations

from fsm.errors import BgpError, LocalError, SpeakerError


class HintedError(SpeakerError):
    """An error that says what to do.

    Args:
        message: what happened, to what, and why.
        hint: what to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(HintedError):
    """A resource or an option that cannot be used.

    Args:
        message: what is wrong.
        hint: what to do about it.
        source: the resource or file.
        path: the field, ``spec.peerIP``.
    """

    def __init__(self, message: str, hint: str = "", *, source: str = "", path: str = "") -> None:
        super().__init__(message, hint)
        self.source = source
        self.path = path


class TransportError(HintedError):
    """A socket that cannot be had."""


class KernelError(HintedError):
    """Netlink refuses, or is not there."""


__all__ = [
    "BgpError",
    "ConfigError",
    "HintedError",
    "KernelError",
    "LocalError",
    "SpeakerError",
    "TransportError",
]
