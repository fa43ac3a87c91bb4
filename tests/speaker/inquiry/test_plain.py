"""Situations of BGP's own rules: what let a route in or kept it out, who hears it, or why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Reason
from policy.propagation import Withheld
from speaker.config.plan import Plan
from speaker.control.protocol import ControlError
from speaker.inquiry.answer import Verdict
from speaker.inquiry.inquiry import why
from speaker.inquiry.reasons import Absence, Arrival, Choice, InKernel, Note, Telling
from speaker.rib.resolving import Resolving
from speaker.speaker import Speaker
from tests.speaker.test_add_path import SENDS, add_path
from tests.speaker.test_external_networks import blue
from tests.support.resources import block, document, resources
from tests.support.routers import AS, Town, fill, narrow, on_uvloop, peer_at, quick, until
from tests.support.scripted_peer import (
    IPV4,
    capability,
    end_of_rib,
    path_attributes,
    prefix,
    route_refresh,
    update,
)
from tests.support.stories import Line, ask, check, tell

ADD = {"addCommunity": {"value": "65000:7"}}
FILTER = document(
    "BGPFilter",
    "f",
    {
        "importV4": [
            {"action": "Accept", "communities": {"values": ["65000:1"]}, "operations": [ADD]},
            {"action": "Reject", "matchOperator": "In", "cidr": "10.3.0.0/16"},
        ],
        "exportV4": [
            {
                "action": "Accept",
                "matchOperator": "Equal",
                "cidr": "10.1.0.0/16",
                "operations": [{"prependASPath": {"prefix": [AS]}}],
            },
            {"action": "Reject", "matchOperator": "In", "cidr": "10.2.0.0/16"},
        ],
    },
)


def row(
    town: Town, *numbers: int, settings: Any = None, more: Any = (), **specs: dict[str, Any]
) -> Plan:
    """Make the plan of ``r1`` with passive peers; ``p11=…`` is more of the spec of one."""
    peers = []
    for number in numbers:
        spec = dict(specs.get(f"p{number}", {}))
        keys = {"passive": "on", **spec.pop("keys", {})}
        asn = spec.pop("asn", 65000 + number)
        peers.append(town.peer(f"p{number}", number, asn, node="r1", keys=keys, **spec))
    settled = town.settings(**{"networks": "10.9.0.0/16", **(settings or {})})
    return town.plan("r1", settled, town.node("r1", 1), *peers, *more)


async def heard(router: Speaker, *prefixes: tuple[int, str]) -> None:
    """Wait until peers have told prefixes, kept or not, and all is done with it."""

    def is_known(number: int, text: str) -> bool:
        found = ask(router, text)
        return any(each.source == peer_at(router, number).name for each in found.candidates)

    await until(lambda: all(is_known(*each) for each in prefixes))
    await until(lambda: router.is_idle)


FILTERED = [
    Line(
        Arrival.RULE_ACCEPTS,
        "10.1.0.0/16",
        "import    bgpfilter/f importV4[0] (test.json:1) accepts it; adds community 65000:7\n"
        "      changed   COMMUNITIES 65000:1 → 65000:1 65000:7",
    ),
    Line(Arrival.NO_RULE_MATCHES, "10.2.0.0/16", "no import rule matches, so it is accepted"),
    Line(
        Arrival.RULE_REJECTS,
        "10.3.0.0/16",
        "10.3.0.0/16 is not there: p11 tells it, but bgpfilter/f importV4[1] (test.json:1) rejects"
        " it; packets to it have no route",
    ),
    Line(
        Arrival.RULE_REJECTS,
        "10.3.0.0/16",
        "no match  bgpfilter/f importV4[0] (test.json:1): community 65000:1 is not there",
        11,
    ),
    Line(Arrival.NO_FILTER, "10.4.0.0/16", "there is no import filter"),
    Line(
        Arrival.REFUSED,
        "10.5.0.0/16",
        f"p12 tells it, but it is refused: AS loop: {AS} stands in the AS_PATH 1 times",
    ),
    Line(
        Arrival.NETWORK,
        "10.9.0.0/16",
        "10.9.0.0/16 is used: a network of this node, by BGPConfiguration/default"
        " wren.bgp/networks, announced to 2 of 3 peers",
    ),
    Line(Arrival.EMBEDDER, "10.8.0.0/16", "announced by the program that embeds us"),
    Line(
        Arrival.BLOCK,
        "10.7.0.0/26",
        "a block of this node, by BlockAffinity/r1-10-7-0-0-26",
    ),
    Line(Choice.ONLY, "10.9.0.0/16", "* static1 (our own): the only path"),
    Line(
        Reason.AS_PATH,
        "10.1.0.0/16",
        "  p12 (eBGP AS 65012): lost to p11: longer AS_PATH (3 against 2)",
    ),
    Line(
        Telling.RULE_ACCEPTS,
        "10.1.0.0/16",
        "p12: bgpfilter/f exportV4[0] (test.json:1) accepts it; prepends 64512\n"
        "      sent      ORIGIN IGP, AS_PATH 64512 64512 65011 1, NEXT_HOP 127.0.0.1,"
        " COMMUNITIES 65000:1 65000:7",
    ),
    Line(
        Telling.RULE_REJECTS,
        "10.2.0.0/16",
        "p12: bgpfilter/f exportV4[1] (test.json:1) rejects it",
    ),
    Line(
        Telling.RULE_REJECTS,
        "10.2.0.0/16",
        "no match  bgpfilter/f exportV4[0] (test.json:1): 10.2.0.0/16 is not 10.1.0.0/16",
        12,
    ),
    Line(Telling.NOTHING_AGAINST, "10.4.0.0/16", "p11: nothing speaks against it"),
    Line(Telling.OWN, "10.4.0.0/16", "p12: it came from there"),
    Line(Telling.SESSION_DOWN, "10.4.0.0/16", "p13: the session is not up: waiting for the peer"),
    Line(Telling.NO_FAMILY, "fd00::/16", "p11: the session does not carry ipv6 unicast", 11),
    Line(Telling.NOT_USED, "10.99.0.0/16", "p11: no path is used", 11),
    Line(
        Absence.SESSION_DOWN,
        "10.99.0.0/16",
        "p13: the session is not up: waiting for the peer to connect",
    ),
    Line(Absence.NO_FAMILY, "fd00::/16", "p11, p12, p13: the session does not carry ipv6 unicast"),
    Line(Absence.NOT_TOLD, "10.99.0.0/16", "p11: has not told it\n"),
    Line(
        Absence.NOT_COMPLETE,
        "10.99.0.0/16",
        "p12: has not told it; the first table is not complete (no End-of-RIB yet)",
    ),
    Line(
        InKernel.NO_KERNEL,
        "10.4.0.0/16",
        "nothing is installed: the router runs without the kernel",
    ),
    Line(
        Resolving.TRUSTED,
        "10.4.0.0/16",
        "next hop  127.0.0.12 counts as reachable: there is no kernel to ask",
    ),
]


@on_uvloop
async def test_filters_refusals_and_who_hears_it() -> None:
    async with Town() as town:
        plan = row(
            town,
            *(11, 12, 13),
            more=[FILTER, block("10.7.0.0/26", "r1")],
            p11={"filters": ["f"]},
            p12={"filters": ["f"]},
        )
        no_imports = tuple((family, ()) for family, _ in plan.peers[_name(town, 12)].import_rules)
        plan = replace(
            plan,
            peers={
                name: replace(peer, import_rules=no_imports) if name == _name(town, 12) else peer
                for name, peer in plan.peers.items()
            },
        )
        router = await town.run(plan)
        first, second = await town.join(11), await town.join(12)
        router.originate("10.8.0.0/16")
        first.announce("10.1.0.0/16", path=[65011, 1], communities=[(65000, 1)])
        first.announce("10.2.0.0/16", "10.3.0.0/16", path=[65011, 1])
        first.send(end_of_rib())
        second.announce("10.1.0.0/16", path=[65012, 1, 2])
        second.announce("10.4.0.0/16")
        second.announce("10.5.0.0/16", path=[65012, AS])
        await heard(router, (11, "10.3.0.0/16"), (12, "10.5.0.0/16"))
        check(router, FILTERED)


def _name(town: Town, number: int) -> str:
    return f"Node_127_0_0_{number}_port_{town.port}"


NO_EXPORT, NO_ADVERTISE, SUBCONFED, NOPEER = [(0xFFFF, 0xFF00 + n) for n in (1, 2, 3, 4)]
KEPT = [
    Line(
        Withheld.NO_EXPORT, "10.1.0.0/16", "p12, p13: community NO_EXPORT, and the peer is external"
    ),
    Line(Withheld.NO_ADVERTISE, "10.2.0.0/16", "p12, p13, p14, p15: community NO_ADVERTISE"),
    Line(
        Withheld.NO_EXPORT_SUBCONFED,
        "10.3.0.0/16",
        "community NO_EXPORT_SUBCONFED, and the peer is external",
    ),
    Line(
        Withheld.NOPEER,
        "10.4.0.0/16",
        "p13: community NOPEER, and the other end is a peer without payment",
    ),
    Line(
        Withheld.ONLY_TO_CUSTOMER,
        "10.5.0.0/16",
        "p13: for customers only, and the other end is none",
    ),
    Line(
        Withheld.SPLIT_HORIZON,
        "10.6.0.0/16",
        "p15: learned over iBGP, and neither side is a route reflector client",
    ),
    Line(Telling.IS_NEXT_HOP, "10.7.0.0/16", "p15: its next hop is the peer itself"),
    Line(
        Telling.TOO_LARGE,
        "10.8.0.0/16",
        "its attributes leave no room for a prefix in a message of 4096 octets",
    ),
]


@on_uvloop
async def test_what_the_protocol_keeps_from_peers() -> None:
    async with Town() as town:
        router = await town.run(
            row(
                town,
                *(11, 12, 13, 14, 15),
                p13={"keys": {"role": "peer"}},
                p14={"asn": AS},
                p15={"asn": AS},
            )
        )
        first = await town.join(11)
        await town.join(12), await town.join(13)
        inside = await town.join(14, asn=AS)
        await town.join(15, asn=AS)
        for number, community in enumerate((NO_EXPORT, NO_ADVERTISE, SUBCONFED, NOPEER), 1):
            first.announce(f"10.{number}.0.0/16", communities=[community])
        first.announce("10.5.0.0/16", otc=65011)
        inside.announce("10.6.0.0/16", path=[7], local_pref=100)
        first.announce("10.7.0.0/16", next_hop="127.0.0.15")
        first.announce("10.8.0.0/16", communities=[(1, n) for n in range(1011)])
        await heard(router, (11, "10.8.0.0/16"), (14, "10.6.0.0/16"))
        check(router, KEPT)


@on_uvloop
async def test_a_peer_to_which_no_next_hop_could_be_told() -> None:
    """Our own address is of the other family, and the peer's next hop is none of ours."""
    both = {"keys": {"families": "ipv4,ipv6"}}
    async with Town() as town:
        router = await town.run(row(town, 11, 12, p11=both, p12=both))
        first = await town.join(11, families=(IPV4, 2))
        await town.join(12, families=(IPV4, 2))
        first.announce_ipv6("2001:db8:1::/48", next_hop="2001:db8::11")
        await heard(router, (11, "2001:db8:1::/48"))
        words = "p12: there is no address of ours that the peer could take for the next hop"
        check(router, [Line(Withheld.NO_NEXT_HOP, "2001:db8:1::/48", words)])


@on_uvloop
async def test_a_limit_on_what_is_told() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, 12, p12={"keys": {"maxPrefixesOut": "1 drop"}}))
        first, second = await town.join(11), await town.join(12)
        await second.until(lambda: "10.9.0.0/16" in second.table)
        first.announce("10.1.0.0/16")
        await heard(router, (11, "10.1.0.0/16"))
        words = "p12: more than 1 prefixes are not told (maxPrefixesOut)"
        check(router, [Line(Telling.NO_ROOM, "10.1.0.0/16", words)])
        assert "10.9.0.0/16 is used" in tell(ask(router, "10.9.0.0/16", 12))


@on_uvloop
async def test_a_limit_on_what_is_kept() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, p11={"keys": {"maxPrefixes": "1 drop"}}))
        first = await town.join(11)
        first.announce("10.1.0.0/16", "10.2.0.0/16")
        await heard(router, (11, "10.2.0.0/16"))
        words = "p11 tells it, but it is refused: too much: no more than 1 prefixes are kept"
        check(router, [Line(Arrival.REFUSED, "10.2.0.0/16", words)])


@on_uvloop
async def test_a_peer_that_reads_slowly_and_a_route_that_has_just_come() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, 12))
        first, second = await town.join(11), await town.join(12, receive_buffer=4096)
        await second.until_ended()
        second.stop_reading()
        narrow(router, 12)
        fill(first, 20_000)
        first.announce("192.0.2.0/24")
        await heard(router, (11, "192.0.2.0/24"))
        words = "p12: nothing speaks against it; it waits for the peer to read what came before"
        check(router, [Line(Telling.WAITS, "192.0.2.0/24", words)])
        second.read_on()
        await second.until(lambda: "192.0.2.0/24" in second.table)
        router.originate("10.8.0.0/16")
        words = "p11, p12: nothing speaks against it; it is told with what has just changed"
        check(router, [Line(Telling.SOON, "10.8.0.0/16", words)])


@on_uvloop
async def test_a_peer_that_is_told_several_paths_but_not_all() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, 12, 13, 14, p14={"keys": {"addPath": "send 1"}}))
        tellers = [await town.join(number) for number in (11, 12, 13)]
        receives = add_path(1, IPV4)
        await town.join(14, more=receives)
        for number, teller in enumerate(tellers):
            teller.announce("10.1.0.0/16", path=[65011 + number, *range(1, number + 1)])
        await heard(router, *((number, "10.1.0.0/16") for number in (11, 12, 13)))
        found = ask(router, "10.1.0.0/16", 14)
        assert [each.told for each in found.told] == [True, False, False]
        words = "p14: no more than the best 1 paths are told"
        check(router, [Line(Telling.NOT_CHOSEN, "10.1.0.0/16", words)])


@on_uvloop
async def test_two_paths_of_one_peer_with_their_identifiers() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, p11={"keys": {"addPath": "both"}}))
        peer = await town.join(11, more=add_path(SENDS, IPV4))
        for number, hop in enumerate(("127.0.0.9", "127.0.0.8"), 1):
            octets = path_attributes([65011], next_hop=hop)
            peer.send(update(b"", octets, number.to_bytes(4, "big") + prefix("10.1.0.0/16")))
        await until(lambda: len(ask(router, "10.1.0.0/16").candidates) == 2)
        words = "p11 (eBGP AS 65011), path id 1: lost to p11: another path of the same peer"
        check(router, [Line(Reason.SAME_PEER, "10.1.0.0/16", words)])


@on_uvloop
async def test_routes_of_an_external_network() -> None:
    async with Town() as town:
        router = await town.run(blue(row(town, 11, 12), 11))
        inside = await town.join(11)
        await town.join(12)
        inside.announce("10.1.0.0/16")
        await heard(router, (11, "10.1.0.0/16"))
        told = "p12: routes of an external network are told to nobody"
        lines = [
            Line(
                Choice.ANOTHER_TABLE,
                "10.1.0.0/16",
                "10.1.0.0/16 is used: via 127.0.0.11 (eBGP AS 65011), in table 500 alone",
            ),
            Line(Telling.EXTERNAL, "10.1.0.0/16", told),
        ]
        check(router, lines)


HONOURED = [
    Line(
        Note.GRACEFUL_SHUTDOWN,
        "10.1.0.0/16",
        "note      community GRACEFUL_SHUTDOWN is honoured: LOCAL_PREF is 0",
    ),
    Line(
        Note.BLACKHOLE,
        "10.2.0.1/32",
        "note      community BLACKHOLE is honoured: packets are dropped",
    ),
    Line(
        Note.BLACKHOLE_TOO_SHORT,
        "10.2.0.0/24",
        "note      community BLACKHOLE is not honoured: only for /32 it would be",
    ),
    Line(
        Note.STALE,
        "10.1.0.0/16",
        "not told again since the peer began to tell everything anew",
    ),
]


@on_uvloop
async def test_wishes_that_are_honoured_and_routes_that_are_stale() -> None:
    async with Town() as town:
        keys = {"gracefulShutdown": "on", "blackhole": "on"}
        router = await town.run(row(town, 11, p11={"keys": keys}))
        peer = await town.join(11, more=capability(70))
        peer.announce("10.1.0.0/16", communities=[(0xFFFF, 0)])
        peer.announce("10.2.0.1/32", "10.2.0.0/24", communities=[(0xFFFF, 666)])
        peer.send(route_refresh(subtype=1))
        await heard(router, (11, "10.2.0.0/24"))
        exchange = peer_at(router, 11).exchange
        assert exchange is not None
        await until(lambda: any(rib.stale for rib in exchange.inbound.ribs.values()))
        check(router, HONOURED)


@on_uvloop
async def test_a_route_that_a_new_policy_has_not_come_to_yet() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11))
        peer = await town.join(11)
        peer.announce("10.3.0.0/16")
        await heard(router, (11, "10.3.0.0/16"))
        await router.apply(row(town, 11, more=[FILTER], p11={"filters": ["f"]}))
        words = "note      the import policy is new, and has not come to this route yet"
        check(router, [Line(Note.JUDGED_ANEW, "10.3.0.0/16", words)])
        await until(lambda: ask(router, "10.3.0.0/16").verdict is Verdict.ABSENT)
        await until(lambda: router.is_idle)
        assert words not in tell(ask(router, "10.3.0.0/16"))


@on_uvloop
async def test_a_rule_is_named_by_the_place_where_it_is_written_now() -> None:
    """Peers with equal rules share a filter, whatever it is called, and files are edited."""
    async with Town() as town:
        other = {**FILTER, "metadata": {"name": "g"}}
        specs = {"p11": {"filters": ["f"]}, "p12": {"filters": ["g"]}}
        router = await town.run(row(town, 11, 12, 13, more=[FILTER, other], **specs))
        for number in (11, 12, 13):
            last = await town.join(number)
        last.announce("10.2.0.0/16")
        await heard(router, (13, "10.2.0.0/16"))
        text = tell(ask(router, "10.2.0.0/16"))
        assert "p11: bgpfilter/f exportV4[1] (test.json:1) rejects it" in text
        assert "p12: bgpfilter/g exportV4[1] (test.json:1) rejects it" in text


@on_uvloop
async def test_a_rule_of_a_route_policy_says_why_it_rejects() -> None:
    async with Town() as town:
        rule = {"action": "Reject", "communities": {"values": ["65000:1", "65000:2"]}}
        policy = document("RoutePolicy", "p", {"importV4": [{**rule, "reason": "leaked"}]})
        router = await town.run(row(town, 11, more=[policy], p11={"filters": ["p"]}))
        peer = await town.join(11)
        peer.announce("10.1.0.0/16", communities=[(65000, 2)])
        peer.announce("10.2.0.0/16")
        await heard(router, (11, "10.1.0.0/16"), (11, "10.2.0.0/16"))
        words = "p11 tells it, but routepolicy/p importV4[0] (test.json:1) rejects it: leaked"
        missed = "no match  routepolicy/p importV4[0] (test.json:1): none of the communities"
        lines = [
            Line(Arrival.RULE_REJECTS, "10.1.0.0/16", words),
            Line(Arrival.NO_RULE_MATCHES, "10.2.0.0/16", missed, 11),
        ]
        check(router, lines)
        assert ask(router, "10.1.0.0/16").candidates[0].judged.reason == "leaked"


@on_uvloop
async def test_a_session_that_is_held_down_for_want_of_its_password() -> None:
    from speaker.config.plan import resolve

    async with Town() as town:
        key = {"secretKeyRef": {"name": "s", "key": "k"}}
        bad = town.peer("bad", 12, 65012, node="r1", password=key)
        documents = [town.settings(), town.node("r1", 1), bad]
        router = await town.run(quick(resolve(resources(*documents), "r1", strict_secrets=True)))
        words = "p12: the session is held down: its password or key is missing"
        check(router, [Line(Absence.HELD, "10.1.0.0/16", words)])
        with pytest.raises(ControlError, match="is held down: its password or key is missing"):
            why(router, "10.1.0.0/16", "bad")


@on_uvloop
async def test_two_octet_as_numbers_are_shown_whole() -> None:
    async with Town() as town:
        two_octets = {"keys": {"fourOctetAS": "off"}}
        router = await town.run(row(town, 11, 12, settings={"networks": ""}, p12=two_octets))
        first, second = await town.join(11), await town.join(12)
        # It does not read such paths.
        second.stop_reading()
        first.announce("10.1.0.0/16", path=[65011, 4_200_000_000])
        await heard(router, (11, "10.1.0.0/16"))
        assert "AS_PATH 64512 65011 4200000000" in tell(ask(router, "10.1.0.0/16", 12))


COVERED = [
    *(line.reason for line in (*FILTERED, *KEPT, *HONOURED)),
    Withheld.NO_NEXT_HOP,
    Telling.NO_ROOM,
    Telling.WAITS,
    Telling.SOON,
    Telling.NOT_CHOSEN,
    Telling.EXTERNAL,
    Choice.ANOTHER_TABLE,
    Note.JUDGED_ANEW,
    Absence.HELD,
]
"""Reasons that are looked for here."""
