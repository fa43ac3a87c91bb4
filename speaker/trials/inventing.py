"""Routes made up at the borders of what rules ask for, where two versions of them may differ.

For each prefix condition there are prefixes at its network, inside it, around it, and at the
lengths next to its bounds; for each other condition a value that fulfils it and ones that just do
not. Routes mix these by chance, which a seed decides, so that a difference that was found is found
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from fsm.family import Afi
from policy.attributes import Attribute, AttributeEditor, Community, Origin
from policy.communities import CommunityPattern, Wanted
from policy.operations import AddCommunity, RemoveCommunities, local_pref_of
from policy.path import SourceKind
from policy.prefix import WIDTH, Nlri, pack
from policy.rules import Rule
from speaker.config.plan import Plan
from speaker.trials.cases import path_octets
from speaker.trials.comparing import Told
from speaker.trials.node import FAMILIES, Heard, TrialNode, TrialSession

_T = TypeVar("_T")
_LOCAL = (SourceKind.KERNEL, SourceKind.DIRECT)


@dataclass(slots=True)
class Borders:
    """What rules ask for, of one family.

    Attributes:
        places: networks, and the lengths that matter in them.
    """

    places: list[tuple[Nlri, int]] = field(default_factory=list)
    communities: list[Community] = field(default_factory=list)
    as_paths: list[tuple[int, ...]] = field(default_factory=list)
    local_prefs: list[int] = field(default_factory=list)
    interfaces: list[str] = field(default_factory=list)
    meds: list[int] = field(default_factory=lambda: [0, 1])
    next_hops: list[Nlri] = field(default_factory=list)

    def add_rule(self, rule: Rule) -> None:
        """Take the conditions of a rule."""
        if rule.cidr is not None:
            lengths = {rule.cidr[0], rule.min_length, rule.max_length} - {None}
            self.places += [(rule.cidr, length) for length in lengths if length is not None]
        for operation in rule.operations:
            if isinstance(operation, AddCommunity):
                self.communities.append(operation.community)
            elif isinstance(operation, RemoveCommunities):
                self.communities += map(_some_community, operation.wanted)
        self.communities += map(_some_community, rule.communities)
        self.next_hops += [network for width, network in rule.next_hops]
        if rule.as_path_regex is not None:
            numbers = re.findall(r"\d+", rule.as_path_regex.pattern)
            self.as_paths += [tuple(map(int, numbers))[:1], tuple(map(int, numbers))]
        self.meds += rule.med or ()
        self.local_prefs += rule.local_pref or ()
        if rule.as_path_prefix:
            self.as_paths.append(rule.as_path_prefix)
        if rule.priority is not None:
            self.local_prefs.append(local_pref_of(rule.priority))
        if rule.interface is not None:
            self.interfaces.append(rule.interface.replace("*", "0").replace("?", "x"))

    def add_networks(self, networks: Sequence[Nlri]) -> None:
        """Take networks of which a policy speaks."""
        self.places += [(network, network[0]) for network in networks]


def borders_of(plans: Sequence[Plan], afi: Afi) -> Borders:
    """Gather what the policies of some plans ask for."""
    found, family = Borders(), FAMILIES[afi]
    for plan in plans:
        for peer in plan.all_peers:
            for of, rules in (*peer.import_rules, *peer.export_rules):
                for rule in rules if of == family else ():
                    found.add_rule(rule)
        policy = plan.policies[family]
        found.add_networks([pool.cidr for pool in policy.pools])
        found.add_networks([entry.cidr for entry in policy.prefix_communities])
        found.add_networks([*policy.own_blocks, *policy.service_routes, *policy.reflector_cidrs])
        found.local_prefs.append(local_pref_of(policy.normal_priority))
    found.places = list(dict.fromkeys(found.places)) or [(b"\0", 0)]
    found.communities = list(dict.fromkeys(found.communities))
    return found


def invented(old: TrialNode, new: TrialNode, count: int, seed: int) -> Iterator[Told]:
    """Make routes for the sessions that both versions may have."""
    maker = _Maker(old, new, Random(seed))
    for _ in range(count):
        yield maker.route()


class _Maker:
    def __init__(self, old: TrialNode, new: TrialNode, chance: Random) -> None:
        self._chance = chance
        plans = (old.plan, new.plan)
        self._sessions = list(old.sessions.values())
        self._borders = {afi: borders_of(plans, afi) for afi in (Afi.IPV4, Afi.IPV6)}

    def route(self) -> Told:
        chance = self._chance
        if not self._sessions or chance.random() < 0.1:
            afi = chance.choice([Afi.IPV4, Afi.IPV6])
            heard = Heard(b"", b"", interface=self._interface(afi))
            kind = chance.choice(_LOCAL)
            metric = chance.choice([None, 0, 100, 1024]) if kind is SourceKind.KERNEL else None
            return Told(kind.value, FAMILIES[afi], heard, [self._prefix(afi)], kind, metric)
        session = chance.choice(self._sessions)
        families = [family for family in session.plan.families if family in FAMILIES.values()]
        family = chance.choice(families or [FAMILIES[session.plan.afi]])
        heard = self._heard(session, family.afi)
        return Told(session.plan.name, family, heard, [self._prefix(family.afi)])

    def _prefix(self, afi: Afi) -> Nlri:
        chance, width = self._chance, WIDTH[afi]
        network, wanted = chance.choice(self._borders[afi].places)
        length = min(width, max(0, wanted + chance.choice([-1, 0, 0, 1, chance.randint(0, 8)])))
        bits = int.from_bytes(network[1:].ljust(width >> 3, b"\0"), "big")
        below = width - network[0]
        # At its network, anywhere inside it, at its end, or in the one beside it.
        match chance.randrange(4):
            case 1:
                bits |= chance.getrandbits(below) if below else 0
            case 2:
                bits |= (1 << below) - 1
            case 3:
                bits ^= 1 << below if below < width else 0
        return pack(afi, bits.to_bytes(width >> 3, "big"), length)

    def _interface(self, afi: Afi) -> str:
        return self._chance.choice(["", "", "eth0", "tunl0", *self._borders[afi].interfaces])

    def _heard(self, session: TrialSession, afi: Afi) -> Heard:
        chance, borders = self._chance, self._borders[afi]
        next_hop = session.source.address
        if len(next_hop) * 8 != WIDTH[afi]:
            next_hop = b"\x20\x01\x0d\xb8".ljust(WIDTH[afi] >> 3, b"\1")
        fitting = [n for n in borders.next_hops if len(n) - 1 <= WIDTH[afi] >> 3]
        if fitting and chance.random() < 0.5:
            network = chance.choice(fitting)
            next_hop = network[1:].ljust(WIDTH[afi] >> 3, b"\1")
        editor = AttributeEditor(b"")
        editor.set(Attribute.ORIGIN, bytes((chance.choice(list(Origin)),)))
        editor.set(Attribute.AS_PATH, path_octets(self._as_path(session, borders)))
        if len(next_hop) == 4:
            editor.set(Attribute.NEXT_HOP, next_hop)
        if chance.random() < 0.3:
            med = chance.choice(borders.meds) + chance.choice([-1, 0, 0, 1])
            editor.set(Attribute.MULTI_EXIT_DISC, (med & 0xFFFFFFFF).to_bytes(4, "big"))
        if session.plan.is_internal:
            value = chance.choice([100, *borders.local_prefs]) + chance.choice([-1, 0, 0, 1])
            editor.set(Attribute.LOCAL_PREF, (value & 0xFFFFFFFF).to_bytes(4, "big"))
        editor.add_communities(_some(chance, borders.communities))
        return Heard(editor.encode(), next_hop, interface=self._interface(afi))

    def _as_path(self, session: TrialSession, borders: Borders) -> tuple[int, ...]:
        chance = self._chance
        first = () if session.plan.is_internal else (session.plan.peer_asn,)
        path = chance.choice([first, first, *borders.as_paths])
        if chance.random() < 0.3:
            path += (chance.randint(1, 65534),)
        return path[:-1] if len(path) > 1 and chance.random() < 0.2 else path


def _some_community(wanted: Wanted) -> Community:
    """Give a community that is meant; for any number of a pattern, 7."""
    if not isinstance(wanted, CommunityPattern):
        return wanted
    parts = [7 if part is None else part for part in wanted.parts]
    return parts[0] << 16 | parts[1] if len(parts) == 2 else (parts[0], parts[1], parts[2])


def _some(chance: Random, values: Sequence[_T]) -> list[_T]:
    """Choose none, one or two."""
    return chance.sample(values, min(len(values), chance.choice([0, 1, 1, 2])))
