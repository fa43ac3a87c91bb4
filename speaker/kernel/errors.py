"""What goes wrong between us and the kernel as a whole.

A single route that the kernel refuses is not an error but an event, `RoutesRefused`.
"""

from __future__ import annotations

from fsm.errors import SpeakerError


class KernelError(SpeakerError):
    """The kernel cannot be used: the text says why and what to do, in one line."""
