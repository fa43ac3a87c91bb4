"""Routers in one process, joined over loopback addresses, for tests of the shell.

A `Town` is a port that is free on all loopback addresses, and the routers that live there, each at
an address of its own (127.0.0.1, 127.0.0.2 …); all are stopped when it ends, and a fault of theirs
that was logged fails the test. Plans come from resources, as in life, but with timers that let a
test be quick. `on_both_loops` runs a test on uvloop and on asyncio.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import pytest
import uvloop

from fsm.family import IPV4_UNICAST, Family
from policy.prefix import parse_prefix, show
from speaker.clock import Clock
from speaker.config.plan import Plan
from speaker.fib_sink import RouteSink
from speaker.net.transport import Transport
from speaker.peer import Peer
from speaker.speaker import Speaker
from tests.support import resources
from tests.support.scripted_peer import ScriptedPeer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}

AS = 64512
"""Of the routers, unless a test says something else."""

WITHIN = 15.0
"""Seconds after which a test gives up waiting."""

Document = Mapping[str, Any]
_Test = Callable[..., Coroutine[Any, Any, None]]


def on_loops(*names: str) -> Callable[[_Test], Callable[..., None]]:
    """Run an asynchronous test on the event loops of these names."""

    def decorate(test: _Test) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, loop: str, **kwargs: Any) -> None:
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                runner.run(test(*args, **kwargs))

        signature = inspect.signature(test)
        loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
        parameters = [*signature.parameters.values(), loop]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # what pytest reads
        decorated: Callable[..., None] = pytest.mark.parametrize("loop", names)(run)
        return decorated

    return decorate


on_both_loops = on_loops("uvloop", "asyncio")
on_uvloop = on_loops("uvloop")


def free_port() -> int:
    """Find a port that nobody uses on any address, below those that the system hands out."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as sock:
            try:
                sock.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def home(number: int) -> str:
    """Give a loopback address."""
    return f"127.0.0.{number}"


async def until(condition: Callable[[], object], seconds: float = WITHIN) -> None:
    """Wait until a condition holds; it is looked at every other millisecond."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - plain values ring no bell
            await asyncio.sleep(0.002)


class Sayings(logging.Handler):
    """Collects what is logged, by event."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, event: str) -> list[dict[str, Any]]:
        """Give the fields of all records of one event."""
        return [
            {**getattr(record, "fields", {}), "sentence": record.getMessage()}
            for record in self.records
            if getattr(record, "event", "") == event
        ]


class Town:
    """A port, addresses, and the routers that live there.

    Attributes:
        port: at which everybody listens.
        said: what the routers have logged.
        faulty: a test that provokes faults of ours sets this.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.said = Sayings()
        self.faulty = False
        self.routers: list[Speaker] = []
        self._faults: list[dict[str, Any]] = []
        self._peers: list[ScriptedPeer] = []

    async def __aenter__(self) -> Self:
        logger = logging.getLogger("wren")
        self._level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self.said)
        asyncio.get_running_loop().set_exception_handler(lambda _, what: self._faults.append(what))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for router in self.routers:
            await router.stop()
        for peer in self._peers:
            peer.close()
        # Let sockets that are being closed come to their end.
        await until(lambda: not any(peer.is_open for peer in self._peers))
        await asyncio.sleep(0)
        logger = logging.getLogger("wren")
        logger.removeHandler(self.said)
        logger.setLevel(self._level)
        if kind is None and not self.faulty:
            assert self.said.of("turn_failed") + self.said.of("peer_failed") == []
            assert self._faults == []

    # Resources.

    def settings(self, *, policy: str = "plain", networks: str = "", **spec: Any) -> Document:
        """Make the BGPConfiguration that most tests want: no mesh, our port, our AS."""
        annotations = {"wren.bgp/policy": policy}
        if networks:
            annotations["wren.bgp/networks"] = networks
        spec = {
            "asNumber": AS,
            "nodeToNodeMeshEnabled": False,
            "listenPort": self.port,
            "bindMode": "NodeIP",
            **spec,
        }
        return resources.settings(annotations=annotations, **spec)

    def peer(
        self, name: str, number: int, asn: int = AS, *, port: int | None = None, **spec: Any
    ) -> Document:
        """Make a BGPPeer for an address; extension keys of ours stand without their prefix."""
        keys = {f"wren.bgp/{key}": value for key, value in spec.pop("keys", {}).items()}
        where = f"{home(number)}:{self.port if port is None else port}"
        return resources.peer(name, peerIP=where, asNumber=asn, extensions=keys, **spec)

    def node(self, name: str, number: int, **more: Any) -> Document:
        """Make a Node at an address."""
        return resources.node(name, f"{home(number)}/8", **more)

    def plan(self, me: str, *documents: Document) -> Plan:
        """Resolve documents for a node, with timers that let a test be quick."""
        return quick(resources.plan(me, *documents))

    def plan_for_strangers(
        self,
        count: int = 1,
        *,
        asn: int | None = None,
        more: Iterable[Document] = (),
        settings: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> Plan:
        """Make the plan of router ``r1`` that waits for scripted peers.

        Args:
            count: how many; they live at `home` 11, 12 … and are named ``p11``, ``p12`` ….
            asn: of all of them; by default 65011, 65012 ….
            more: further documents.
            settings: for `settings`.
            keys: extension keys of all peers.
        """
        peers = [
            self.peer(
                f"p{number}",
                number,
                54000 + 11000 + number if asn is None else asn,
                node="r1",
                keys={"passive": "on", **(keys or {})},
            )
            for number in range(11, 11 + count)
        ]
        settled = self.settings(**(settings or {}))
        return self.plan("r1", settled, self.node("r1", 1), *peers, *more)

    # Routers and peers.

    async def run(
        self, plan: Plan, *, sink: RouteSink | None = None, clock: Clock | None = None
    ) -> Speaker:
        """Start a router; it is stopped with the town."""
        return await self.start(Speaker(plan, sink=sink, clock=clock))

    async def start(self, router: Speaker) -> Speaker:
        """Start a router that was made elsewhere."""
        self.routers.append(router)
        await router.start()
        return router

    async def run_for_strangers(self, count: int = 1, **options: Any) -> Speaker:
        """Start router ``r1`` that waits for scripted peers."""
        return await self.run(self.plan_for_strangers(count, **options))

    async def call(self, number: int = 11, **options: Any) -> ScriptedPeer:
        """Connect a scripted peer to ``r1``, without a word yet."""
        options.setdefault("asn", 65000 + number)
        peer = await ScriptedPeer.connect(home(1), self.port, source=home(number), **options)
        self._peers.append(peer)
        return peer

    async def join(self, number: int = 11, **options: Any) -> ScriptedPeer:
        """Connect a scripted peer to ``r1`` and establish the session."""
        said = {
            name: options.pop(name)
            for name in ("hold_time", "families", "refresh", "more")
            if name in options
        }
        peer = await self.call(number, **options)
        await peer.establish(**said)
        mine = [p for p in self.routers[0].peers.values() if p.plan.address == home(number)]
        await until(lambda: any(shell.is_established for shell in mine))
        return peer


def quick(plan: Plan) -> Plan:
    """Give a plan whose sessions try again at once."""
    peers = {
        name: replace(peer, connect_retry=0.3, idle_hold=(0.1, 0.2))
        for name, peer in plan.peers.items()
    }
    return replace(plan, peers=peers)


def peer_at(router: Speaker, number: int) -> Peer:
    """Find a router's peer by address."""
    [found] = [peer for peer in router.peers.values() if peer.plan.address == home(number)]
    return found


def transport_to(router: Speaker, number: int) -> Transport:
    """Find the connection of an Established session."""
    exchange = peer_at(router, number).exchange
    assert exchange is not None
    return exchange.transport


def narrow(router: Speaker, number: int) -> Transport:
    """Let the kernel hold little of what we write to a peer; give the connection."""
    transport = transport_to(router, number)
    assert transport.socket is not None
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return transport


def table_of(count: int, group: int = 0) -> list[str]:
    """Make so many different /24s."""
    return [f"{10 + group}.{n >> 8}.{n & 255}.0/24" for n in range(count)]


def fill(teller: ScriptedPeer, count: int, *, each: int = 1) -> None:
    """Announce many prefixes, ``each`` to an attribute set that takes much room on the wire."""
    prefixes = table_of(count)
    for n in range(0, count, each):
        communities = [(n & 0xFFFF, m) for m in range(50)]
        teller.announce(*prefixes[n : n + each], communities=communities)


def is_up(router: Speaker, *names: str) -> bool:
    """Tell whether sessions are Established; all of them where none is named."""
    return all(router.peers[name].is_established for name in names or router.peers)


def best(router: Speaker, family: Family = IPV4_UNICAST) -> dict[str, str]:
    """Give the best path of each prefix as the name of its source."""
    table = router.loc_ribs[family].best
    return {show(family.afi, nlri): path.source.name for nlri, path in table.items()}


def as_path(router: Speaker, prefix: str) -> tuple[int, ...]:
    """Give the AS numbers of the best path to a prefix."""
    afi, nlri = parse_prefix(prefix)
    [path] = [rib.best[nlri] for rib in router.loc_ribs.values() if rib.family.afi is afi]
    return path.attributes.as_sequence


def uptimes(router: Speaker) -> dict[str, float | None]:
    """Give the moment at which each session became Established."""
    return {name: peer.session.established_since for name, peer in router.peers.items()}
