"""By what a session is signed, as it is told: names and numbers of keys, never the keys."""

from __future__ import annotations

from speaker.config.secrets import Secret
from speaker.control.views import PasswordView, TcpAoView
from speaker.net.tcp_ao import signing
from speaker.peer import Peer


def password_view(peer: Peer) -> PasswordView:
    """Say which password is in use, without a word of the passwords themselves."""
    wanted = peer.plan.password
    used = None if peer.exchange is None else peer.exchange.transport.password
    return {
        "configured": wanted is not None,
        "inUseSince": None if used is None else peer.state_since,
        "changes": peer.exchange is not None and used != wanted,
        "secret": (used or wanted or Secret(b"")).source,
    }


def tcp_ao_view(peer: Peer) -> TcpAoView | None:
    """Say by which keys a session is signed; None where it has none and is to have none."""
    wanted = peer.plan.tcp_ao
    transport = None if peer.exchange is None else peer.exchange.transport
    used = () if transport is None else transport.keys
    if not wanted and not used:
        return None
    sock = None if transport is None else transport.socket
    now = None if sock is None or not used else signing(sock)
    return {
        "keys": [
            {
                "sendID": key.send_id,
                "receiveID": key.receive_id,
                "algorithm": key.algorithm.value,
                "secret": key.octets.source,
            }
            for key in wanted
        ],
        "signsBy": None if now is None else now.current,
        "asksFor": None if now is None else now.asked,
        "bad": 0 if now is None else now.bad,
        "changes": transport is not None and set(used) != set(wanted),
    }
