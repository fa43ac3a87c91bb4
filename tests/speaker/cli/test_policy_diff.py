"""``wren policy diff``."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.attributes import Attribute, tlv
from tests.support.commands import wren, write_documents
from tests.support.houses import House
from tests.support.mrt import peer_table, rib
from tests.support.resources import document, node, peer
from tests.support.routers import Town, on_uvloop, until
from tests.support.routes import address, attributes, nlri

NODE = node("r1", "10.0.0.1/24", asn=64512)
TOR = peer("tor", node="r1", peerIP="10.0.0.254", asNumber=65001, filters=["f"])
OLD_WAY = "accept: there is no import filter"
FAMILIES = {"wren.bgp/families": "ipv4,ipv6"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no daemon of this machine."""
    monkeypatch.setenv("WREN_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("NODENAME", raising=False)


def version(path: Path, *rules: Any, tor: Mapping[str, Any] = TOR) -> Path:
    both = document("BGPFilter", "f", {"importV4": list(rules), "importV6": []})
    return write_documents(path, [NODE, tor, both])


def reject(cidr: str) -> dict[str, str]:
    return {"action": "Reject", "matchOperator": "In", "cidr": cidr}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return version(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return version(tmp_path / "new", reject("10.1.0.0/16"))


SET = attributes([65001, 7], next_hop="10.0.0.254").raw
PREFIXES = ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24", "10.2.0.0/24"]


def mrt(path: Path, *, peer_address: str = "10.0.0.254", octets: bytes = SET) -> Path:
    records = [rib(n, nlri(prefix), [(0, octets)]) for n, prefix in enumerate(PREFIXES)]
    path.write_bytes(peer_table([(peer_address, 65001)]) + b"".join(records))
    return path


def lines_of(old: Path, new: Path) -> list[str]:
    return [
        "Node_10_0_0_254 import ipv4 unicast: 4 routes",
        f"  {OLD_WAY} → reject: bgpfilter/f importV4[0] ({new}/resources.yaml:6)",
        "  10.1.0.0/24, 10.1.1.0/24, 10.1.2.0/24, …",
        "node r1: 5 routes compared, 4 differences in 1 way",
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_routes_of_an_mrt_dump(old: Path, new: Path, tmp_path: Path, pack: Any) -> None:
    file = mrt(tmp_path / "rib")
    file.write_bytes(pack(file.read_bytes()))
    done = wren("policy", "diff", old, new, "--routes", file)
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout.splitlines() == lines_of(old, new)


def test_nothing_differs(old: Path, tmp_path: Path) -> None:
    done = wren("policy", "diff", old, old, "--routes", mrt(tmp_path / "rib"))
    assert (done.exit_code, done.stdout) == (0, "node r1: 5 routes compared, no difference\n")


def test_all_routes_are_shown_if_asked_for(old: Path, new: Path, tmp_path: Path) -> None:
    file = mrt(tmp_path / "rib")
    done = wren("policy", "diff", "--all", old, new, "--routes", file)
    way = f"{OLD_WAY} → reject: bgpfilter/f importV4[0] ({new}/resources.yaml:6)"
    assert done.stdout.splitlines()[:-1] == [
        f"Node_10_0_0_254 import {prefix}: {way}" for prefix in PREFIXES[:4]
    ]
    done = wren("policy", "diff", "--all", "-o", "json", old, new, "--routes", file)
    assert json.loads(done.stdout)["groups"][0]["prefixes"] == PREFIXES[:4]


def test_json(old: Path, new: Path, tmp_path: Path) -> None:
    done = wren("policy", "diff", "-o", "json", old, new, "--routes", mrt(tmp_path / "rib"))
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "node": "r1",
        "compared": 5,
        "differing": 4,
        "groups": [
            {
                "peers": ["Node_10_0_0_254"],
                "direction": "import",
                "family": "ipv4 unicast",
                "old": "accept: there is no import filter",
                "new": f"reject: bgpfilter/f importV4[0] ({new}/resources.yaml:6)",
                "count": 4,
                "prefixes": PREFIXES[:3],
            }
        ],
        "notCompared": {},
        "notLetIn": {},
    }


def test_a_dump_of_others_is_taken_as_a_peers(old: Path, new: Path, tmp_path: Path) -> None:
    file = mrt(tmp_path / "rib", peer_address="192.0.2.9")
    done = wren("policy", "diff", old, new, "--routes", file)
    assert done.exit_code == 0
    assert done.stderr == "5 routes not compared: both have no such session as 192.0.2.9\n"
    done = wren("policy", "diff", old, new, "--routes", file, "--as-peer", "tor")
    assert done.stdout.splitlines() == lines_of(old, new)
    done = wren("policy", "diff", old, new, "--routes", file, "--as-peer", "nobody")
    assert done.exit_code == 2
    assert "has no peer nobody" in done.stderr


def test_routes_that_neither_lets_in_are_told(old: Path, new: Path, tmp_path: Path) -> None:
    loop = attributes([65001, 64512], next_hop="10.0.0.254").raw
    done = wren("policy", "diff", old, new, "--routes", mrt(tmp_path / "rib", octets=loop))
    assert done.exit_code == 0
    assert (
        done.stderr == "5 routes let in by neither: AS loop: 64512 stands in the AS_PATH 1 times\n"
    )


def test_ipv6_routes_of_a_dump(tmp_path: Path) -> None:
    six = document("BGPFilter", "f", {"importV6": [reject("2001:db8::/32")]})
    tor = {**TOR, "spec": {**TOR["spec"], "extensions": FAMILIES}}
    old = write_documents(tmp_path / "old", [NODE, tor, document("BGPFilter", "f", {})])
    new = write_documents(tmp_path / "new", [NODE, tor, six])
    reach = tlv(0x80, Attribute.MP_REACH_NLRI, b"\x10" + address("2001:db8::9"))
    octets = attributes([65001], next_hop="").raw + reach
    file = tmp_path / "rib"
    record = rib(0, nlri("2001:db8:1::/48"), [(0, octets)], ipv6=True)
    file.write_bytes(peer_table([("10.0.0.254", 65001)]) + record)
    done = wren("policy", "diff", old, new, "--routes", file)
    assert done.stdout.splitlines()[0] == "Node_10_0_0_254 import ipv6 unicast: 1 route"


def test_made_up_routes(old: Path, new: Path) -> None:
    done = wren("policy", "diff", old, new, "--random", "300", "--seed", "3")
    assert done.exit_code == 1
    assert "reject: bgpfilter/f importV4[0]" in done.stdout
    assert wren("policy", "diff", old, new, "--random", "300", "--seed", "3").stdout == done.stdout
    assert wren("policy", "diff", old, old, "--random", "300").exit_code == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nonsense that is long enough", "no MRT dump"),
        (b'{"peers": []}', "no output of 'wren routes -o json'"),
        (b'{"routes": [{"prefix": "10.0.0.0/8"}]}', "no route of 'wren routes -o json'"),
        (b"\x1f\x8bnonsense", "cannot be read"),
        (peer_table([("10.0.0.254", 65001)])[:-1], "is cut off"),
    ],
)
def test_files_that_hold_no_routes(
    old: Path, new: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "routes"
    file.write_bytes(content)
    done = wren("policy", "diff", old, new, "--routes", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_wrong_usage(old: Path, new: Path, tmp_path: Path) -> None:
    done = wren("policy", "diff", old, new)
    assert done.exit_code == 2
    assert done.stderr.startswith("wren: no daemon runs whose routes could be compared; give them")
    file = mrt(tmp_path / "rib")
    for words in (
        (old,),
        (old, tmp_path / "nothing", "--random", "1"),
        (old, new, "--routes", tmp_path / "nothing"),
        (old, new, "--routes", file, "--random", "1"),
        (old, new, "--as-peer", "tor"),
        (old, new, "--random", "1", "--node", "r9"),
    ):
        assert wren("policy", "diff", *words).exit_code == 2, words


def test_errors_say_which_version_and_what_to_do(old: Path, new: Path, tmp_path: Path) -> None:
    def refused(*words: str | Path) -> str:
        done = wren("policy", "diff", *words, "--random", "1")
        assert (done.exit_code, done.stdout) == (2, "")
        return done.stderr

    nothing = tmp_path / "nothing"
    for words, which in (((nothing, new), "OLD"), ((old, nothing), "NEW")):
        told = f"wren: {which}: there is no file or directory {nothing}; give the resources as they"
        assert refused(*words).startswith(told)
    told = refused(old, new, "--node", "r9")
    assert told.startswith(f"wren: OLD: {old}: there is no Node r9; ")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "OLD has no Node; add one" in refused(empty, new)
    assert refused(old, empty).startswith(f"wren: NEW: {empty}: there is no Node r1")
    (new / "bad.yaml").write_text("kind: BGPFilter\n")
    told = refused(old, new)
    assert told.startswith(f"wren: NEW: {new} has documents that are not valid, so nothing is")
    assert f"{new}/bad.yaml:1:" in told
    assert f"'wren validate {new}'" in told


@on_uvloop
async def test_routes_that_a_running_daemon_has_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Town() as town:
        house = House(town, tmp_path)
        refusing = document("BGPFilter", "f", {"importV4": [reject("10.1.0.0/16")]})
        first = next(iter(house.peers(11)))
        spec = {**first["spec"], "filters": ["f"]}
        house.furnish(11)
        house.write("peers.json", {**first, "spec": spec}, refusing)
        async with house.lived_in():
            stranger = await town.join(11)
            stranger.announce("10.1.0.0/24", "10.2.0.0/24", path=[65011])
            [shell] = town.routers[0].peers.values()
            await until(
                lambda: shell.exchange and len(shell.exchange.inbound.ribs[IPV4_UNICAST]) == 2
            )
            new = write_documents(tmp_path / "new", [])
            (new / "node.json").write_text((house.datastore / "node.json").read_text())
            (new / "peers.json").write_text(json.dumps(first))
            words = ("policy", "diff", "--run-dir", house.run_dir, house.datastore, new)
            done = await asyncio.to_thread(wren, *words)
            assert done.exit_code == 1, done.output
            assert "reject: bgpfilter/f importV4[0]" in done.stdout
            assert "  10.1.0.0/24" in done.stdout.splitlines()
