"""From a cache's octets to the validity of routes."""

from __future__ import annotations

from random import Random

from benchmarks.stops.conftest import Measure
from fsm.family import Afi
from policy.prefix import Nlri, pack
from policy.vrps import Covered, Vrp, Vrps, VrpTable
from speaker.rpki.client import Client
from speaker.rpki.intervals import Intervals, Wishes
from speaker.rpki.pdus import CacheResponse, EndOfData, Pdu, PrefixPdu, encode

NUMBER = 100_000
PIECE = 16 * 1024
LENGTHS, SHARES = range(12, 25), (1, 1, 2, 2, 6, 3, 5, 8, 12, 14, 18, 16, 60)
"""Of VRPs, about as they are in the world."""


def _vrps() -> list[Vrp]:
    chance = Random(1)
    return list(
        dict.fromkeys(
            Vrp(Afi.IPV4, _prefix(chance, length), 24, chance.randrange(1, 60_000))
            for length in chance.choices(LENGTHS, SHARES, k=NUMBER)
        )
    )


def _prefix(chance: Random, length: int) -> Nlri:
    return pack(Afi.IPV4, chance.randbytes(4), length)


def _known() -> Vrps:
    vrps, table = Vrps(Afi.IPV4), VrpTable(Afi.IPV4)
    for vrp in _vrps():
        table.add(vrp.nlri, vrp.max_length, vrp.asn)
    vrps.put("cache", table)
    return vrps


def bench_read_vrps(measure: Measure) -> None:
    """An answer to a Reset Query, as it is read."""
    vrps = _vrps()
    pdus: list[Pdu] = [CacheResponse(1), *(PrefixPdu(True, *vrp) for vrp in vrps)]
    octets = b"".join(encode(pdu, 1) for pdu in (*pdus, EndOfData(1, 1, Intervals(1, 1, 600))))
    pieces = [octets[at : at + PIECE] for at in range(0, len(octets), PIECE)]

    def setup() -> Client:
        client = Client(Wishes())
        client.start()
        client.connected(0.0)
        return client

    def work(client: Client) -> None:
        for piece in pieces:
            client.received(piece, 0.0)

    measure(len(vrps), "VRP", work, setup)


def bench_validate(measure: Measure) -> None:
    """Routes of which half are Valid, and most others Invalid."""
    vrps, chance = _known(), Random(2)
    routes = [(vrp.nlri, vrp.asn) for vrp in chance.sample(_vrps(), 10_000)]
    routes += [(_prefix(chance, 24), 1) for _ in routes]

    def work(_: None) -> None:
        for nlri, origin in routes:
            vrps.validate(nlri, origin)

    measure(len(routes), "prefix", work, lambda: None)


def bench_covered(measure: Measure) -> None:
    """Which of many routes some VRPs are about that have changed."""
    chance = Random(3)
    changed = [vrp.nlri for vrp in chance.sample(_vrps(), 100)]
    nlris = [_prefix(chance, 24) for _ in range(NUMBER)]
    measure(NUMBER, "prefix", Covered(Afi.IPV4, changed).among, lambda: nlris)
