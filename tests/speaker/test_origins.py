"""What RPKI says of routes, in a running router: who is told what, and what a change costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fsm.family import Afi
from policy.prefix import PrefixError
from policy.vrps import Validity, Vrp
from speaker.clock import Clock
from speaker.errors import ConfigError
from speaker.foresight import Foresight
from speaker.notices import CacheChanged
from speaker.origin_views import rpki, validity
from speaker.origins import MANY
from speaker.route_views import RouteViews
from speaker.rpki.pdus import CacheResponse, ErrorCode, PrefixPdu, SerialNotify, encode
from speaker.speaker import Speaker
from tests.support.resources import document
from tests.support.routers import Town, best, on_both_loops, on_uvloop, table_of, until, uptimes
from tests.support.scripted_cache import ScriptedCache, vrp
from tests.support.scripted_peer import ScriptedPeer

VALID, INVALID, UNKNOWN = "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"
ALL = {VALID, INVALID, UNKNOWN}
TELLER, LISTENER = 11, 12
AS = 65000 + TELLER
SAID = (vrp(VALID, AS), vrp(INVALID, 64999))
REJECT: Mapping[str, Any] = {"action": "Reject"}


class Ahead(Clock):
    """A clock that a test puts forward."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Street:
    """A router, a cache, a peer that tells routes and one that hears them."""

    def __init__(self, town: Town, cache: ScriptedCache) -> None:
        self.town = town
        self.cache = cache
        self.clock = Ahead()
        self.router: Speaker
        self.teller: ScriptedPeer
        self.listener: ScriptedPeer

    async def start(self, *documents: Mapping[str, Any], settings: str = "", **peer: Any) -> None:
        """Run with these documents besides; keys and fields are those of the teller's BGPPeer."""
        self.router = await self.town.run(
            self.plan(*documents, settings=settings, **peer), clock=self.clock
        )
        self.listener = await self.town.join(LISTENER, hold_time=0)
        self.teller = await self.town.join(TELLER, hold_time=0)

    def plan(
        self,
        *documents: Mapping[str, Any],
        settings: str = "",
        caches: Mapping[str, Mapping[str, Any]] | None = None,
        listener: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
        **peer: Any,
    ) -> Any:
        """Make the plan; the cache of the street is the only one unless something else is said."""
        here = {"c": {"address": "127.0.0.1", "port": self.cache.port}}
        own = {"passive": "on", "holdTime": "0"}
        configuration = dict(self.town.settings())
        if settings:
            annotations = {**configuration["metadata"]["annotations"], _KEY: settings}
            configuration["metadata"] = {**configuration["metadata"], "annotations": annotations}
        return self.town.plan(
            "r1",
            configuration,
            self.town.node("r1", 1),
            self.town.peer("teller", TELLER, AS, node="r1", keys={**own, **(keys or {})}, **peer),
            self.town.peer("listener", LISTENER, 65012, node="r1", keys=own, **(listener or {})),
            *(
                document("RPKICache", name, spec)
                for name, spec in (here if caches is None else caches).items()
            ),
            *documents,
        )

    async def is_in_sync(self) -> None:
        """Wait until everything that the cache says has been judged by."""
        cache = self.router.origins.caches["c"].client
        await until(lambda: cache.session == (self.cache.session, self.cache.serial))
        await until(lambda: self.router.is_idle)

    def tell(self) -> None:
        """Tell a route of each kind."""
        self.teller.announce(*sorted(ALL))

    async def hears(self, *prefixes: str) -> None:
        """Wait until the listener has these routes and no others."""
        await self.listener.until(lambda: self.listener.table.keys() == set(prefixes))


_KEY = "wren.bgp/rejectInvalid"


@asynccontextmanager
async def street(*vrps: Vrp, version: int = 1) -> AsyncIterator[Street]:
    async with ScriptedCache(*vrps, version=version) as cache, Town() as town:
        yield Street(town, cache)


def policy(name: str, **chains: list[dict[str, Any]]) -> dict[str, Any]:
    return document("RoutePolicy", name, chains)


@on_both_loops
async def test_invalid_routes_are_rejected_once_a_cache_has_spoken_and_not_before() -> None:
    """RFC 6811 §2: before, all are NotFound; and only what is Invalid is withdrawn."""
    async with street(*SAID) as here:
        here.cache.silent = True
        await here.start(keys={"rejectInvalid": "on"})
        here.tell()
        await here.hears(*ALL)
        await here.cache.close()
        here.cache.silent = False
        await here.cache.open()
        await here.hears(VALID, UNKNOWN)
        assert here.listener.withdrawn == 1
        assert best(here.router).keys() == {VALID, UNKNOWN}


@on_both_loops
async def test_a_change_of_vrps_is_told_for_the_routes_that_it_is_about_alone() -> None:
    async with street(*SAID) as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        told, up = here.listener.announced, uptimes(here.router)
        here.cache.say(*SAID, vrp(INVALID, AS))
        await here.hears(*ALL)
        assert (here.listener.announced - told, here.listener.withdrawn) == (1, 0)
        here.cache.say(SAID[1], vrp(VALID, 64999))
        await here.hears(UNKNOWN)
        assert here.listener.withdrawn == 2
        assert uptimes(here.router) == up


@on_both_loops
async def test_a_cache_that_dies_and_returns_with_the_same_data_costs_nothing() -> None:
    async with street(*SAID) as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        story = list(here.listener.story)
        failing = here.router.origins.conditions
        for session in (here.cache.session, 99):
            await here.cache.close()
            await until(lambda: list(failing()))
            assert "2 VRPs stay until they expire" in next(failing()).message
            # A cache that has forgotten its session is asked for everything.
            here.cache.session = session
            await here.cache.open()
            await until(lambda: not list(failing()))
            await here.is_in_sync()
        assert here.listener.story == story


@on_both_loops
async def test_data_that_expires_counts_no_more() -> None:
    """RFC 8210 §6."""
    async with street(*SAID) as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        await here.cache.close()
        here.clock.ahead = 7201.0
        await here.hears(*ALL)
        [condition] = here.router.origins.conditions()
        assert condition.resource == "RPKICache/c"
        assert "its VRPs have expired" in condition.message
        assert len(here.town.said.of("cache_expired")) == 1
        await here.cache.open()
        await here.hears(VALID, UNKNOWN)


@on_both_loops
async def test_caches_are_joined_and_come_and_go_without_a_reset() -> None:
    async with street(SAID[0]) as here, ScriptedCache(SAID[1]) as second:
        await here.start(keys={"rejectInvalid": "on"})
        here.tell()
        await here.hears(*ALL)
        up = uptimes(here.router)
        both = {
            "c": {"address": "127.0.0.1", "port": here.cache.port},
            "d": {"address": "127.0.0.1", "port": second.port},
        }
        keys = {"rejectInvalid": "on"}
        [change] = await here.router.apply(here.plan(caches=both, keys=keys))
        assert change.describe() == f"asks caches of RPKI: also d at 127.0.0.1:{second.port}"
        await here.hears(VALID, UNKNOWN)
        await here.router.apply(here.plan(keys=keys))
        await here.hears(*ALL)
        assert uptimes(here.router) == up
        assert here.cache.connections == 1


@on_both_loops
async def test_rules_of_a_policy_ask_what_rpki_says_on_the_way_in() -> None:
    rules: list[dict[str, Any]] = [
        {**REJECT, "rpki": "Invalid", "reason": "not theirs"},
        {
            "action": "Accept",
            "rpki": "Valid",
            "operations": [{"addCommunity": {"value": "65000:1"}}],
        },
        {
            "action": "Accept",
            "rpki": "NotFound",
            "operations": [{"addCommunity": {"value": "65000:2"}}],
        },
    ]
    async with street(*SAID) as here:
        await here.start(policy("in", importV4=rules), filters=["in"])
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        seen = {name: heard.communities for name, heard in here.listener.table.items()}
        assert seen == {VALID: frozenset({(65000, 1)}), UNKNOWN: frozenset({(65000, 2)})}
        here.cache.say(*SAID, vrp(UNKNOWN, AS))
        await here.listener.until(
            lambda: here.listener.table[UNKNOWN].communities == frozenset({(65000, 1)})
        )
        assert here.listener.withdrawn == 0


@on_both_loops
async def test_rules_of_a_policy_ask_what_rpki_says_on_the_way_out() -> None:
    """RFC 8893."""
    async with street(*SAID) as here:
        out = policy("out", exportV4=[{**REJECT, "rpki": "Invalid"}])
        await here.start(out, listener={"filters": ["out"]})
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        assert best(here.router).keys() == ALL
        told = here.listener.announced
        here.cache.say(*SAID, vrp(INVALID, AS))
        await here.hears(*ALL)
        here.cache.say(SAID[0])
        here.cache.say(SAID[0], vrp(UNKNOWN, 1))
        await here.hears(VALID, INVALID)
        assert (here.listener.announced - told, here.listener.withdrawn) == (1, 1)


@on_both_loops
async def test_the_default_of_the_cluster_is_for_ebgp_and_a_peer_may_say_otherwise() -> None:
    async with street(*SAID) as here:
        await here.start(settings="on")
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        await here.router.apply(here.plan(settings="on", keys={"rejectInvalid": "off"}))
        await here.hears(*ALL)


@on_uvloop
async def test_a_route_that_comes_from_another_as_is_judged_by_that() -> None:
    async with street(vrp(VALID, AS)) as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        here.teller.announce(VALID, path=[AS, 64999])
        here.teller.announce(UNKNOWN)
        await here.hears(UNKNOWN)
        here.teller.announce(VALID, path=[AS])
        await here.hears(VALID, UNKNOWN)


@on_uvloop
async def test_very_many_changes_have_everything_judged_anew() -> None:
    async with street() as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        prefixes = table_of(500)
        here.teller.announce(*prefixes)
        await here.hears(*prefixes)
        much = [vrp(f"{100 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24", 1) for n in range(MANY + 1)]
        here.cache.say(*much, *(vrp(prefix, 64999) for prefix in prefixes[:10]))
        await here.hears(*prefixes[10:])
        here.cache.say()
        await here.hears(*prefixes)


@on_uvloop
async def test_a_cache_that_never_rests_keeps_no_route_from_being_judged() -> None:
    async with street() as here:
        await here.start(keys={"rejectInvalid": "on"})
        prefixes = table_of(3000)
        here.teller.announce(*prefixes)
        await here.listener.until(lambda: len(here.listener.table) == len(prefixes))
        for n in range(30):
            said = [vrp(prefix, 64999) for prefix in prefixes[: n % 2 * 2000]]
            here.router.origins.put("restless", said)
            await asyncio.sleep(0)
        here.router.origins.put("restless", [vrp(prefixes[0], 64999)])
        await here.hears(*prefixes[1:])


@on_both_loops
async def test_a_cache_that_says_too_much_harms_nobody_but_itself() -> None:
    """Routes are told on meanwhile, its earlier word stays, and no more is kept than is allowed."""
    async with street(*SAID) as here:
        spec = {"address": "127.0.0.1", "port": here.cache.port, "maxVRPs": 20_000}
        await here.start(keys={"rejectInvalid": "on"}, caches={"c": spec})
        await here.is_in_sync()
        here.cache.silent = True
        here.cache.send(SerialNotify(here.cache.session, 2))
        await until(lambda: len(here.cache.queries) > 1)
        much = [vrp(f"10.{n >> 8 & 255}.{n & 255}.0/24", 1 + (n >> 16)) for n in range(30_000)]
        here.cache.send(CacheResponse(here.cache.session))
        here.cache.send(b"".join(encode(PrefixPdu(True, *each), 1) for each in much))
        here.tell()
        await here.hears(VALID, UNKNOWN)
        await until(lambda: here.cache.errors == [ErrorCode.INTERNAL_ERROR])
        assert here.router.origins.caches["c"].client.size == len(SAID)
        here.teller.announce("10.0.0.0/24")
        await here.hears(VALID, UNKNOWN, "10.0.0.0/24")


@on_uvloop
async def test_an_embedder_has_a_word_of_his_own() -> None:
    async with street() as here:
        await here.start(keys={"rejectInvalid": "on"})
        here.tell()
        await here.hears(*ALL)
        origins = here.router.origins
        origins.put("mine", SAID)
        await here.hears(VALID, UNKNOWN)
        assert origins.validity(VALID, AS) is Validity.VALID
        assert origins.validity(VALID, 1) is Validity.INVALID
        assert origins.validity(UNKNOWN, AS) is Validity.NOT_FOUND
        assert origins.covering("192.0.2.128/25") == [(SAID[0], ("mine (by hand)",))]
        origins.put("mine", ())
        await here.hears(*ALL)
        with pytest.raises(PrefixError, match="nonsense is no prefix"):
            origins.validity("nonsense", 1)
        with pytest.raises(ConfigError, match="is no VRP"):
            origins.put("mine", [SAID[0]._replace(max_length=23)])


@on_uvloop
async def test_an_embedder_is_told_of_caches() -> None:
    async with street(*SAID) as here:
        router = here.router = Speaker(here.plan(), clock=here.clock)
        notices = router.listen_to_notices()
        await here.town.start(router)
        assert await anext(notices) == CacheChanged("c", "")
        await here.cache.close()
        assert await anext(notices) == CacheChanged("c", "the peer closed the connection")


@on_uvloop
async def test_what_is_said_of_a_prefix_is_told_with_the_routes_that_were_rejected() -> None:
    async with street(*SAID) as here:
        await here.start(keys={"rejectInvalid": "on"})
        await here.is_in_sync()
        here.tell()
        await here.hears(VALID, UNKNOWN)
        found = validity(here.router, {"prefix": INVALID})
        [teller] = [p.name for p in here.router.peers.values() if p.plan.resource == "teller"]
        assert found == {
            "prefix": INVALID,
            "origins": [{"asn": AS, "validity": "Invalid", "peers": [teller]}],
            "vrps": [{"prefix": INVALID, "maxLength": 24, "asn": 64999, "sources": ["c"]}],
            "left": 0,
        }
        asked = validity(here.router, {"prefix": "192.0.2.0/25", "asn": AS})["origins"]
        assert asked == [{"asn": AS, "validity": "Invalid", "peers": []}]
        [cache] = rpki(here.router)["caches"]
        assert cache["vrps"] == {"ipv4": 2, "ipv6": 0}
        assert (cache["state"], cache["sessionID"], cache["serial"]) == ("up", 7, 1)
        assert cache["intervals"] == {"refresh": 3600, "retry": 600, "expire": 7200}
        [chunk] = RouteViews(here.router).routes({})
        assert {route["prefix"]: route["rpki"] for route in chunk["routes"]} == {
            VALID: "Valid",
            UNKNOWN: "NotFound",
        }


@on_uvloop
async def test_an_edit_is_foretold_by_what_rpki_says_now() -> None:
    async with street(*SAID) as here:
        await here.start()
        await here.is_in_sync()
        here.tell()
        await here.hears(*ALL)
        wanted = here.plan(keys={"rejectInvalid": "on"})
        chunks = list(Foresight(here.router, wanted).chunks())
        assert [prefix for chunk in chunks for prefix in chunk["used"]["vanish"]] == [INVALID]
        none = list(Foresight(here.router, here.plan(caches={})).chunks())
        assert none[-1]["unforeseen"] == ["what caches of RPKI will say of routes, or no longer"]


@on_uvloop
async def test_without_anybody_who_asks_nothing_is_judged() -> None:
    async with street(*SAID) as here:
        await here.start()
        await here.is_in_sync()
        here.tell()
        await here.hears(*ALL)
        assert here.router.origins.step() is False
        assert here.router.origins.vrps[Afi.IPV4].sizes() == {"c": 2}
        assert here.listener.withdrawn == 0
