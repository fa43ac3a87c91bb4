"""Which path of several Wren and a BIRD choose, when ten peers tell both of them the same.

Prefixes and attributes are drawn so that many steps of the decision are ties: few values of
LOCAL_PREF, AS_PATH length, ORIGIN and MULTI_EXIT_DISC, peers that share a router id, reflected
routes with an originator and a CLUSTER_LIST, next hops near, far and unreachable. What a peer hears
names the chosen path, since each peer marks its own with a community; what either daemon says of
itself (`birdc show route primary`, ``wren routes``) must be the same.

The BIRD runs with ``deterministic med``: without it the choice depends on the order in which the
paths came, which Wren's never does (RFC 4271 §9.1.2.2 c). Nothing else differs.
``WREN_SEED=N`` draws others.
"""

from __future__ import annotations

import random
import re
from functools import partial
from pathlib import Path

import pytest

from lab.kinds.wren import Wren
from policy.prefix import parse_prefix
from speaker.control.client import stream
from tests.support.beside_bird import (
    ACCEPT_ALL,
    DAEMONS,
    SEED,
    Player,
    Stage,
    beyond,
    on_segment,
    stage,
    text,
)
from tests.support.calico_world import AS, World
from tests.support.chorus import Said, updates
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop]

PREFIXES = 600

ALWAYS = {
    False: ("off", "deterministic med on;"),
    True: ("on", "med metric on; deterministic med on;"),
}

EXTERNAL = ((65010, "10.7.0.1"), (65010, "10.7.0.9"), (65010, "10.7.0.9"), (65011, "10.7.0.5"))
INTERNAL = ("10.7.0.2", "10.7.0.9", "10.7.0.6", "10.7.0.6", "10.7.0.11")


def tellers() -> list[Player]:
    """Make the peers that tell; some share a router id."""
    asns = [*EXTERNAL, (65012, "10.7.0.3"), *((AS, router_id) for router_id in INTERNAL)]
    return [
        Player(256 + n, asn, imports=ACCEPT_ALL, exports=ACCEPT_ALL, router_id=router_id)
        for n, (asn, router_id) in enumerate(asns)
    ]


def draw(dice: random.Random, player: Player, version: int) -> Said:
    """Draw attributes of few values each."""
    near, far, behind, lost = 0, 1, "10.66.6.6", "203.0.113.9"
    if version == 6:
        behind, lost = "fd66::6", "fd67::9"
    hop = dice.choice((near, near, near, far, behind, lost))
    rest = tuple(dice.choice((65010, 65011)) for _ in range(dice.choice((1, 1, 1, 2))))
    path = (player.asn, *rest[1:]) if not player.internal else dice.choice((rest, rest, ()))
    reflected = player.internal and dice.random() < 0.5
    return Said(
        path=path,
        as_set=(65020, 65021) if dice.random() < 0.15 else (),
        origin=dice.choice((0, 0, 0, 1)),
        next_hop=beyond(hop, version) if isinstance(hop, int) else hop,
        med=dice.choice((None, 0, 10, 20)),
        local_pref=dice.choice((100, 100, 100, 200)) if player.internal else None,
        communities=(f"65000:{player.number}",),
        originator=dice.choice(("10.7.0.2", "10.7.0.7")) if reflected else "",
        clusters=("10.8.0.1", "10.8.0.2")[: dice.choice((1, 2))] if reflected else (),
    )


def candidates(version: int) -> dict[str, dict[Said, list[bytes]]]:
    """Draw what each peer announces; a prefix has two to six paths."""
    dice = random.Random(SEED)
    players = tellers()
    spoken: dict[str, dict[Said, list[bytes]]] = {player.name: {} for player in players}
    for number in range(PREFIXES):
        cidr = f"10.{number >> 8}.{number & 255}.0/24" if version == 4 else f"fd10:{number:x}::/48"
        _, nlri = parse_prefix(cidr)
        for player in dice.sample(players, dice.randint(2, 6)):
            spoken[player.name].setdefault(draw(dice, player, version), []).append(nlri)
    return spoken


def chosen_by_bird(on: Stage) -> dict[str, str]:
    """Read whose path is the best of each prefix."""
    control = str(on.lab.node("bird").home / "bird.ctl")
    said = on.lab.node("bird").execute(["birdc", "-s", control, "show", "route", "primary"])
    return dict(re.findall(r"^(\S+/\d+) .*\[(p\d+) ", said, re.MULTILINE))


def chosen_by_wren(on: Stage) -> dict[str, str]:
    """Ask whose path is the best of each prefix."""
    node = on.lab.node("wren")
    assert isinstance(node.speaks, Wren)
    version = on.world.version
    names = {
        "Node_" + re.sub("[.:]", "_", on_segment(player.number, version)): player.name
        for player in on.players.values()
    }
    return {
        route["prefix"]: names[route["peer"]]
        for chunk in stream(node.home, "routes", family=f"ipv{version}")
        for route in chunk["routes"]
        if route["best"] and route["peer"] in names
    }


@pytest.mark.parametrize("always_compare_med", [False, True])
@pytest.mark.parametrize("version", [4, 6])
def test_the_best_of_several_paths_is_the_one_that_bird_takes(
    version: int, always_compare_med: bool, tmp_path: Path
) -> None:
    said, lines = ALWAYS[always_compare_med]
    network = "172.31.0.0/16" if version == 4 else "fd31::/64"
    world = World(version, (), {}, {}, {}, network, reflects=True)
    players = tellers()
    hearers = [
        Player(300, 65099, exports=ACCEPT_ALL),
        Player(301, AS, exports=ACCEPT_ALL),
    ]
    annotations = {"wren.bgp/alwaysCompareMED": said}
    spoken = candidates(version)
    told = {n: player for player in players for some in spoken[player.name].values() for n in some}
    with stage(tmp_path, world, [*players, *hearers], annotations=annotations, bird=lines) as on:
        for daemon in DAEMONS:
            beyond_us = "10.66.0.0/16" if version == 4 else "fd66::/16"
            way = ["via", beyond(0, version), "proto", "static", "metric", "50"]
            on.lab.node(daemon).execute(["ip", f"-{version}", "route", "add", beyond_us, *way])
        on.chorus.meet(voice for player in (*players, *hearers) for voice in player.voices(version))
        octets = {name: updates(each, version) for name, each in spoken.items()}
        on.chorus.say({f"{name}-{d}": each for name, each in octets.items() for d in DAEMONS})
        everything = [voice.name for hearer in hearers for voice in hearer.voices(version)]
        on.chorus.hold(everything[:2], told)
        becomes("they choose the same", partial(differing, on, set(told)), [])
        assert len(chosen_by_bird(on).keys() & {text(n, version) for n in told}) == PREFIXES
        becomes("they tell the same", partial(disputed, on, [each.name for each in hearers]), [])


def differing(on: Stage, prefixes: set[bytes]) -> list[str]:
    """Say of which prefixes they have chosen different paths."""
    wren, bird = chosen_by_wren(on), chosen_by_bird(on)
    names = sorted(text(nlri, on.world.version) for nlri in prefixes)
    return [
        f"{name}: Wren takes {wren.get(name)}, BIRD {bird.get(name)}"
        for name in names
        if wren.get(name) != bird.get(name)
    ][:10]


def disputed(on: Stage, names: list[str]) -> list[str]:
    """Say what peers hear of one and not of the other."""
    found = []
    for name, two in on.heard(names).items():
        wren, bird = two["wren"], two["bird"]
        for nlri in sorted(wren.keys() | bird.keys()):
            ours, theirs = wren.get(nlri, {}), bird.get(nlri, {})
            if not on.players[name].internal:
                # BIRD 2 leaves out what Calico's BIRD, and Wren, clear.
                ours = {key: value for key, value in ours.items() if (key, value) != ("MED", "0")}
            if ours != theirs:
                prefix = text(nlri, on.world.version)
                found.append(f"{name} hears of {prefix} from Wren {ours}, from BIRD {theirs}")
    return found[:5]
