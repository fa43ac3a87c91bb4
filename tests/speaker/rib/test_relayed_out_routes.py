"""Whatever happens, each member holds what the table says, with the labels that it says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.family import NAMES, Family
from policy.outbound import GroupKey
from policy.path import PeerType, RelayedPath, Source, SourceKind
from policy.prefix import Nlri
from speaker.rib.export_group import ExportGroup
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from tests.support.builders import OUR_AS, Session, body
from tests.support.relayed import LABEL, OTHER_LABEL, mac_ip, reach, unreach, vpn
from tests.support.scripted_peer import path_attributes

VPN4, EVPN = NAMES["ipv4-vpn"], NAMES["l2vpn-evpn"]
LABELS = [LABEL, OTHER_LABEL, b"\x00\x12\xc1"]
ROUTES = range(6)


def nlri(family: Family, number: int, label: bytes) -> bytes:
    """Write one of a few routes."""
    if family == VPN4:
        return vpn(b"\x18\x0a\1" + bytes((number,)), label)
    return mac_ip(label, mac=b"\2\0\0\0\0" + bytes((number,)))


def client(number: int) -> Source:
    return Source(
        f"client-{number}",
        SourceKind.BGP,
        peer_type=PeerType.INTERNAL,
        address=bytes((192, 0, 2, number)),
        router_id=0x0A000000 + number,
        asn=OUR_AS,
        is_client=True,
    )


class Neighbour:
    """A client: what it tells, its place in the group, and what it has heard."""

    def __init__(self, number: int, family: Family, ribs: dict[Family, LocRib]) -> None:
        self.family = family
        self.told = Session(client(number), ribs=ribs)
        self.member = Member(self.told.source, self.told.source.address)
        self.heard = Session(client(100), families=(family,))

    def tell(self, number: int, label: bytes, local_pref: int) -> None:
        next_hop = bytes(8 if self.family == VPN4 else 0) + b"\x0a\0\0\1"
        attributes = path_attributes((), local_pref=local_pref)
        block = nlri(self.family, number, label)
        self.told.inbound.learn(body(b"", reach(self.family, block, next_hop) + attributes))

    def untell(self, number: int, label: bytes) -> None:
        block = nlri(self.family, number, label)
        self.told.inbound.learn(body(b"", unreach(self.family, block)))

    def hear(self, messages: list[bytes]) -> None:
        for message in messages:
            assert len(message) <= 4096
            self.heard.inbound.learn(message[19:])

    def flush(self) -> None:
        messages, self.member.queue = self.member.queue, []
        self.hear(messages)

    def settle(self, group: ExportGroup) -> None:
        self.flush()
        while not self.member.in_step:
            self.hear(group.pull(self.member, 3))

    @property
    def holds(self) -> dict[Nlri, bytes]:
        return {key: _rest(path) for key, path in self.heard.held(self.family).items()}


def _rest(path: object) -> bytes:
    assert isinstance(path, RelayedPath)
    return path.rest


EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("tell"),
            st.integers(0, 2),
            st.sampled_from(ROUTES),
            st.sampled_from(LABELS),
            st.sampled_from((100, 100, 200)),
        ),
        st.tuples(
            st.just("untell"),
            st.integers(0, 2),
            st.sampled_from(ROUTES),
            st.sampled_from(LABELS),
            st.just(0),
        ),
        st.tuples(
            st.sampled_from(("turn", "slow", "pull", "refresh")),
            st.integers(0, 2),
            st.just(0),
            st.just(b""),
            st.just(0),
        ),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from((VPN4, EVPN)), EVENTS)
def test_members_hold_what_is_best_with_its_labels(
    family: Family, events: list[tuple[str, int, int, bytes, int]]
) -> None:
    ribs = {family: LocRib(family)}
    everybody = [Neighbour(number, family, ribs) for number in (1, 2, 3)]
    exports = Exports(ribs, lambda _: None)
    key = GroupKey(family, PeerType.INTERNAL, OUR_AS, b"", router_id=0x0A0000FE, is_client=True)
    group, *_ = [exports.join(key, each.member) for each in everybody]
    for what, who, number, label, local_pref in events:
        one = everybody[who]
        match what:
            case "tell":
                one.tell(number, label, local_pref)
            case "untell":
                one.untell(number, label)
            case "turn":
                exports.apply(ribs[family].take())
            case "slow":
                one.flush()
                group.fall_behind(one.member)
            case "pull":
                one.flush()
                one.hear(group.pull(one.member, 2))
            case "refresh":
                one.flush()
                group.refresh(one.member)
    exports.apply(ribs[family].take())
    for each in everybody:
        each.settle(group)
        best = ribs[family].best.items()
        assert each.holds == {
            key: _rest(path) for key, path in best if path.source is not each.told.source
        }
