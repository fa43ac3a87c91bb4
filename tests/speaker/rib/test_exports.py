"""Export groups are found by key, made for the first member and dropped with the last."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.filters import Filter
from policy.outbound import ALL_PATHS, GroupKey
from policy.path import Path, PeerType
from policy.prefix import ID_LENGTH, Nlri
from policy.rules import Action, Rule
from policy.vrps import Covered, Validity, Vrps, VrpTable
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import ExportGroup
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from tests.support.builders import few_prefixes, peers
from tests.support.routes import address, nlri, peer, route

KEY = GroupKey(
    family=IPV4_UNICAST,
    peer_type=PeerType.EXTERNAL,
    local_asn=65000,
    local_address=address("192.0.2.254"),
    router_id=0x0A0000FE,
)


PREFIXES = few_prefixes(4)


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


@example(
    steps=[
        ("tell", PREFIXES[:1]),
        ("toggle", []),
        ("read", []),
        ("toggle", []),
        ("tell", PREFIXES[1:2]),
    ],
    add_path=False,
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["tell", "tell another", "withdraw", "toggle", "read", "follow"]),
            st.lists(st.sampled_from(PREFIXES), min_size=1, unique=True),
        ),
        max_size=20,
    ),
    add_path=st.booleans(),
)
def test_who_may_be_heard_is_judged_anew_in_slices(
    steps: list[tuple[str, list[Nlri]]], add_path: bool
) -> None:
    """Whether routes are reflected depends on the peer that told them (RFC 4456 §6)."""
    key = replace(KEY, peer_type=PeerType.INTERNAL, add_path=ALL_PATHS if add_path else 0)
    rib = LocRib(IPV4_UNICAST)
    exports = Exports({IPV4_UNICAST: rib}, lambda _: None)
    group = exports.join(key, member(1))
    inside, outside = peers(2, internal=1)
    tables = [AdjRibIn(source, IPV4_UNICAST, rib) for source in (inside, outside)]
    paths = [route(source) for source in (inside, outside)]
    for what, nlris in [*steps, ("follow", [])]:
        if what == "tell":
            tables[0].announce(paths[0], nlris)
        elif what == "tell another":
            tables[1].announce(paths[1], nlris)
        elif what == "withdraw":
            tables[0].withdraw(nlris)
        elif what == "toggle":
            inside.is_client = not inside.is_client
            exports.reconsider(tables[0])
        elif what == "read":
            exports.read_on(1)
        else:
            exports.apply(rib.take())
    before = dict(group.table)
    while exports.read_on(2):
        pass
    anew = type(group)(IPV4_UNICAST, key, rib)
    while anew.is_unread:
        anew.read_on(2)
    assert heard(group) == heard(anew)
    for key_of, out in before.items():
        # What may be heard as before is the very same.
        assert out.path is paths[0] or group.table[key_of] is out


@example(
    steps=[("tell", PREFIXES[:1]), ("follow", []), ("say", PREFIXES[:1]), ("read", [])],
    add_path=True,
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["tell", "tell another", "withdraw", "say", "read", "follow"]),
            st.lists(st.sampled_from(PREFIXES), min_size=1, unique=True),
        ),
        max_size=20,
    ),
    add_path=st.booleans(),
)
def test_what_is_told_follows_what_rpki_says(
    steps: list[tuple[str, list[Nlri]]], add_path: bool
) -> None:
    """RFC 8893: a filter of the way out asks for the validity of each path."""
    vrps = Vrps(IPV4_UNICAST.afi)
    key = replace(
        KEY,
        add_path=ALL_PATHS if add_path else 0,
        export_filter=Filter([Rule(Action.REJECT, rpki=Validity.INVALID)]),
        vrps=vrps,
    )
    rib = LocRib(IPV4_UNICAST)
    exports = Exports({IPV4_UNICAST: rib}, lambda _: None)
    group, other = exports.join(key, member(1)), exports.join(KEY, member(2))
    tables = [AdjRibIn(source, IPV4_UNICAST, rib) for source in peers(2)]
    paths = [route(tables[0].source, path=(65001, 1)), route(tables[1].source, path=(65001, 2))]
    said: set[Nlri] = set()
    for what, nlris in [*steps, ("follow", [])]:
        if what == "tell":
            tables[0].announce(paths[0], nlris)
        elif what == "tell another":
            tables[1].announce(paths[1], nlris)
        elif what == "withdraw":
            tables[0].withdraw(nlris)
        elif what == "say":
            changed, said = said ^ set(nlris), set(nlris)
            table = VrpTable(IPV4_UNICAST.afi)
            for nlri in said:
                table.add(nlri, 32, 1)
            vrps.put("cache", table)
            exports.revalidate(IPV4_UNICAST, Covered(IPV4_UNICAST.afi, changed))
        elif what == "read":
            exports.read_on(1)
        else:
            exports.apply(rib.take())
    before = dict(group.table)
    while exports.read_on(2):
        pass
    assert not exports.is_revalidating
    for each in (group, other):
        anew = type(each)(IPV4_UNICAST, each.key, rib)
        while anew.is_unread:
            anew.read_on(2)
        assert heard(each) == heard(anew)
    for key_of, out in before.items():
        # What may be heard as before is the very same.
        assert group.table.get(key_of, out) is out or add_path


def test_groups_that_do_not_ask_are_never_walked_for_it() -> None:
    exports = Exports({IPV4_UNICAST: LocRib(IPV4_UNICAST)}, lambda _: None)
    exports.join(KEY, member(1))
    exports.revalidate(IPV4_UNICAST, Covered(IPV4_UNICAST.afi, [PREFIXES[0]]))
    assert not exports.asks_for_validity
    assert not exports.is_revalidating


def heard(group: ExportGroup) -> set[tuple[Nlri, Path, bytes]]:
    """Leave identifiers away: which path has which depends on what was before."""
    skip = ID_LENGTH if group.key.add_path else 0
    return {(key[skip:], out.path, out.attributes) for key, out in group.table.items()}
