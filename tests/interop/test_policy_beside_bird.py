"""Filters and Calico's policy beside a BIRD that is told the same, route by route.

Resources, chains of rules and routes are drawn from a seed. Wren reads the resources; the BIRD
reads what Calico would write for its own BIRD. What each tells its peers, external and internal,
and what each puts into its kernel must be the same in every attribute. A difference is reported
with the chain in both languages, the route as it was announced, and both results; run
``WREN_SEED=N pytest tests/interop/test_policy_beside_bird.py`` for other draws.

Where the two differ by choice (docs/decisions/0012-strict-by-the-rfcs.md):

* Towards external peers Calico's BIRD clears MULTI_EXIT_DISC to 0, as Wren does; BIRD 2 leaves it
  out.
* A kernel route without a metric is a normal one; BIRD takes the missing metric for the best, 0.
* The blackhole of a block is installed whoever programs the pool: where Felix has one of its own,
  that stays and ours waits; where it has none yet, packets do not leave. BIRD leaves it out.
* A route of an internal peer without LOCAL_PREF is taken for withdrawn (RFC 7606 §3 d); BIRD makes
  it 100. No such route is drawn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from policy.prefix import parse_prefix
from tests.support.beside_bird import (
    ACCEPT_ALL,
    DAEMONS,
    REJECT_ALL,
    SEED,
    Heard,
    Player,
    Stage,
    beyond,
    stage,
    text,
    translated,
)
from tests.support.calico_world import AS, COMMUNITIES, Dice, M, Pool, Rule, World
from tests.support.chorus import Said, updates
from tests.support.pairs import becomes

pytestmark = [pytest.mark.netns, pytest.mark.interop]

PATHS = (
    (65010,),
    (65010, 65011),
    (65011, 65012, 65010),
    (4200000001, 65010),
    (65010, 65010, 64999),
)
PREFERENCES = (100, 200, 0, M - 1024, M - 512, M - 2000, M - 1, M + 7)
NO_EXPORT, NO_ADVERTISE = "65535:65281", "65535:65282"


@dataclass(frozen=True)
class Variant:
    """How the node's surroundings differ."""

    reflects: bool = False
    cluster_routes: str = ""
    normal: int | None = None


VARIANTS = {
    "default": Variant(),
    "reflector": Variant(reflects=True, cluster_routes="Enabled", normal=500),
    "ipip": Variant(cluster_routes="EnabledIPIPOnly"),
    "felix": Variant(reflects=True, cluster_routes="Disabled"),
}


def world(version: int, variant: Variant) -> World:
    """Make the node's surroundings, with everything that the policy knows."""

    def at(cidr: str) -> str:
        return translated(cidr, version)

    # IPIP is for IPv4 alone.
    ipip = {"Always": "Always", "CrossSubnet": "CrossSubnet"} if version == 4 else {}
    return World(
        version=version,
        pools=(
            Pool(at("10.0.0.0/12")),
            Pool(at("10.16.0.0/12"), vxlan="Always"),
            Pool(at("10.32.0.0/12"), ipip=ipip.get("Always", "Never")),
            Pool(at("10.48.0.0/12"), ipip=ipip.get("CrossSubnet", "Never")),
            Pool(at("10.64.0.0/12"), exported=False),
            Pool(at("10.80.0.0/12"), vxlan="CrossSubnet"),
        ),
        blocks={
            at("10.0.5.0/26"): "confirmed",
            at("10.16.5.0/26"): "confirmed",
            at("10.0.6.7/32"): "confirmed",
            at("10.0.8.0/26"): "pendingDeletion",
        },
        services={
            "serviceClusterIPs": (at("10.96.0.0/16"),),
            "serviceExternalIPs": (at("192.0.2.0/24"), at("192.0.3.7/32")),
            "serviceLoadBalancerIPs": (at("10.97.0.0/16"),),
        },
        communities={
            at("10.0.0.0/14"): ("65000:100", "65000:1:2"),
            at("10.0.5.0/24"): ("65000:100", "65000:7"),
            at("10.32.0.0/13"): ("65000:3:3",),
        },
        network="172.31.0.0/16" if version == 4 else "fd31::/64",
        reflects=variant.reflects,
        cluster_routes=variant.cluster_routes,
        normal=variant.normal,
    )


REGIONS = (
    *("10.0.0.0/12", "10.0.5.0/26", "10.16.0.0/12", "10.16.5.0/26", "10.32.0.0/12"),
    *("10.48.0.0/12", "10.64.0.0/12", "10.80.0.0/12", "10.96.0.0/16", "10.97.0.0/16"),
    *("192.0.2.0/24", "172.16.0.0/14", "10.0.0.0/14", "10.0.8.0/26", "192.0.3.7/32"),
)


class Draw:
    """Draws what peers announce."""

    def __init__(self, seed: int, version: int) -> None:
        self.random = random.Random(seed)
        self.version = version
        self._taken: set[bytes] = set()

    def nlri(self, regions: Sequence[str]) -> bytes:
        """Draw a prefix within one of these, and none twice."""
        while True:
            network = ip_network(translated(self.random.choice(regions), self.version))
            width = network.max_prefixlen
            longer = self.random.choice((0, 1, 4, 8, 10, 12, width))
            length = min(width, network.prefixlen + longer)
            bits = self.random.getrandbits(width) & int(network.hostmask)
            number = (int(network.network_address) | bits) >> width - length << width - length
            nlri = bytes((length,)) + number.to_bytes(width // 8, "big")[: (length + 7) // 8]
            if nlri not in self._taken:
                self._taken.add(nlri)
                return nlri

    def nlris(self, regions: Sequence[str], count: int) -> list[bytes]:
        return [self.nlri(regions) for _ in range(count)]

    def said(self, player: Player) -> Said:
        """Draw attributes."""
        path = self.random.choice((*PATHS, ()))
        hop = self.random.choice((0, 0, 0, 1, 2, 3, 4, 5))
        communities = {self.random.choice(COMMUNITIES) for _ in range(self.random.randrange(4))}
        if self.random.random() < 0.05:
            communities.add(self.random.choice((NO_EXPORT, NO_ADVERTISE)))
        # Behind the last device nothing answers for these: such a next hop is unreachable.
        lost = translated("203.0.113.9/32", self.version).partition("/")[0]
        return Said(
            path=path if player.internal else (player.asn, *path[:2]),
            as_set=(65012, 65010) if self.random.random() < 0.15 else (),
            origin=self.random.choice((0, 0, 1, 2)),
            next_hop=lost if self.random.random() < 0.1 else beyond(hop, self.version),
            med=self.random.choice((None, None, 0, 5, 77)),
            local_pref=self.random.choice(PREFERENCES) if player.internal else None,
            communities=tuple(sorted(communities)),
        )

    def dice(self, regions: Sequence[str]) -> Dice:
        cidrs = [translated(cidr, self.version) for cidr in regions]
        return Dice(self.random, self.version, cidrs, PATHS)


def marker(number: int, version: int) -> bytes:
    """Give the prefix that a feeder announces last."""
    return parse_prefix(translated(f"198.18.{number}.0/24", version))[1]


def marking(feeder: Player, version: int) -> Said:
    path = () if feeder.internal else (feeder.asn,)
    preference = 100 if feeder.internal else None
    return Said(path=path, next_hop=beyond(0, version), local_pref=preference)


Spoken = dict[str, dict[Said, list[bytes]]]
"""What each feeder announces."""


def perform(on: Stage, spoken: Spoken, witnesses: Sequence[str], sinks: Sequence[str]) -> None:
    """Have feeders announce, and sinks hear, everything."""
    version = on.world.version
    marks = {name: marker(number, version) for number, name in enumerate(spoken)}
    for name, mark in marks.items():
        spoken[name][marking(on.players[name], version)] = [mark]
    voices = {name: list(player.voices(version)) for name, player in on.players.items()}
    on.chorus.meet(voice for name in (*spoken, *witnesses) for voice in voices[name])
    octets = {name: updates(said, version) for name, said in spoken.items()}
    on.chorus.say({f"{name}-{d}": said for name, said in octets.items() for d in DAEMONS})
    on.chorus.hold([voice.name for name in witnesses for voice in voices[name]], marks.values())
    late = [voice for name in sinks for voice in voices[name]]
    on.chorus.meet(late)
    on.chorus.end(voice.name for voice in late)


# What is said of a difference.


def compared(
    wren: Mapping[bytes, Heard], bird: Mapping[bytes, Heard], *, internal: bool
) -> list[bytes]:
    """Give the prefixes about which a peer hears different things."""
    if not internal:
        wren = {nlri: _without_cleared_med(heard) for nlri, heard in wren.items()}
    return sorted(nlri for nlri in wren.keys() | bird.keys() if wren.get(nlri) != bird.get(nlri))


def _without_cleared_med(heard: Heard) -> Heard:
    return {key: value for key, value in heard.items() if (key, value) != ("MED", "0")}


def differences(on: Stage, names: Sequence[str], spoken: Spoken, *, way: str) -> list[str]:
    """Compare what peers hear, and describe what differs."""
    version = on.world.version
    told = {n: (f, said) for f, many in spoken.items() for said, some in many.items() for n in some}
    found = []
    for name, two in on.heard(names).items():
        internal = on.players[name].internal
        for nlri in compared(two["wren"], two["bird"], internal=internal)[:3]:
            feeder, said = told.get(nlri, ("nobody", None))
            found.append(
                reproduction(
                    on,
                    feeder if way == "import" else name,
                    way,
                    f"{feeder} announces {text(nlri, version)} with {said}",
                    f"{name} hears from Wren {two['wren'].get(nlri)}",
                    f"{name} hears from BIRD {two['bird'].get(nlri)}",
                )
            )
    return found


def reproduction(on: Stage, name: str, way: str, *words: str) -> str:
    """Describe a difference so that it can be made again."""
    lines = [*words]
    player = on.players.get(name)
    if player is not None:
        chain: Sequence[Rule] = player.imports if way == "import" else player.exports
        write = on.world.import_filter if way == "import" else on.world.export_filter
        lines += [f"{way}V{on.world.version}:", *(f"  - {json.dumps(rule)}" for rule in chain)]
        lines += write(name, chain, internal=player.internal)
    return "\n".join(lines)


def assert_same_kernels(on: Stage) -> None:
    odd = on.settled()
    lines = [f"{p}: Wren {wren}, BIRD {bird}" for p, (wren, bird) in list(odd.items())[:10]]
    assert not odd, "\n".join([f"{len(odd)} routes differ", *lines])


# Export: what peers hear.

LISTENERS = 50


def local_routes(version: int) -> list[str]:
    """Give routes of the kernel's that are for the daemons to learn: workloads, and others."""

    def at(cidr: str) -> str:
        return translated(cidr, version)

    eth, vxlan, tunnel, far = (beyond(number, version) for number in (0, 1, 3, 5))
    return [
        f"add {at('10.0.5.3/32')} dev tunl0 metric 512 proto 80",
        f"add {at('10.0.5.4/32')} dev tunl0 metric 1024 proto 80",
        f"add {at('10.0.7.9/32')} dev vxlan.calico metric 1024 proto boot",
        f"add {at('10.16.9.0/26')} via {vxlan} dev vxlan.calico metric 1024 proto 80",
        f"add {at('10.16.10.0/26')} via {eth} dev eth0 metric 1024 proto 80",
        f"add {at('10.0.9.0/26')} via {eth} proto 80 metric 700",
        f"add {at('10.33.0.0/26')} via {tunnel} dev tunl0 proto 80 metric 1024",
        f"add blackhole {at('10.0.10.0/26')} proto 80 metric 300",
        f"add {at('172.20.0.0/16')} via {far} proto static",
        f"add {at('172.21.0.0/16')} via {eth} proto static metric 2147483600",
    ]


IN_A_COMMIT = ("default", "reflector")
"""The others take longer than a commit should wait."""


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=() if name in IN_A_COMMIT else pytest.mark.soak)
        for name in VARIANTS
    ],
)
@pytest.mark.parametrize("version", [4, 6])
def test_what_peers_hear_is_what_they_hear_of_bird(
    version: int, variant: str, tmp_path: Path
) -> None:
    draw = Draw(SEED + sorted(VARIANTS).index(variant), version)
    asns = (65010, 65011, AS, AS)
    feeders = [Player(256 + n, asn, exports=REJECT_ALL) for n, asn in enumerate(asns)]
    witness = Player(300, 65099, exports=ACCEPT_ALL)
    dice = draw.dice(REGIONS)
    sinks = [listener(dice, number) for number in range(LISTENERS)]
    spoken: Spoken = {
        feeder.name: {draw.said(feeder): draw.nlris(REGIONS, 15) for _ in range(34)}
        for feeder in feeders
    }
    around = world(version, VARIANTS[variant])
    with stage(tmp_path, around, [*feeders, witness, *sinks]) as on:
        for daemon in DAEMONS:
            routes = on.lab.node(daemon).home / "routes"
            routes.write_text("".join(f"route {line}\n" for line in local_routes(version)))
            on.lab.node(daemon).execute(["ip", f"-{version}", "-batch", str(routes)])
        names = [sink.name for sink in sinks]
        perform(on, spoken, [witness.name], names)
        found = differences(on, names, spoken, way="export")
        assert not found, f"seed {SEED}, {len(found)} differences\n\n" + "\n\n".join(found[:4])
        assert_same_kernels(on)
        if variant == "default":
            signed = [signing(listener(dice, number), version) for number in range(LISTENERS)]
            on.edit(signed)
            becomes("the edit is in force", partial(unsigned, on, names), [])
            becomes("edited filters do the same", partial(agreed, on, names, spoken), [])


SIGNATURE = "65000:999"


def signing(player: Player, version: int) -> Player:
    """Give a peer whose chain signs the first mark, to be seen when it is in force."""
    rule: Rule = {
        "action": "Accept",
        "cidr": translated("198.18.0.0/24", version),
        "matchOperator": "Equal",
        "operations": [{"addCommunity": {"value": SIGNATURE}}],
    }
    return replace(player, exports=(rule, *player.exports))


def unsigned(on: Stage, names: Sequence[str]) -> list[str]:
    """Tell who hears the first mark without the signature."""
    mark = marker(0, on.world.version)
    return [
        f"{name} of {daemon}"
        for name, two in on.heard(names).items()
        for daemon, table in two.items()
        if SIGNATURE not in table.get(mark, {}).get("COMMUNITIES", "")
    ]


def listener(dice: Dice, number: int) -> Player:
    """Draw a peer that hears, external or internal by turns."""
    chain = tuple(dice.chain(dice.random.randint(0, 7)))
    return Player(320 + number, AS if number % 2 else 65100 + number, exports=chain)


def agreed(on: Stage, names: Sequence[str], spoken: Spoken) -> list[str]:
    """Give the first difference."""
    return differences(on, names, spoken, way="export")[:1]


# Import: what peers tell.

TELLERS = 50
EACH = 2000


@pytest.mark.parametrize("version", [4, 6])
def test_what_peers_tell_is_judged_as_bird_judges_it(version: int, tmp_path: Path) -> None:
    draw = Draw(SEED, version)
    feeders, spoken = [], {}
    for number in range(TELLERS):
        whole = f"10.{number * 2}.0.0/15"
        region = (whole, f"10.{number * 2}.0.0/18", f"10.{number * 2}.64.0/20")
        others = (f"10.{number * 2}.1.0/24", "10.0.0.0/8", "172.16.0.0/12")
        mark = {
            "action": "Accept",
            "cidr": translated(f"198.18.{number}.0/24", version),
            "matchOperator": "Equal",
        }
        chain = draw.dice((*region, *others)).chain(draw.random.randint(0, 7))
        feeder = Player(
            320 + number,
            AS if number % 2 else 65100 + number,
            imports=(mark, *chain) if chain else (),
            exports=REJECT_ALL,
        )
        feeders.append(feeder)
        spoken[feeder.name] = {draw.said(feeder): draw.nlris(region, EACH // 40) for _ in range(40)}
    sinks = [Player(300, 65099, exports=ACCEPT_ALL), Player(301, AS, exports=ACCEPT_ALL)]
    around = world(version, VARIANTS["reflector"])
    with stage(tmp_path, around, [*feeders, *sinks]) as on:
        names = [sink.name for sink in sinks]
        perform(on, spoken, names, [])
        on.chorus.refresh(f"{name}-{daemon}" for name in names for daemon in DAEMONS)
        found = differences(on, names, spoken, way="import")
        assert not found, f"seed {SEED}, {len(found)} differences\n\n" + "\n\n".join(found[:4])
        assert_same_kernels(on)
