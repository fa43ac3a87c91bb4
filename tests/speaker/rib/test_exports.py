"""Export groups are found by key, made for the first member and dropped with the last."""

from __future__ import annotations

from dataclasses import replace

from fsm.family import IPV4_UNICAST
from policy.outbound import GroupKey
from policy.path import PeerType
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import Member
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from tests.support.routes import address, nlri, peer, route

KEY = GroupKey(
    family=IPV4_UNICAST,
    peer_type=PeerType.EXTERNAL,
    local_asn=65000,
    local_address=address("192.0.2.254"),
    router_id=0x0A0000FE,
)


def member(number: int) -> Member:
    at = f"192.0.2.{number}"
    return Member(peer(name=f"peer-{number}", at=at), address(at))


def test_alike_members_share_a_group_and_the_last_one_takes_it_along() -> None:
    exports = Exports({IPV4_UNICAST: LocRib(IPV4_UNICAST)}, lambda _: None)
    one, two, three = member(1), member(2), member(3)
    group = exports.join(KEY, one)
    assert exports.join(replace(KEY), two) is group
    other = exports.join(replace(KEY, local_asn=65009), three)
    assert other is not group
    assert list(exports) == [group, other]
    exports.leave(group, one)
    assert len(exports) == 2
    exports.leave(group, two)
    assert list(exports) == [other]


def test_a_change_reaches_every_group_of_its_family() -> None:
    rib = LocRib(IPV4_UNICAST)
    woken: list[Member] = []
    exports = Exports({IPV4_UNICAST: rib}, woken.append)
    members = [member(1), member(2)]
    for number, each in enumerate(members):
        group = exports.join(replace(KEY, local_asn=65000 + number), each)
        group.pull(each)
    table = AdjRibIn(peer(name="teller", at="192.0.2.9"), IPV4_UNICAST, rib)
    table.announce(route(table.source), [nlri("10.1.0.0/16")])
    exports.apply(rib.take())
    assert woken == members
    assert all(len(group.table) == 1 for group in exports)
