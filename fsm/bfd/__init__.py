"""Bidirectional Forwarding Detection without sockets and clocks.

`packet` is the control packet as a value and as octets, `authentication` what stands behind its A
bit, `settings` what an operator sets, and `session` the machine of RFC 5880 §6.8. A packet is 24
octets of fixed places, so they are read and written here. Time and chance are arguments; whoever
owns the sockets sends what a machine returns:

    session = BfdSession(Settings(), discriminator=7)
    for effect in session.tick(now, random()):
        ...  # Send(octets), Moved(old, new, diagnostic)
    # when `session.deadline` has come, `tick` again; when a packet for it came, `received`

Nearly all packets of a session that is Up are the same. `BfdSession.steady`, `heard_again` and
`send_again` are a short way for those; they do what the long one does.

Standards: RFC 5880.
"""

from __future__ import annotations

from fsm.bfd.authentication import Authentication, AuthType
from fsm.bfd.packet import BfdState, ControlPacket, Diagnostic, Discard
from fsm.bfd.session import BfdSession, Moved, Send
from fsm.bfd.settings import Settings

__all__ = [
    "AuthType",
    "Authentication",
    "BfdSession",
    "BfdState",
    "ControlPacket",
    "Diagnostic",
    "Discard",
    "Moved",
    "Send",
    "Settings",
]
