"""What RPKI says of routes: the word of caches and of an embedder, and who is judged anew.

`RouteOrigins` keeps the union of all sources, one `policy.vrps.Vrps` for each family, and a `Cache`
for each RPKICache of the plan. A source is replaced as a whole, or altered; what it says counts at
once for whatever is judged from then on. What was judged before is judged again in rounds: the
prefixes of VRPs that came or went are gathered, and when no earlier round is under way the tables
are walked, in slices, for the routes inside those prefixes. However often caches change their mind
there is one round at a time, and policies that ask for no validity never see one.

Before any source has spoken, and when all have expired, every route is NotFound (RFC 6811 §2).

Standards: RFC 6811 §2, §4; RFC 8210 §10.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from policy.prefix import Nlri, PrefixError, parse_prefix
from policy.vrps import Covered, Validity, Vrp, Vrps, VrpTable, is_vrp
from speaker.cache import Cache
from speaker.clock import Clock
from speaker.config.caches import CachePlan
from speaker.config.conditions import Condition, Gravity
from speaker.errors import ConfigError
from speaker.notices import CacheChanged, Notices
from speaker.peer import Peer
from speaker.rib.exports import Exports
from speaker.rpki.effects import Altered, Replaced

FAMILIES = {Afi.IPV4: IPV4_UNICAST, Afi.IPV6: IPV6_UNICAST}

MANY = 20_000
"""With so many changed prefixes all routes are looked at, not only those inside."""

EVERYTHING: Nlri = b"\0"


class House(Protocol):
    """What is asked of the router around."""

    clock: Clock
    peers: dict[str, Peer]
    exports: Exports
    notices: Notices

    def work(self) -> None:
        """Tables have changed: let a turn run."""


class RouteOrigins:
    """What all sources say of who may originate what.

    Args:
        house: the router around.

    Attributes:
        vrps: by family.
        caches: by name.
    """

    def __init__(self, house: House) -> None:
        self.vrps: dict[Afi, Vrps] = {afi: Vrps(afi) for afi in FAMILIES}
        self.caches: dict[str, Cache] = {}
        self._house = house
        self._changed: dict[Afi, set[Nlri]] = {}
        # Tables of which is to be found out where they differ.
        self._compared: deque[tuple[Afi, Iterator[list[Nlri]]]] = deque()

    def follow(self, plans: Mapping[str, CachePlan]) -> None:
        """Ask these caches from now on, and no others."""
        for name in self.caches.keys() - plans.keys():
            self.caches.pop(name).close()
            self._replace(name, {})
        for name, plan in plans.items():
            cache = self.caches.get(name)
            if cache is None:
                cache = self.caches[name] = Cache(plan, self._house.clock, self._heed, self._note)
                cache.start()
            elif cache.plan != plan:
                cache.take_plan(plan)

    def close(self) -> None:
        """Ask nobody any more."""
        for cache in self.caches.values():
            cache.close()

    def put(self, source: str, vrps: Iterable[Vrp]) -> None:
        """Have a source of one's own say this from now on, in the place of what it said before.

        Args:
            source: its name, for people; a cache of that name is another one.
            vrps: all that it says, none to let it go.

        Raises:
            ConfigError: a VRP makes no sense.
        """
        tables = {afi: VrpTable(afi) for afi in FAMILIES}
        for vrp in vrps:
            if vrp.afi not in tables or not is_vrp(vrp.afi, vrp.nlri, vrp.max_length):
                raise ConfigError(f"{vrp!r} is no VRP", hint="its length is not within its prefix")
            tables[vrp.afi].add(vrp.nlri, vrp.max_length, vrp.asn)
        self._replace(f"{source} (by hand)", tables)

    def validity(self, prefix: str, origin: int | None) -> Validity:
        """Judge a route by what is said at the moment (RFC 6811 §2).

        Args:
            prefix: ``192.0.2.0/24``.
            origin: its AS; None where the AS_PATH ends with a set.

        Raises:
            PrefixError: it is no prefix.
        """
        afi, nlri = _parse(prefix)
        return self.vrps[afi].validate(nlri, origin)

    def covering(self, prefix: str) -> list[tuple[Vrp, tuple[str, ...]]]:
        """Give the VRPs that cover a prefix, each with the sources that say so.

        Raises:
            PrefixError: it is no prefix.
        """
        afi, nlri = _parse(prefix)
        return self.vrps[afi].covering(nlri)

    def conditions(self) -> Iterator[Condition]:
        """Say which caches fail, and what that means."""
        for name, cache in self.caches.items():
            client = cache.client
            if not client.last_error:
                continue
            means = f"its {client.size} VRPs stay until they expire"
            if not client.size:
                means = "its VRPs have expired" if client.has_expired else "it has told no VRPs"
            message = f"{cache.plan.place}: {client.last_error}; {means}"
            yield Condition(f"RPKICache/{name}", Gravity.WARNING, "CacheFails", message)

    def step(self) -> bool:
        """Do a slice of finding out what is to be judged anew; False when nothing is."""
        if not self._compared and not self._changed:
            return False
        if not self._is_asked:
            self._compared.clear()
            self._changed.clear()
            return False
        if self._compared:
            afi, parts = self._compared[0]
            part = next(parts, None)
            if part is None:
                self._compared.popleft()
            else:
                self._gather(afi, part)
            return True
        if self._is_judging:
            return False
        changed, self._changed = self._changed, {}
        for afi, nlris in changed.items():
            covered, family = Covered(afi, nlris), FAMILIES[afi]
            for peer in self._house.peers.values():
                if peer.tables is not None:
                    peer.tables.revalidate(family, covered)
            self._house.exports.revalidate(family, covered)
        return True

    @property
    def _is_asked(self) -> bool:
        """Whether any policy asks for the validity of routes."""
        tables = (peer.tables for peer in self._house.peers.values())
        return self._house.exports.asks_for_validity or any(
            each is not None and each.asks_for_validity for each in tables
        )

    @property
    def _is_judging(self) -> bool:
        """Whether tables are being walked, for whatever reason: then the next round waits."""
        tables = (peer.tables for peer in self._house.peers.values())
        return self._house.exports.is_revalidating or any(
            each is not None and each.is_rejudging for each in tables
        )

    def _heed(self, cache: Cache, said: Replaced | Altered) -> None:
        """A cache says something else than before."""
        if isinstance(said, Replaced):
            self._replace(cache.plan.name, said.tables)
            return
        for afi, nlris in said.nlris.items():
            self._gather(afi, nlris)
        self._house.work()

    def _note(self, cache: Cache, trouble: str) -> None:
        self._house.notices.tell(CacheChanged(cache.plan.name, trouble))

    def _replace(self, source: str, tables: Mapping[Afi, VrpTable]) -> None:
        for afi, vrps in self.vrps.items():
            table = tables.get(afi)
            former = vrps.put(source, table)
            if former or table:
                self._compared.append((afi, former.differs(table or VrpTable(afi))))
        self._house.work()

    def _gather(self, afi: Afi, nlris: Iterable[Nlri]) -> None:
        changed = self._changed.get(afi, set())
        if EVERYTHING in changed:
            return
        changed.update(nlris)
        if len(changed) > MANY:
            changed = {EVERYTHING}
        if changed:
            self._changed[afi] = changed


def _parse(prefix: str) -> tuple[Afi, Nlri]:
    try:
        return parse_prefix(prefix)
    except PrefixError as error:
        raise PrefixError(f"{prefix} is no prefix: {error}") from None
