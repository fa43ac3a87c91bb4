"""RoutePolicies in a router: who shares what is told, and what an edit does to sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fsm.family import IPV4_UNICAST
from policy.prefix import parse_prefix
from policy.propagation import Withheld
from speaker.config.plan import Plan
from speaker.inquiry.inquiry import why
from speaker.inquiry.text import lines
from speaker.speaker import Speaker
from tests.support.resources import document
from tests.support.routers import AS, Town, on_uvloop, until, uptimes

OPERATIONS: dict[str, dict[str, Any]] = {
    "setMED": {"value": 9},
    "asOverride": {},
    "removePrivateAS": {},
}


def policy(name: str, **chains: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return document("RoutePolicy", name, chains)


def does(*names: str) -> list[dict[str, Any]]:
    return [{"action": "Accept", "operations": [{name: OPERATIONS[name]} for name in names]}]


def plan(town: Town, *policies: dict[str, Any], filters: Sequence[str] = ()) -> Plan:
    """Three external peers; 12 and 13 have the filters."""
    keys = {"passive": "on"}
    return town.plan(
        "r1",
        town.settings(),
        town.node("r1", 1),
        town.peer("p11", 11, 65011, node="r1", keys=keys),
        town.peer("p12", 12, 65012, node="r1", keys=keys, filters=list(filters)),
        town.peer("p13", 13, 65013, node="r1", keys=keys, filters=list(filters)),
        *policies,
    )


def groups(router: Speaker) -> int:
    return len([group for group in router.exports if group.family == IPV4_UNICAST])


@on_uvloop
async def test_the_peers_as_parts_peers_only_where_a_rule_asks_for_it() -> None:
    async with Town() as town:
        router = await town.run(plan(town, policy("p", exportV4=does("setMED")), filters=["p"]))
        teller, first, second = [await town.join(number) for number in (11, 12, 13)]
        before = uptimes(router)
        teller.announce("10.1.0.0/16", path=[65011, 65012, 65013, 1])
        await first.until(lambda: first.table)
        await second.until(lambda: second.table)
        # One for 11, and one for both others.
        assert groups(router) == 2
        assert first.table["10.1.0.0/16"].med == second.table["10.1.0.0/16"].med == 9
        await router.apply(plan(town, policy("p", exportV4=does("asOverride")), filters=["p"]))
        path = (AS, 65011, AS, 65013, 1)
        await first.until(lambda: first.table["10.1.0.0/16"].as_path == path)
        path = (AS, 65011, 65012, AS, 1)
        await second.until(lambda: second.table["10.1.0.0/16"].as_path == path)
        assert groups(router) == 3
        await router.apply(plan(town, policy("p", exportV4=does("setMED")), filters=["p"]))
        await first.until(lambda: first.table["10.1.0.0/16"].med == 9)
        await until(lambda: groups(router) == 2)
        assert uptimes(router) == before


@on_uvloop
async def test_alike_policies_of_other_names_share_what_is_told() -> None:
    async with Town() as town:
        keys = {"passive": "on"}
        peers = [
            town.peer(f"p{n}", n, 65000 + n, node="r1", keys=keys, filters=[f"of{n}"])
            for n in (12, 13)
        ]
        chain = [{"action": "Accept", "asPathRegex": "_1$"}, {"action": "Reject"}]
        policies = [policy(f"of{n}", exportV4=chain) for n in (12, 13)]
        made = town.plan("r1", town.settings(), town.node("r1", 1), *peers, *policies)
        router = await town.run(made)
        for number in (12, 13):
            await town.join(number)
        await until(lambda: groups(router) == 1)


@on_uvloop
@pytest.mark.parametrize("operation", ["asOverride", "removePrivateAS"])
async def test_our_own_loops_are_still_seen(operation: str) -> None:
    """What comes back with our AS in its path is not used, whatever rules do to paths."""
    async with Town() as town:
        router = await town.run(plan(town, policy("p", exportV4=does(operation)), filters=["p"]))
        teller, first = await town.join(11), await town.join(12)
        teller.announce("10.1.0.0/16", path=[65011, 65012])
        await first.until(lambda: first.table)
        heard = first.table["10.1.0.0/16"].as_path
        assert AS in heard
        first.announce("10.2.0.0/16", path=[65012, *heard])
        first.announce("10.3.0.0/16", path=[65012])
        best = router.loc_ribs[IPV4_UNICAST].best
        await until(lambda: parse_prefix("10.3.0.0/16")[1] in best)
        assert parse_prefix("10.2.0.0/16")[1] not in best


@on_uvloop
async def test_a_session_without_an_address_of_ours_is_told_what_has_a_next_hop() -> None:
    """IPv6 routes over IPv4, and no IPv6 address here: a rule names one."""
    rules: list[dict[str, Any]] = [
        {
            "action": "Accept",
            "cidr": "2001:db8:1::/48",
            "matchOperator": "Equal",
            "operations": [{"setNextHop": {"value": "2001:db8::77"}}],
        },
        {"action": "Accept"},
    ]
    async with Town() as town:
        keys = {"passive": "on", "families": "ipv4,ipv6"}
        peers = [
            town.peer("p11", 11, 65011, node="r1", keys=keys),
            town.peer("p12", 12, 65012, node="r1", keys=keys, filters=["p"]),
        ]
        made = town.plan(
            "r1", town.settings(), town.node("r1", 1), *peers, policy("p", exportV6=rules)
        )
        router = await town.run(made)
        families = (1, 2)
        teller = await town.join(11, families=families)
        other = await town.join(12, families=families)
        for prefix in ("2001:db8:1::/48", "2001:db8:2::/48"):
            teller.announce_ipv6(prefix, next_hop="2001:db8::11", path=[65011])
        await other.until(lambda: other.table)
        assert other.table["2001:db8:1::/48"].next_hop == "2001:db8::77"
        await other.until_ended(2)
        assert set(other.table) == {"2001:db8:1::/48"}
        asked = [
            why(router, f"2001:db8:{n}::/48", f"Node_127_0_0_12_port_{town.port}") for n in (1, 2)
        ]
        said = ["\n".join(lines(each)) for each in asked]
        assert "sets the next hop 2001:db8::77" in said[0]
        assert Withheld.NO_NEXT_HOP.value in said[1]
