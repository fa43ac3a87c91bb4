"""Dead rules: what is called dead never decides, and nothing changes without it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.as_path_regex import AsPathRegex
from policy.communities import CommunityPattern
from policy.filters import Filter
from policy.matching import MatchOperator, match_prefix
from policy.operations import (
    AsOverride,
    Ends,
    Operation,
    PrependAsPath,
    RemovePrivateAs,
    SetPriority,
    local_pref_of,
)
from policy.path import Path, PeerType
from policy.prefix import Nlri, pack
from policy.prefix_sets import first_outside
from policy.reach import (
    CONDITIONS,
    EFFECTS,
    PREFIX,
    WITHOUT_LOCAL_PREF,
    Dead,
    Death,
    Setting,
    dead_rules,
    implies,
    prefixes_of,
    settled,
)
from policy.rules import Action, Direction, Rule, Scope
from policy.vrps import Origins, Validity, Vrps, VrpTable
from tests.support.routes import EXTERNAL_PEER, INTERNAL_PEER, local, next_hop, nlri, route

IMPORT = Setting(Direction.IMPORT, Afi.IPV4)
EXPORT = Setting(Direction.EXPORT, Afi.IPV4)

NETWORKS = [nlri(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9")]
NETWORKS += [nlri(text) for text in ("10.0.0.0/10", "10.1.0.0/16", "192.0.2.0/24", "10.0.0.1/32")]
LENGTHS = st.none() | st.sampled_from([0, 8, 9, 10, 16, 24, 32])
COMMUNITIES = [65000 << 16 | 1, 65000 << 16 | 2, (65000, 1, 2)]
PRIORITIES = [1, 1024, WITHOUT_LOCAL_PREF]
COMMUNITY_PATTERNS = [CommunityPattern(parts) for parts in ((65000, None), (None, 1), (None, 1, 2))]
EXPRESSIONS = [AsPathRegex("^65001_"), AsPathRegex("^$")]
ranges = st.none() | st.sampled_from([(0, 5), (3, 3), (100, 200), (0, 0xFFFFFFFF), (5, 3)])
ADDRESSES = ["192.0.2.1", "10.9.0.1"]
networks = st.lists(
    st.sampled_from(["192.0.2.0/24", "192.0.2.0/25", "0.0.0.0/0", "10.9.0.1/32"]).map(
        lambda text: (4, nlri(text))
    ),
    max_size=2,
).map(tuple)
PATTERNS = ["*", "eth*", "eth0", "eth?", "e*0", "tunl0"]


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw conditions by their fields; each field of a rule that is one must be drawn."""
    wanted = st.sampled_from([*COMMUNITIES, *COMMUNITY_PATTERNS])
    drawn = {
        "source_remote_peers": draw(st.booleans()),
        "interface": draw(st.none() | st.sampled_from(PATTERNS)),
        "peer_type": draw(st.none() | st.sampled_from(PeerType)),
        "communities": tuple(draw(st.lists(wanted, max_size=3, unique=True))),
        "as_path_prefix": draw(st.sampled_from([(), (65001,), (65001, 65002), (65003,)])),
        "as_path_regex": draw(st.none() | st.sampled_from(EXPRESSIONS)),
        "med": draw(ranges),
        "local_pref": draw(ranges),
        "priority": draw(st.none() | st.sampled_from(PRIORITIES)),
        "rpki": draw(st.none() | st.sampled_from(Validity)),
        "next_hops": draw(networks),
        "neighbors": draw(networks),
    }
    assert drawn.keys() == {names[0] for names in CONDITIONS}
    # Else hardly any rule would hold.
    kept = draw(st.sets(st.sampled_from(sorted(drawn)), max_size=2))
    found = {name: value for name, value in drawn.items() if name in kept}
    if found.get("communities"):
        found["every_community"] = draw(st.booleans())
    if draw(st.booleans()):
        found["cidr"] = draw(st.sampled_from(NETWORKS))
        found["operator"] = draw(st.sampled_from(MatchOperator))
        if draw(st.booleans()):
            found["has_prefix_length"] = True
            found["min_length"], found["max_length"] = draw(LENGTHS), draw(LENGTHS)
    return found


OPERATIONS: list[tuple[Operation, ...]] = [
    (),
    (SetPriority(7),),
    (PrependAsPath((65003,)),),
    (RemovePrivateAs(everywhere=True),),
    (AsOverride(), SetPriority(7)),
]


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    operations = draw(st.sampled_from(OPERATIONS))
    return Rule(draw(st.sampled_from(Action)), operations=operations, **draw(conditions()))


chains = st.lists(rules(), max_size=6).map(
    lambda chain: [replace(rule, origin=str(number)) for number, rule in enumerate(chain)]
)


@st.composite
def prefixes(draw: st.DrawFn) -> Nlri:
    """Draw prefixes at and around the networks of the rules."""
    near = draw(st.sampled_from(NETWORKS))
    length = min(32, max(0, near[0] + draw(st.integers(-2, 4))))
    octets = near[1:].ljust(4, b"\0")
    flipped = int.from_bytes(octets, "big") ^ (draw(st.integers(0, 7)) << 32 - max(length, 3))
    octets = (flipped & (0xFFFFFFFF << 32 - length)).to_bytes(5, "big")[1:]
    return bytes((length,)) + octets[: length + 7 >> 3]


@st.composite
def routes(draw: st.DrawFn, direction: Direction, peer_type: PeerType) -> Path:
    """Draw routes that a session may have to judge."""
    internal = peer_type is PeerType.INTERNAL
    own = INTERNAL_PEER if internal else EXTERNAL_PEER
    source = own if direction is Direction.IMPORT else draw(st.sampled_from([own, local()]))
    has_preference = direction is Direction.EXPORT or internal
    priority = draw(st.none() | st.sampled_from(PRIORITIES)) if has_preference else None
    preference = None if priority is None else local_pref_of(priority)
    small = has_preference and draw(st.booleans())
    chosen = draw(st.lists(st.sampled_from(COMMUNITIES), unique=True))
    return route(
        source,
        next_hop=draw(st.sampled_from(ADDRESSES)),
        med=draw(st.sampled_from([None, 0, 3, 150])),
        via=next_hop(interface=draw(st.sampled_from(["", "eth0", "eth17", "tunl0"]))),
        path=draw(st.sampled_from([(), (65001,), (65001, 65002, 65003), (65003,)])),
        communities=[each for each in chosen if isinstance(each, int)],
        large=[each for each in chosen if not isinstance(each, int)],
        local_pref=draw(st.sampled_from([100, 3])) if small else preference,
    )


def vrps_of(said: list[Nlri]) -> Vrps:
    """Let one AS of the routes originate these networks, and nobody else."""
    vrps, table = Vrps(Afi.IPV4), VrpTable(Afi.IPV4)
    for network in said:
        table.add(network, min(32, network[0] + 2), 65003)
    vrps.put("cache", table)
    return vrps


@given(st.data(), chains, st.sampled_from(Direction), st.sampled_from(PeerType), st.booleans())
def test_dead_rules_never_decide_and_the_others_decide_as_before(
    data: st.DataObject,
    chain: list[Rule],
    direction: Direction,
    peer_type: PeerType,
    knows_the_peer: bool,
) -> None:
    setting = Setting(direction, Afi.IPV4)
    if knows_the_peer:
        at = EXTERNAL_PEER.address if direction is Direction.IMPORT else b""
        setting = replace(setting, peer_type=peer_type, peer_address=at)
    dead = {each.number for each in dead_rules(chain, setting)}
    kept = [rule for number, rule in enumerate(chain) if number not in dead]
    path = data.draw(routes(direction, peer_type))
    asked = data.draw(st.lists(prefixes(), min_size=1, max_size=8))
    said = data.draw(st.lists(st.sampled_from(NETWORKS), unique=True, max_size=3))
    ends = Ends(64512, 64512 if peer_type is PeerType.INTERNAL else 65001)
    scope = Scope(peer_type, direction, origins=Origins(vrps_of(said), 64512), ends=ends)
    for prefix in asked:
        [(before, _)] = Filter(chain).partition([prefix], path, scope)
        [(after, _)] = Filter(kept).partition([prefix], path, scope)
        assert before.reason == after.reason
        assert before.reason not in {str(number) for number in dead}


@given(rules(), prefixes())
def test_the_prefixes_of_a_rule_are_those_that_its_condition_takes(
    rule: Rule, prefix: Nlri
) -> None:
    members = prefixes_of(rule)
    inside = any(
        box.low <= prefix[0] <= box.high
        and first_outside(
            prefixes_of(Rule(Action.ACCEPT, cidr=prefix, operator=MatchOperator.EQUAL)),
            [prefixes_of(Rule(Action.ACCEPT, cidr=box.cidr, operator=MatchOperator.IN))],
            32,
        )
        is None
        for box in members.boxes
    )
    wanted = True
    if rule.cidr is not None and rule.operator is not None:
        wanted = match_prefix(
            prefix,
            rule.cidr,
            rule.operator,
            min_length=rule.min_length,
            max_length=rule.max_length,
            is_set=rule.has_prefix_length,
        )
    assert (inside is not members.is_rest) is wanted


@given(rules())
def test_a_rule_implies_itself_and_one_without_conditions(rule: Rule) -> None:
    assert implies(rule, rule)
    assert implies(rule, Rule(Action.ACCEPT))
    alike = settled(rule, EXPORT)
    assert settled(alike, EXPORT) == alike


def test_every_field_of_a_rule_has_its_place() -> None:
    """A condition that is forgotten here would make living rules look dead."""
    conditions = [name for names in CONDITIONS for name in names]
    places = [PREFIX, EFFECTS, frozenset(conditions)]
    assert {field.name for field in fields(Rule)} == frozenset().union(*places)
    assert sum(map(len, places)) == len(fields(Rule))


def accept(**conditions: Any) -> Rule:
    return Rule(Action.ACCEPT, **conditions)


def inside(text: str, **more: Any) -> Rule:
    return accept(cidr=nlri(text), operator=MatchOperator.IN, **more)


@pytest.mark.parametrize(
    ("chain", "dead"),
    [
        ([accept(), accept(communities=(1,))], [Dead(1, Death.UNREACHED, by=(0,))]),
        ([inside("0.0.0.0/0"), accept(communities=(1,))], [Dead(1, Death.UNREACHED, by=(0,))]),
        ([inside("10.0.0.0/8"), inside("10.1.0.0/16")], [Dead(1, Death.SHADOWED, by=(0,))]),
        ([inside("10.1.0.0/16"), inside("10.0.0.0/8")], []),
        (
            [accept(communities=(1,)), inside("10.0.0.0/8", communities=(1,))],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        ([accept(communities=(1,)), accept(communities=(2,))], []),
        (
            [accept(communities=(1,)), replace(accept(communities=(1,)), action=Action.REJECT)],
            [Dead(1, Death.DUPLICATE, by=(0,))],
        ),
        (
            [inside("10.0.0.0/9"), inside("10.128.0.0/9"), inside("10.0.0.0/8", min_length=9)],
            [Dead(2, Death.SHADOWED, by=(0, 1))],
        ),
        ([inside("10.0.0.0/9"), inside("10.128.0.0/9"), inside("10.0.0.0/8")], []),
        ([accept(interface="eth*"), accept(interface="eth0")], [Dead(1, Death.SHADOWED, by=(0,))]),
        ([accept(interface="eth?"), accept(interface="eth*")], []),
        ([accept(med=(0, 9)), accept(med=(3, 4))], [Dead(1, Death.SHADOWED, by=(0,))]),
        ([accept(med=(3, 4)), accept(med=(0, 9))], []),
        (
            [accept(local_pref=(0, 2147483647)), accept(priority=7)],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        (
            [
                accept(communities=(CommunityPattern((1, None)),)),
                accept(communities=(1 << 16 | 7,)),
            ],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        (
            [accept(communities=(1, 2)), accept(communities=(2, 3), every_community=True)],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        ([accept(communities=(1, 2)), accept(communities=(2, 3))], []),
        (
            [
                accept(neighbors=((4, nlri("10.0.0.0/8")),)),
                accept(neighbors=((4, nlri("10.1.0.0/16")),)),
            ],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        (
            [accept(source_remote_peers=True), accept(neighbors=((4, nlri("10.1.0.0/16")),))],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
        (
            [accept(as_path_prefix=(1,)), accept(as_path_prefix=(1, 2))],
            [Dead(1, Death.SHADOWED, by=(0,))],
        ),
    ],
)
def test_shadows(chain: list[Rule], dead: list[Dead]) -> None:
    assert dead_rules(chain, EXPORT) == dead


EXTERNAL = replace(IMPORT, peer_type=PeerType.EXTERNAL, local_asn=65000)


@pytest.mark.parametrize(
    ("rule", "setting", "field", "words"),
    [
        (accept(med=(5, 4)), EXPORT, "med", "min 5 is above max 4"),
        (accept(local_pref=(5, 9), priority=7), EXPORT, "localPreference", "priority 7 is"),
        (accept(local_pref=(101, 900)), EXTERNAL, "localPreference", "routes have 100"),
        (
            accept(neighbors=((4, nlri("10.9.0.0/16")),)),
            replace(EXTERNAL, peer_address=bytes((192, 0, 2, 1))),
            "neighbors",
            "192.0.2.1, is in none",
        ),
        (inside("10.0.0.0/8", min_length=9, max_length=8), EXPORT, "prefixLength", "min 9 is"),
        (inside("10.0.0.0/8", max_length=7), EXPORT, "prefixLength", "shorter than 8"),
        (
            accept(cidr=nlri("10.0.0.0/8"), operator=MatchOperator.EQUAL, has_prefix_length=True),
            EXPORT,
            "prefixLength",
            "never equal",
        ),
        (
            accept(cidr=nlri("0.0.0.0/0"), operator=MatchOperator.NOT_IN),
            EXPORT,
            "prefixLength",
            "leaves none",
        ),
        (accept(peer_type=PeerType.INTERNAL), EXTERNAL, "peerType", "no session"),
        (accept(priority=1024), EXTERNAL, "priority", "send no LOCAL_PREF"),
        (
            accept(priority=1024, peer_type=PeerType.EXTERNAL),
            IMPORT,
            "priority",
            "send no LOCAL_PREF",
        ),
        (accept(as_path_prefix=(1, 65000)), EXTERNAL, "asPathPrefix", "a loop"),
        (
            accept(as_path_prefix=(1, 2)),
            replace(EXTERNAL, first_asn=65001),
            "asPathPrefix",
            "begins with its AS 65001",
        ),
    ],
)
def test_what_can_never_hold(rule: Rule, setting: Setting, field: str, words: str) -> None:
    [dead] = dead_rules([rule], setting)
    assert (dead.death, dead.field) == (Death.NEVER, field)
    assert words in dead.why


@pytest.mark.parametrize(
    ("rule", "setting"),
    [
        (accept(priority=1024), IMPORT),
        (accept(priority=1024), replace(EXTERNAL, direction=Direction.EXPORT)),
        (accept(priority=WITHOUT_LOCAL_PREF), EXTERNAL),
        (accept(as_path_prefix=(65000,)), replace(EXTERNAL, allow_local_as=1)),
        (inside("10.0.0.0/8", min_length=4, max_length=8), EXPORT),
    ],
)
def test_what_may_hold(rule: Rule, setting: Setting) -> None:
    assert dead_rules([rule], setting) == []


def test_source_means_nothing_on_import() -> None:
    chain = [accept(source_remote_peers=True), accept(communities=(1,))]
    assert dead_rules(chain, IMPORT) == [Dead(1, Death.UNREACHED, by=(0,))]
    assert dead_rules(chain, EXPORT) == []


def test_a_chain_of_thousands_of_rules_takes_seconds_and_not_minutes() -> None:
    many = [
        Rule(
            Action.ACCEPT,
            cidr=pack(Afi.IPV4, bytes((10, number >> 8, number & 255, 0)), 24),
            operator=MatchOperator.IN,
            communities=(number,) if number % 3 else (),
        )
        for number in range(4000)
    ]
    again, inside_nothing = many[3], replace(many[4], communities=())
    found = dead_rules([*many, again, inside_nothing], Setting(Direction.EXPORT, Afi.IPV4))
    assert found == [Dead(4000, Death.DUPLICATE, by=(3,))]
