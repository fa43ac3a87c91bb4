"""A rack of other speakers that dial a Wren which names none of them (`wren.bgp/listenRange`).

BIRD, FRR and GoBGP stand on one segment, each in an AS of its own, with a session in each family.
What Wren knows of them is a range of addresses, one of AS numbers, a password for all, and that
they are near. OpenBGPD has a rack for itself: it needs a word to dial again before it has waited
for half a minute, and for twice as long after each failure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab import Family, Lab, RunningNode
from lab.faults import killed
from speaker.control.client import NotRunning, ask
from speaker.errors import SpeakerError
from tests.support.birds import QUICK
from tests.support.datastores import log_of, put, remove, wren_in
from tests.support.labs import lab_of
from tests.support.pairs import becomes, gateways, soon
from tests.support.resources import node, peer, settings
from tests.support.restarters import BIRD_RESTARTS
from tests.support.watching import watched

pytestmark = [pytest.mark.interop, pytest.mark.netns]

RIGHT, WRONG = "rack-key", "another-key"
NAMES = ("bird", "frr", "gobgp")
HOSTS = {name: number for number, name in enumerate((*NAMES, "openbgpd"), 11)}
SIGNED = {
    "bird": f'password "{RIGHT}"; ttl security on; {BIRD_RESTARTS}',
    "frr": f"password {RIGHT}\nttl-security hops 1",
    "openbgpd": f"tcp md5sig password {RIGHT}\nttl-security yes",
    "gobgp": f'auth-password = "{RIGHT}"\n[neighbors.ttl-security.config]\n'
    "enabled = true\nttl-min = 255",
}
RANGES = "172.31.0.0/24, fd31::/64"
BOTH = (Family.IPV4, Family.IPV6)


def at(number: int, family: Family) -> str:
    return f"172.31.0.{number}" if family is Family.IPV4 else f"fd31::{number}"


def network(number: int, family: Family) -> str:
    return f"10.{number}.0.0/24" if family is Family.IPV4 else f"fd00:{number}::/64"


def called(name: str, family: Family) -> str:
    """Give the name of a session at Wren."""
    return "Dynamic_rack_" + at(HOSTS[name], family).replace(".", "_").replace(":", "_")


def rack(**keys: str) -> dict[str, Any]:
    given = {"listenRange": RANGES, "asRange": "65011-65019", **keys}
    extensions = QUICK | {f"wren.bgp/{key}": value for key, value in given.items()}
    del extensions["wren.bgp/connectRetry"]
    password = {"secretKeyRef": {"name": "rack", "key": "password"}}
    return peer("rack", node="tor", password=password, ttlSecurity=1, extensions=extensions)


def topology(datastore: Path, hosts: tuple[str, ...] = NAMES) -> str:
    nodes: dict[str, Any] = {"tor": {"kind": "wren", "datastore": str(datastore)}}
    lan = {"tor": [f"{at(1, f)}/{24 if f is Family.IPV4 else 64}" for f in BOTH]}
    for name in hosts:
        number = HOSTS[name]
        peers = [
            {
                "address": at(1, f),
                "asn": 65001,
                "families": [str(f)],
                "hold_time": 9,
                "extra": SIGNED[name],
            }
            for f in BOTH
        ]
        nodes[name] = {
            "kind": name,
            "asn": 65000 + number,
            "peers": peers,
            "networks": [network(number, f) for f in BOTH],
            "addresses": [f"10.{number}.0.1/32", f"fd00:{number}::1/128"],
            "args": ["-R"] if name == "bird" else [],
        }
        lan[name] = [f"{at(number, f)}/{24 if f is Family.IPV4 else 64}" for f in BOTH]
    return json.dumps({"nodes": nodes, "segments": {"lan": lan}})


class Rack:
    """The rack, and the directory in which Wren's resources are."""

    def __init__(self, lab: Lab, datastore: Path) -> None:
        self.lab = lab
        self.datastore = datastore
        self.tor = lab.node("tor")

    def give(self, password: str) -> None:
        path = self.datastore / "secrets" / "rack" / "password"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(password, encoding="utf-8")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = ask(self.tor.home, "status")
        return status

    def range(self) -> dict[str, Any]:
        [found] = self.status()["ranges"]
        return dict(found)

    def up(self) -> dict[str, float]:
        """Give the sessions that are up, and since when."""
        return {p["name"]: p["since"] for p in self.status()["peers"] if p["state"] == "up"}

    def all_are_up(self) -> None:
        names = sorted(called(name, family) for name in NAMES for family in BOTH)
        becomes("all are peers", lambda: sorted(self.up()), names)
        for name in NAMES:
            number = HOSTS[name]
            for family in BOTH:
                becomes(
                    f"{name} hears of the others",
                    partial(self.hears, self.lab.node(name), family, number),
                    wanted=True,
                )

    def hears(self, speaker: RunningNode, family: Family, own: int) -> bool:
        """Tell whether a speaker has what all others announce."""
        others = {network(HOSTS[name], family) for name in NAMES if HOSTS[name] != own}
        return others <= speaker.routes(family).keys()

    @contextmanager
    def edited(self, *documents: Mapping[str, Any]) -> Iterator[None]:
        """Have other documents for a while, in the place of those of the same names."""
        put(self.datastore, *documents)
        try:
            yield
        finally:
            others = [d for d in documents if d["metadata"]["name"] != "rack"]
            put(self.datastore, rack())
            if others:
                remove(self.datastore, *others)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    datastore = tmp_path_factory.mktemp("rack") / "datastore"
    with rack_of(datastore, NAMES) as found:
        yield found


@contextmanager
def rack_of(datastore: Path, hosts: tuple[str, ...]) -> Iterator[Rack]:
    common = settings(
        asNumber=65001,
        nodeToNodeMeshEnabled=False,
        annotations={"wren.bgp/policy": "plain", "wren.bgp/networks": "10.9.0.0/16 fd09::/64"},
    )
    put(datastore, common, node("tor", "172.31.0.1/24", "fd31::1/64"), rack())
    with lab_of(topology(datastore, hosts)) as lab:
        found = Rack(lab, datastore)
        found.give(RIGHT)
        yield found


def test_each_that_dials_from_the_range_is_a_peer_of_its_own(hosts: Rack) -> None:
    hosts.all_are_up()
    peers = {p["address"]: p for p in hosts.status()["peers"]}
    for name in NAMES:
        number = HOSTS[name]
        for family in BOTH:
            found = peers[at(number, family)]
            assert (found["name"], found["resource"]) == (called(name, family), "rack")
            assert found["remoteAS"] == 65000 + number
            assert found["password"]["inUseSince"] is not None
            assert found["type"] == "node specific"
    told = hosts.range()
    assert (told["peers"], told["limit"]) == (6, 100)
    assert "Dynamic_rack: 6 of 100 peers from 172.31.0.0/24, fd31::/64" in wren_in(
        hosts.tor, "peer"
    )
    assert "6/6" in wren_in(hosts.tor, "status", "bgppeer")
    prefix = network(HOSTS["bird"], Family.IPV4)
    assert called("bird", Family.IPV4) in wren_in(hosts.tor, "why", prefix)


def test_a_key_that_changes_costs_no_session_and_is_needed_by_the_next(hosts: Rack) -> None:
    hosts.give(RIGHT)
    hosts.all_are_up()
    before = hosts.up()
    hosts.give(WRONG)
    gone = called("frr", Family.IPV4)
    becomes("the other key waits", lambda: changes(hosts, gone), wanted=True)
    assert hosts.up() == before
    ask(hosts.tor.home, "disable", name=gone)
    ask(hosts.tor.home, "enable", name=gone)
    becomes("whose key is another has gone", lambda: gone in names(hosts), wanted=False)
    with pytest.raises(SpeakerError, match="which is in Dynamic_rack"):
        ask(hosts.tor.home, "peer", name=at(HOSTS["frr"], Family.IPV4))
    hosts.give(RIGHT)
    hosts.all_are_up()
    after = hosts.up()
    assert {name for name in before if after[name] != before[name]} == {gone}


def changes(hosts: Rack, name: str) -> bool:
    return bool(ask(hosts.tor.home, "peer", name=name)["peer"]["password"]["changes"])


def names(hosts: Rack) -> list[str]:
    return [p["name"] for p in hosts.status()["peers"]]


def test_who_comes_beyond_the_limit_is_refused_until_there_is_room(hosts: Rack) -> None:
    hosts.all_are_up()
    before = hosts.up()
    gone = called("bird", Family.IPV4)
    with hosts.edited(rack(maxDynamicPeers="5")):
        becomes("the limit is lower", lambda: hosts.range()["limit"], 5)
        assert hosts.up() == before
        ask(hosts.tor.home, "disable", name=gone)
        ask(hosts.tor.home, "enable", name=gone)
        becomes("somebody is refused", lambda: hosts.range()["refused"].get("limit", 0) > 0, True)
        assert gone not in names(hosts)
        reasons = {condition["reason"] for condition in hosts.status()["conditions"]}
        assert "PeerLimitReached" in reasons
        assert "5 peers are there already (wren.bgp/maxDynamicPeers)" in log_of(hosts.tor)
    hosts.all_are_up()


def test_an_as_that_is_not_in_the_range_is_refused(hosts: Rack) -> None:
    hosts.all_are_up()
    with hosts.edited(rack(asRange="65012-65013")):
        for family in BOTH:
            address = at(HOSTS["bird"], family)
            becomes("BIRD is told", partial(refused, hosts, address), wanted=True)
        assert sorted(hosts.up()) == sorted(
            called(name, family) for name in ("frr", "gobgp") for family in BOTH
        )
    hosts.all_are_up()


def refused(hosts: Rack, address: str) -> bool:
    said = {word["address"]: word["sentence"] for word in hosts.range()["last"]}
    return "turned away: it says it is AS 65011" in said.get(address, "")


def test_who_is_named_keeps_his_session_and_his_name(hosts: Rack) -> None:
    hosts.all_are_up()
    before = hosts.up()
    address = at(HOSTS["bird"], Family.IPV4)
    extensions = QUICK | {"wren.bgp/passive": "on"}
    named = peer(
        "named",
        node="tor",
        peerIP=address,
        asNumber=65011,
        ttlSecurity=1,
        password={"secretKeyRef": {"name": "rack", "key": "password"}},
        extensions=extensions,
    )
    static = "Node_172_31_0_11"
    with hosts.edited(rack(), named):
        becomes("it is named", lambda: static in hosts.up(), wanted=True)
        former = before.pop(called("bird", Family.IPV4))
        assert hosts.up() == {**before, static: former}
    hosts.all_are_up()


def test_a_range_that_goes_ends_its_sessions_alone(hosts: Rack, tmp_path: Path) -> None:
    hosts.all_are_up()
    before = hosts.up()
    narrow = rack(listenRange="172.31.0.12/31, fd31::/64")
    gone = called("bird", Family.IPV4)
    planned = shutil.copytree(hosts.datastore, tmp_path / "planned")
    put(planned, narrow)
    foretold = wren_in(hosts.tor, "plan", planned)
    assert "accepts peers from 172.31.0.12/31, fd31::/64 in AS 65011-65019" in foretold
    assert f"  removes {gone}\n" in foretold
    with hosts.edited(narrow):
        wanted = sorted({called(n, f) for n in NAMES for f in BOTH} - {gone})
        becomes("those outside have gone", lambda: sorted(hosts.up()), wanted)
        assert names(hosts) == wanted
        assert before.items() >= hosts.up().items()
    hosts.all_are_up()


def test_routes_of_a_host_that_restarts_gracefully_stay(hosts: Rack) -> None:
    hosts.all_are_up()
    bird, number = hosts.lab.node("bird"), HOSTS["bird"]
    with killed(bird):
        for family in BOTH:
            name = called("bird", family)
            becomes(f"{name} is down", partial(is_up, hosts, name), wanted=False)
            assert name in names(hosts)
            assert network(number, family) in gateways(hosts.tor, family)
    hosts.all_are_up()
    # One that goes for good takes its routes with it.
    bird.execute(["birdc", "-s", str(bird.home / "bird.ctl"), "disable", "all"])
    for family in BOTH:
        becomes("BIRD has gone", partial(knows, hosts, called("bird", family)), wanted=False)
        becomes("its routes too", partial(leads, hosts, network(number, family)), wanted=False)
    bird.execute(["birdc", "-s", str(bird.home / "bird.ctl"), "enable", "all"])
    hosts.all_are_up()


def test_wren_waits_for_the_peers_of_a_range_when_it_restarts(hosts: Rack) -> None:
    """They are remembered by their names, and their kernel routes stay meanwhile."""
    hosts.all_are_up()
    with watched(hosts.tor) as watches:
        with killed(hosts.tor):
            pass
        # GoBGP takes its time to dial again; its routes stay for that, too.
        wanted = {called(name, family) for name in ("bird", "frr") for family in BOTH}
        becomes("BIRD and FRR are back", partial(are_up, hosts, wanted), wanted=True)
    assert watches["tor"].removed == []


def are_up(hosts: Rack, wanted: set[str]) -> bool:
    with suppress(NotRunning):
        return wanted <= hosts.up().keys()
    return False


def is_up(hosts: Rack, name: str) -> bool:
    return name in hosts.up()


def knows(hosts: Rack, name: str) -> bool:
    return name in names(hosts)


def leads(hosts: Rack, prefix: str) -> bool:
    family = Family.IPV6 if ":" in prefix else Family.IPV4
    return prefix in gateways(hosts.tor, family)


def test_openbgpd_dials_a_range_by_the_password_of_the_day(tmp_path: Path) -> None:
    with rack_of(tmp_path / "datastore", ("openbgpd",)) as hosts:
        speaker, number = hosts.lab.node("openbgpd"), HOSTS["openbgpd"]
        becomes("it is a peer", partial(calls, hosts), wanted=True)
        peers = {p["address"]: p for p in hosts.status()["peers"]}
        for family, ours in ((Family.IPV4, "10.9.0.0/16"), (Family.IPV6, "fd09::/64")):
            found = peers[at(number, family)]
            assert (found["name"], found["remoteAS"]) == (
                called("openbgpd", family),
                65000 + number,
            )
            assert found["password"]["inUseSince"] is not None
            becomes(
                "it hears us",
                partial(told, speaker, family),
                {network(number, family), ours},
            )
            becomes("we hear it", partial(leads, hosts, network(number, family)), wanted=True)

        before = hosts.up()
        hosts.give(WRONG)
        name = called("openbgpd", Family.IPV4)
        becomes("the other key waits", lambda: changes(hosts, name), wanted=True)
        assert hosts.up() == before
        ask(hosts.tor.home, "disable", name=name)
        ask(hosts.tor.home, "enable", name=name)
        becomes("it has gone", partial(knows, hosts, name), wanted=False)
        assert not soon(lambda: calls(hosts))
        hosts.give(RIGHT)
        becomes("it is back", partial(calls, hosts), wanted=True)


def told(speaker: RunningNode, family: Family) -> set[str]:
    """Give the prefixes that a speaker has."""
    return set(speaker.routes(family))


def calls(hosts: Rack) -> bool:
    """Tell whether both sessions with OpenBGPD are up; else it is told to dial."""
    speaker = hosts.lab.node("openbgpd")
    down = [family for family in BOTH if called("openbgpd", family) not in hosts.up()]
    for family in down:
        control = ["bgpctl", "-s", str(speaker.home / "bgpd.sock")]
        speaker.execute([*control, "neighbor", at(1, family), "up"])
    return not down
