"""pyroute2 is the referee: what we stamp is what it would have encoded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import Afi
from policy.path import Hop
from policy.prefix import WIDTH, Nlri, pack
from speaker.kernel.messages import RouteReader, messages
from speaker.kernel.routes import Forwarding, Forwardings, normal
from speaker.kernel.stamps import Stamp, Stamps, Verb, encode
from speaker.rib.underlay import RouteKind

afis = st.sampled_from([Afi.IPV4, Afi.IPV6])


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def prefixes(afi: Afi) -> st.SearchStrategy[Nlri]:
    width = WIDTH[afi]
    return st.builds(pack, st.just(afi), octets(width >> 3), st.integers(0, width))


def hops(afi: Afi) -> st.SearchStrategy[Hop]:
    gateways = st.just(b"") | octets(16)
    if afi is Afi.IPV4:
        gateways = gateways | octets(4)
    return st.builds(Hop, st.integers(1, 2**31 - 1), gateways, st.just(""), st.integers(1, 256))


def forwardings(afi: Afi) -> st.SearchStrategy[Forwarding]:
    unicast = st.builds(
        Forwarding,
        st.just(RouteKind.UNICAST),
        st.lists(hops(afi), min_size=1, max_size=5).map(tuple),
        st.integers(0, 2**32 - 1),
        st.booleans(),
    )
    named = st.builds(
        Forwarding,
        metric=st.integers(0, 2**32 - 1),
        nexthop=st.integers(1, 2**32 - 1),
    )
    other = st.builds(
        Forwarding,
        st.sampled_from([RouteKind.BLACKHOLE, RouteKind.UNREACHABLE]),
        st.just(()),
        st.integers(0, 2**32 - 1),
    )
    return unicast | named | other


cases = afis.flatmap(
    lambda afi: st.tuples(
        st.just(afi),
        st.sampled_from(list(Verb)),
        forwardings(afi),
        st.lists(prefixes(afi), min_size=1, max_size=20),
        st.sampled_from([1, 254, 255, 256, 100_000]),
        st.integers(1, 255),
    )
)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_each_stamped_message_is_what_pyroute2_encodes(
    case: tuple[Afi, Verb, Forwarding, list[Nlri], int, int],
) -> None:
    afi, verb, forwarding, nlris, table, protocol = case
    stamped = Stamps(table, protocol).get(verb, afi, forwarding).ink(nlris)
    expected = [
        encode(verb, afi, nlri, forwarding, table=table, protocol=protocol, sequence=n)
        for n, nlri in enumerate(nlris)
    ]
    assert stamped == b"".join(expected)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_what_is_stamped_is_read_back(
    case: tuple[Afi, Verb, Forwarding, list[Nlri], int, int],
) -> None:
    afi, _, forwarding, nlris, table, protocol = case
    data = bytes(Stamps(table, protocol).get(Verb.ADD, afi, forwarding).ink(nlris))
    reader = RouteReader(Forwardings())
    for nlri, message in zip(nlris, messages(data), strict=True):
        read = reader.read(data, message.start, message.end)
        assert read is not None
        assert (nlri, afi, table, protocol) == (
            read[0],
            read[1].afi,
            read[1].table,
            read[1].protocol,
        )
        gatewayless = not any(hop.gateway for hop in forwarding.hops)
        expected = normal(afi, forwarding)
        got = read[1].forwarding
        assert (expected.kind, expected.hops, expected.metric) == (got.kind, got.hops, got.metric)
        assert expected.nexthop == got.nexthop == read[1].nexthop
        # Taking gateways as neighbours has a meaning only where there is one.
        assert got.onlink == (forwarding.onlink and not gatewayless)


def test_a_stamp_is_made_once() -> None:
    stamps = Stamps(254, 12)
    one = stamps.get(Verb.ADD, Afi.IPV4, Forwarding(hops=(Hop(2, b"\x0a\0\0\1"),)))
    same = stamps.get(Verb.ADD, Afi.IPV4, Forwarding(hops=(Hop(2, b"\x0a\0\0\1"),)))
    assert isinstance(one, Stamp)
    assert one is same
