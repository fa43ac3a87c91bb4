"""A peer that is told so many prefixes and no more, whatever comes, goes and is owed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST
from policy.decision import select_several
from policy.outbound import ALL_PATHS, GroupKey, Quota
from policy.path import NextHop, Path, PeerType
from policy.prefix import Nlri
from policy.ranking import rank
from speaker.rib.adj_rib_in import AdjRibIn
from speaker.rib.export_group import ExportGroup
from speaker.rib.exports import Exports
from speaker.rib.loc_rib import LocRib
from speaker.rib.member import Member
from speaker.rib.rationed_group import RationedGroup, RationedPathsGroup
from tests.support.builders import OUR_ADDRESS, OUR_AS, few_prefixes, peers
from tests.support.listener import Listener
from tests.support.routes import attributes

PREFIXES = few_prefixes(8)
KEY = GroupKey(IPV4_UNICAST, PeerType.EXTERNAL, OUR_AS, OUR_ADDRESS, router_id=1)
EAR, OTHER = 0, 1
"""The peer that has the limit, which also tells routes, and another one."""


class Ear(Listener):
    """A listener that counts its routes after each message."""

    most = 0

    def hear(self, messages: list[bytes]) -> None:
        for message in messages:
            super().hear([message])
            self.most = max(self.most, len(self.routes))


class Scene:
    """A limited peer, a second one with the same limit, and somebody who is told everything."""

    def __init__(self, maximum: int | None, add_path: int = 0) -> None:
        self.rib = LocRib(IPV4_UNICAST)
        self.sources = peers(3)
        self.tables = [AdjRibIn(source, IPV4_UNICAST, self.rib) for source in self.sources]
        self.exports = Exports({IPV4_UNICAST: self.rib}, lambda _: None)
        self.maximum = maximum
        self.known: dict[tuple[int, int], Path] = {}
        self.add_path = add_path
        self.ear = Ear(path_ids=add_path > 0)
        self.member = Member(self.sources[EAR], self.sources[EAR].address)
        self.group: ExportGroup | None = None

    def key(self, maximum: int | None) -> GroupKey:
        return replace(KEY, quota=Quota(self.member.address, maximum), add_path=self.add_path)

    def path(self, peer: int, kind: int) -> Path:
        found = self.known.get((peer, kind))
        if found is None:
            made = attributes((65001 + peer,), med=kind)
            found = Path(made, self.sources[peer], NextHop(made.next_hop))
            found.rank = rank(found)
            self.rib.note(found)
            self.known[peer, kind] = found
        return found

    def join(self) -> None:
        self.group = self.exports.join(self.key(self.maximum), self.member)

    def step(self, word: str, peer: int, kind: int, chosen: list[int]) -> None:
        nlris = [PREFIXES[n] for n in chosen]
        match word:
            case "announce":
                self.tables[peer].announce(self.path(peer, kind), nlris)
            case "withdraw":
                self.tables[peer].withdraw(nlris)
            case "apply":
                self.exports.apply(self.rib.take(1 + kind))
            case "pull" if self.group is not None:
                self.write()
                self.ear.hear(self.group.pull(self.member, 1 + kind))
            case "block" if self.group is not None:
                self.write()
                self.group.fall_behind(self.member)
            case "refresh" if self.group is not None:
                self.group.refresh(self.member)
            case "join" if self.group is None:
                self.join()
        self.write()

    def write(self) -> None:
        queue, self.member.queue = self.member.queue, []
        self.ear.hear(queue)

    def settle(self) -> None:
        if self.group is None:
            self.join()
        assert self.group is not None
        while self.rib.pending:
            self.exports.apply(self.rib.take())
        self.write()
        while not self.member.in_step:
            self.ear.hear(self.group.pull(self.member, 2))

    def wanted(self) -> set[Nlri]:
        """Give what the peer would be told without a limit."""
        mine = self.sources[EAR]
        return {nlri for nlri, path in self.rib.best.items() if path.source is not mine}


words = [*["announce", "withdraw", "apply"] * 2, "pull", "block", "refresh", "join"]
steps = st.tuples(
    st.sampled_from(words),
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.integers(0, len(PREFIXES) - 1), min_size=1, max_size=5, unique=True),
)


@given(st.integers(1, 6), st.lists(steps, max_size=40))
def test_a_peer_never_holds_more_than_its_quota_and_in_the_end_all_that_it_may(
    maximum: int, story: list[tuple[str, int, int, list[int]]]
) -> None:
    scene = Scene(maximum)
    for step in story:
        scene.step(*step)
    scene.settle()
    wanted = scene.wanted()
    assert scene.ear.most <= maximum
    assert scene.ear.routes.keys() <= wanted
    assert len(scene.ear.routes) == min(maximum, len(wanted))
    assert isinstance(scene.group, RationedGroup)
    assert scene.group.waiting.keys() == wanted - scene.ear.routes.keys()
    assert scene.group.table.keys() == scene.ear.routes.keys()


@given(st.integers(1, 9), st.sampled_from([2, ALL_PATHS]), st.lists(steps, max_size=40))
def test_each_of_several_paths_takes_room(
    maximum: int, most: int, story: list[tuple[str, int, int, list[int]]]
) -> None:
    scene = Scene(maximum, add_path=most)
    for step in story:
        scene.step(*step)
    scene.settle()
    assert isinstance(scene.group, RationedPathsGroup)
    assert scene.ear.most <= maximum
    assert scene.group.table.keys() == scene.ear.routes.keys()
    known: dict[Nlri, list[Path]] = {}
    for key, out in (scene.group.table | scene.group.waiting).items():
        known.setdefault(key[4:], []).append(out.path)
    offered: dict[Nlri, list[Path]] = {}
    for nlri in scene.rib.best:
        paths = [table.paths[nlri] for table in scene.tables if nlri in table.paths]
        chosen = select_several(paths, most)
        others = [path for path in chosen if path.source is not scene.sources[EAR]]
        if others:
            offered[nlri] = others
    assert {nlri: sorted(map(id, paths)) for nlri, paths in known.items()} == {
        nlri: sorted(map(id, paths)) for nlri, paths in offered.items()
    }
    assert len(scene.ear.routes) == min(maximum, sum(map(len, offered.values())))


@given(st.lists(steps, max_size=30))
def test_without_a_number_everything_is_told_and_the_table_is_what_is_counted(
    story: list[tuple[str, int, int, list[int]]],
) -> None:
    scene = Scene(None)
    for step in story:
        scene.step(*step)
    scene.settle()
    assert scene.group is not None
    assert scene.group.table.keys() == scene.ear.routes.keys() == scene.wanted()


def test_what_is_told_stays_and_what_waits_follows_in_its_order() -> None:
    scene = Scene(2)
    scene.settle()
    for number in (4, 1, 3, 2):
        scene.step("announce", OTHER, 0, [number])
        scene.settle()
    assert scene.ear.routes.keys() == {PREFIXES[4], PREFIXES[1]}
    scene.step("announce", OTHER, 1, [4, 1, 3, 2])
    scene.settle()
    assert scene.ear.routes.keys() == {PREFIXES[4], PREFIXES[1]}
    assert len(scene.ear.withdrawn) == 0
    scene.step("withdraw", OTHER, 0, [4])
    scene.settle()
    assert scene.ear.routes.keys() == {PREFIXES[1], PREFIXES[3]}
    scene.step("withdraw", OTHER, 0, [3, 1])
    scene.settle()
    assert scene.ear.routes.keys() == {PREFIXES[2]}


def test_what_waits_and_goes_is_never_told() -> None:
    scene = Scene(1)
    scene.settle()
    for word, number in (("announce", 0), ("announce", 1), ("withdraw", 1), ("withdraw", 0)):
        scene.step(word, OTHER, 0, [number])
        scene.settle()
    assert scene.ear.ever == {PREFIXES[0]}
    assert scene.ear.routes == {}


def test_all_that_a_peer_has_lost_is_withdrawn_before_it_is_told_more() -> None:
    scene = Scene(3)
    scene.step("announce", OTHER, 0, [0, 1, 2])
    scene.settle()
    scene.step("announce", OTHER, 0, [3, 4, 5])
    scene.step("apply", OTHER, 8, [0])
    scene.step("block", OTHER, 0, [0])
    scene.step("withdraw", OTHER, 0, [0, 1, 2])
    scene.settle()
    assert scene.ear.routes.keys() == set(PREFIXES[3:6])
    assert scene.ear.most == 3


def test_routes_of_its_own_take_no_room() -> None:
    scene = Scene(1)
    scene.step("announce", EAR, 0, [0, 1, 2])
    scene.settle()
    scene.step("announce", OTHER, 0, [3])
    scene.settle()
    assert scene.ear.routes.keys() == {PREFIXES[3]}
    scene.step("announce", EAR, 0, [3])
    scene.settle()
    assert isinstance(scene.group, RationedGroup)
    assert scene.group.waiting == {}


def test_a_quota_makes_a_peer_share_with_nobody() -> None:
    quotas = [Quota(b"\1", 5), Quota(b"\2", 5), Quota(b"\2", 6), Quota(b"\2")]
    for one, two in pairwise(quotas):
        assert replace(KEY, quota=one) != replace(KEY, quota=two)
