"""Each end of a session does to routes what the manual's table says."""

from __future__ import annotations

import pytest

from fsm.capabilities import GracefulRestart, tlv
from fsm.ends import ENDS, Agreement, Consequence, End, consequence
from fsm.events import ConnectionEvent, Event, NotifMsg, TcpConnectionFails
from fsm.family import IPV4_UNICAST
from tests.support.routers import Town, best, on_uvloop, peer_at, until
from tests.support.scripted_peer import notification

ROUTE = "10.1.0.0/16"


def offer(agreement: Agreement) -> bytes:
    if agreement is Agreement.NOTHING:
        return b""
    notified = agreement is Agreement.NOTIFICATION
    return tlv(GracefulRestart(False, notified, 60, ((IPV4_UNICAST, True),)))


@pytest.mark.parametrize("agreement", Agreement, ids=lambda each: each.name.lower())
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.cause)
@on_uvloop
async def test_the_end(end: End, agreement: Agreement) -> None:
    async with Town() as town:
        router = await town.run_for_strangers()
        peer = await town.join(more=offer(agreement))
        peer.announce(ROUTE)
        await until(lambda: best(router))
        shell = peer_at(router, 11)
        match end.event:
            case NotifMsg(message=said):
                peer.send(notification(said.code, said.subcode, said.data))
            case TcpConnectionFails():
                peer.reset()
            case event:
                [connection] = shell.connections
                shell.handle(on_side(event, connection.side))
        await until(lambda: not shell.is_established)
        await until(lambda: router.is_idle)
        stays = consequence(end, agreement) is Consequence.STAY
        assert bool(best(router)) == stays


def on_side(event: Event, side: object) -> Event:
    """Give an event as it is on the connection that the session has."""
    if not isinstance(event, ConnectionEvent):
        return event
    fields = {name: getattr(event, name) for name in event.__slots__}
    return type(event)(**{**fields, "side": side})
