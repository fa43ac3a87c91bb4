"""The answer as a value, as lines and as JSON; what is asked wrongly; and that it agrees."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

import speaker
from fsm.family import IPV4_UNICAST
from policy.prefix import show
from speaker.control.protocol import ControlError
from speaker.inquiry import text
from speaker.inquiry.answer import Verdict
from speaker.inquiry.inquiry import why
from speaker.speaker import Speaker
from tests.speaker.inquiry.test_plain import FILTER, heard, row
from tests.support.resources import document
from tests.support.routers import Town, on_uvloop, peer_at, table_of, until
from tests.support.scripted_peer import ScriptedPeer
from tests.support.stories import ask, tell


@on_uvloop
async def test_the_answer_is_a_frozen_value_and_its_json_is_made_of_its_fields() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, 12, more=[FILTER], p11={"filters": ["f"]}))
        first = await town.join(11)
        await town.join(12)
        first.announce("10.1.0.0/16", communities=[(65000, 1)])
        await heard(router, (11, "10.1.0.0/16"))
        found = speaker.why(router, "10.1.0.0/16")
        assert isinstance(found, speaker.Why)
        assert found.is_used
        assert hash(found) == hash(speaker.why(router, "10.1.0.0/16"))
        with pytest.raises(FrozenInstanceError):
            found.summary = ""  # type: ignore[misc]
        plain = json.loads(json.dumps(found.as_json()))
        assert plain["verdict"] == "Used"
        assert plain["summary"] == found.summary == str(found).split("\n")[0]
        [candidate] = plain["candidates"]
        assert candidate["isBest"] is True
        assert candidate["judged"]["because"]["reason"] == "RuleAccepts"
        assert candidate["judged"]["rule"] == "bgpfilter/f importV4[0] (test.json:1)"
        assert candidate["judged"]["operations"] == ["adds community 65000:7"]
        assert candidate["received"]["COMMUNITIES"] == "65000:1"
        assert candidate["used"]["COMMUNITIES"] == "65000:1 65000:7"
        assert candidate["chosen"] == {"reason": "Only", "words": "the only path"}
        [one, two] = plain["told"]
        assert (one["told"], one["judged"]["because"]["reason"]) == (False, "Own")
        assert two["attributes"]["AS_PATH"] == "64512 65011"
        assert plain["around"]["moreSpecific"] == []


@on_uvloop
async def test_what_is_asked_wrongly() -> None:
    async with Town() as town:
        router = await town.run(row(town, 11, 12))
        for asked, words in {
            "10.1.0.0/33": "'10.1.0.0/33' is no prefix and no address; give it as 10.0.1.0/24",
            "nonsense": "'nonsense' is no prefix and no address; give it as",
            "10.1.0.1/16": "10.1.0.1/16 has host bits set; the prefix is 10.1.0.0/16",
            "fe80::1%eth0": "'fe80::1%eth0' names a link; routes have none",
            "": "'' is no prefix and no address",
        }.items():
            with pytest.raises(ControlError) as refused:
                why(router, asked)
            assert str(refused.value).startswith(words)
        with pytest.raises(ControlError) as unknown:
            why(router, "10.1.0.0/16", "127.0.0.13")
        name = peer_at(router, 11).name
        assert str(unknown.value).startswith("there is no peer 127.0.0.13; did you mean 127.0.0.1")
        assert f"the peers are: {name}, " in str(unknown.value)
        assert why(router, " 10.1.0.0/16 ", "127.0.0.11").peer == name


@on_uvloop
async def test_of_many_peers_that_fare_alike_a_few_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text, "NAMED", 3)
    async with Town() as town:
        router = await town.run(row(town, *range(11, 17)))
        assert "  p11, p12 and 4 more: the session is not up" in tell(ask(router, "10.9.0.0/16"))
        monkeypatch.setattr("speaker.status.NAMED", 2)
        with pytest.raises(ControlError) as unknown:
            why(router, "10.9.0.0/16", "nobody")
        assert str(unknown.value).endswith(" and 4 more")


@on_uvloop
async def test_of_many_rules_that_do_not_match_the_last_are_named() -> None:
    async with Town() as town:
        rules = [{"action": "Accept", "communities": {"values": [f"65000:{n}"]}} for n in range(25)]
        chain = document("BGPFilter", "long", {"importV4": [*rules, {"action": "Reject"}]})
        router = await town.run(row(town, 11, more=[chain], p11={"filters": ["long"]}))
        peer = await town.join(11)
        peer.announce("10.1.0.0/16")
        await heard(router, (11, "10.1.0.0/16"))
        text = tell(ask(router, "10.1.0.0/16", 11))
        assert "      no match  5 rules before these\n" in text
        assert "importV4[5] (test.json:1): community 65000:5 is not there" in text
        assert len(ask(router, "10.1.0.0/16").candidates[0].judged.misses) == 25


async def agree(router: Speaker, peers: dict[int, ScriptedPeer]) -> None:
    """See that each peer holds what it is said to be told, and nothing else."""
    await until(lambda: router.is_idle)
    best = [show(IPV4_UNICAST.afi, nlri) for nlri in router.loc_ribs[IPV4_UNICAST].best]
    for prefix in best:
        said = {peer_at(router, number).name: number for number in peers}
        told = {said[each.peer] for each in ask(router, prefix).told if each.told}
        for number, peer in peers.items():
            await peer.until(lambda p=peer, n=number: (prefix in p.table) == (n in told))  # type: ignore[misc]  # noqa: B023 - awaited here
            if number in told:
                [one] = [each for each in ask(router, prefix, number).told if each.told]
                path = " ".join(map(str, peer.table[prefix].as_path)) or "empty"
                assert dict(one.attributes)["AS_PATH"] == path
                assert dict(one.attributes)["NEXT_HOP"] == peer.table[prefix].next_hop


@on_uvloop
async def test_what_is_said_is_what_peers_have_heard() -> None:
    async with Town() as town:
        plan = row(
            town,
            *(11, 12, 13, 14),
            more=[FILTER],
            p12={"filters": ["f"]},
            p13={"keys": {"role": "peer"}},
            p14={"asn": 64512},
        )
        router = await town.run(plan)
        peers = {n: await town.join(n) for n in (11, 12, 13)}
        peers[14] = await town.join(14, asn=64512)
        peers[11].announce("10.1.0.0/16", "10.2.0.0/16", path=[65011, 7])
        peers[11].announce("10.3.0.0/16", communities=[(0xFFFF, 0xFF01)])
        peers[12].announce("10.1.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
        peers[13].announce("10.5.0.0/16", otc=65013)
        peers[14].announce("10.6.0.0/16", path=[9], local_pref=50)
        await heard(router, (12, "10.4.0.0/16"), (13, "10.5.0.0/16"), (14, "10.6.0.0/16"))
        await agree(router, peers)


@on_uvloop
async def test_a_large_table_is_not_walked() -> None:
    """Of 30,000 prefixes no more is looked at than the lengths around one, and a part."""
    async with Town() as town:
        router = await town.run(row(town, 11))
        peer = await town.join(11)
        prefixes = [*table_of(30_000), "10.0.0.0/8"]
        peer.announce(*prefixes)
        await until(lambda: len(router.loc_ribs[IPV4_UNICAST].best) == len(prefixes) + 1)
        found = ask(router, "10.0.0.0/8")
        assert found.verdict is Verdict.USED
        assert (found.around.complete, found.around.count > 1000) == (False, True)
        assert "more specific routes, at least " in tell(found)
