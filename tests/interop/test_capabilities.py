"""Wren's capabilities beside BIRD and FRR: what each has, and Wren makes use of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from lab import Family
from tests.support.labs import lab_of, two_nodes
from tests.support.pairs import OWN, THEIRS, Pair, becomes

pytestmark = [pytest.mark.interop, pytest.mark.netns]

FRR_ROLE = """extra: |
      router bgp 65002
       neighbor 172.31.0.1 local-role customer strict-mode
       neighbor fd31::1 local-role customer strict-mode
"""


def with_keys(pair: Pair, keys: Mapping[str, str]) -> None:
    """Give all peers of the Wren node further keys."""
    path = pair.wren.speaks.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    for item in resources["items"]:
        if item["kind"] == "BGPPeer":
            item["spec"]["extensions"].update({f"wren.bgp/{k}": v for k, v in keys.items()})
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)


def frr(pair: Pair, *commands: str) -> str:
    """Ask FRR."""
    words = [word for command in commands for word in ("-c", command)]
    return pair.other.execute(["vtysh", "--vty_socket", str(pair.other.speaks.home), *words])


def frr_capabilities(pair: Pair) -> dict[str, object]:
    """Give what FRR says of the IPv4 session's capabilities."""
    peer = json.loads(frr(pair, "show bgp neighbors 172.31.0.1 json"))["172.31.0.1"]
    found: dict[str, object] = peer.get("neighborCapabilities", {})
    return {**found, "roles": (peer.get("localRole"), peer.get("remoteRole"))}


def bird(pair: Pair, *words: str) -> str:
    """Ask BIRD."""
    return pair.other.execute(["birdc", "-s", str(pair.other.speaks.home / "bird.ctl"), *words])


def test_bird_refreshes_both_ways_between_markers() -> None:
    with lab_of(two_nodes("bird", 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        assert bird(pair, "show", "protocols", "all", "peer0").count("Enhanced refresh") == 2
        for words in (("reload", "in", "all"), ("reload", "out", "all"), ("reload", "in", "all")):
            bird(pair, *words)
            pair.agree()
        pair.come_and_go()


def test_frr_refreshes_both_ways_between_markers() -> None:
    with lab_of(two_nodes("frr", 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        assert frr_capabilities(pair)["enhancedRouteRefresh"] == "advertisedAndReceived"
        for way in ("in", "out", "in"):
            frr(pair, f"clear bgp * soft {way}")
            pair.agree()
        pair.come_and_go()


def test_frr_takes_our_role_our_name_and_long_messages() -> None:
    """FRR is strict: until Wren says that it is the provider, there is no session."""
    with lab_of(two_nodes("frr", 65002, extra=FRR_ROLE)) as lab:
        pair = Pair(lab)
        with_keys(
            pair,
            {"role": "provider", "strictRole": "on", "extendedMessages": "on", "fqdn": "w.example"},
        )
        pair.sessions_come_up()
        said = frr_capabilities(pair)
        assert said["roles"] == ("customer", "provider")
        assert said["extendedMessage"] == "advertisedAndReceived"
        for family in Family:
            pair.wren_learns(THEIRS[family][0], family)
            pair.other_learns(OWN[family][0], family)


@pytest.mark.parametrize("kind", ["bird", "frr"])
def test_too_many_prefixes_close_the_session_until_the_limit_is_higher(kind: str) -> None:
    with lab_of(two_nodes(kind, 65002)) as lab:
        pair = Pair(lab)
        pair.agree()
        with_keys(pair, {"maxPrefixes": "1"})
        pair.agree()
        for prefix in ("10.77.0.0/16", "fd00:77::/48"):
            pair.other.announce(ip_network(prefix))
        becomes("the sessions fall", lambda: any(pair.wren.speaks.sessions().values()), False)
        for family in Family:
            pair.wren_forgets(THEIRS[family][0], family)
        with_keys(pair, {"maxPrefixes": "9"})
        pair.agree()
