"""A Wren node and four others around it that all restart gracefully, with traffic through Wren.

Each daemon is told in its own words that its routes may stay, that it kept what it forwards by, and
that others' may stay with it. BIRD recovers only with ``-R``, GoBGP with ``-r``; of FRR it is bgpd
that restarts, while zebra goes on. GoBGP has nothing to do with the kernel: its node has static
routes, so what it forwards by really stays. It has its own routes by its API alone and loses them
at the end of its process; so what it tells comes from a BIRD behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fsm.capabilities import GracefulRestart
from fsm.family import Afi, Safi
from fsm.family import Family as BgpFamily
from lab import Family, RunningNode
from lab.kinds.wren import Wren
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import IPV4, IPV6, Star, ends, networks, star
from tests.support.traffic import Flow

BIRD, FRR, GOBGP, OTHER, BEHIND = "bird", "frr", "gobgp", "wren-2", "behind"
KINDS = (BIRD, FRR, GOBGP, OTHER)

RESTARTED = {BIRD: (), FRR: ("bgpd",), GOBGP: (), OTHER: ()}
"""Which programs of a node restart; empty for all."""

BIRD_RESTARTS = "graceful restart on;\ngraceful restart time 60;"

WORDS = {
    BIRD: BIRD_RESTARTS,
    GOBGP: """
[neighbors.graceful-restart.config]
enabled = true
restart-time = 60
deferral-time = 30
ipv4 [neighbors.afi-safis.mp-graceful-restart.config]
ipv4 enabled = true
ipv6 [neighbors.afi-safis.mp-graceful-restart.config]
ipv6 enabled = true
""",
}
"""Lines of their sessions."""

KEYS = {GOBGP: "wren.bgp/connectRetry: 5"}
"""Lines of Wren's sessions with them: GoBGP drops all that it has kept when one attempt to connect
fails, and within a second that may happen to a node that is busy."""

FRR_RESTARTS = """
router bgp {asn}
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time 60
exit
"""

_ARGS = {BIRD: ["-R"], GOBGP: ["-r"]}
_BEHIND = 9
"""The number of the node behind GoBGP, as `star` numbers links and networks."""


def topology(kinds: Sequence[str] = KINDS, words: Mapping[str, str] = WORDS) -> str:
    """Write the topology."""
    whole = json.loads(star(kinds, extra=words, keys=KEYS))
    for kind in kinds:
        node = whole["nodes"][kind]
        node["args"] = _ARGS.get(kind, [])
        if kind == FRR:
            node["extra"] = FRR_RESTARTS.format(asn=node["asn"])
    if GOBGP in kinds:
        whole["nodes"][GOBGP]["networks"] = []
        whole["nodes"][BEHIND] = {
            "kind": "bird",
            "asn": 65109,
            "networks": list(networks(_BEHIND).values()),
            "addresses": [f"10.{_BEHIND}.0.1/32", f"fd00:10{_BEHIND}::1/128"],
        }
        near, far = zip(*(ends(_BEHIND, family) for family in Family), strict=True)
        sizes = (24, 64)
        whole["links"].append(
            {
                GOBGP: [f"{a}/{s}" for a, s in zip(near, sizes, strict=True)],
                BEHIND: [f"{a}/{s}" for a, s in zip(far, sizes, strict=True)],
            }
        )
        said = {GOBGP: words[GOBGP], BEHIND: BIRD_RESTARTS}
        whole["bgp"].append({"between": [GOBGP, BEHIND], "hold_time": 9, "extra": said})
    return json.dumps(whole)


class Ring(Star):
    """The star, and what is behind GoBGP."""

    def network(self, name: str, family: Family = IPV4) -> str:
        """Give what a node tells Wren: GoBGP that of the node behind it."""
        return networks(_BEHIND)[family] if name == GOBGP else super().network(name, family)

    def node_of(self, name: str) -> RunningNode:
        """Give the node that has what a node tells."""
        return self.node(BEHIND if name == GOBGP else name)

    def agree(self, *names: str) -> None:
        """Each of these, or of all around Wren, has Wren's networks, and Wren has theirs."""
        super().agree(*(names or (name for name in self._names if name != BEHIND)))

    def address(self, name: str, family: Family) -> str:
        """Give an address in what a node tells."""
        addresses = self.node_of(name).node.addresses
        return next(str(a.ip) for a in addresses if a.version == family.version)

    def flows(self, *pairs: tuple[str, str]) -> list[Flow]:
        """Give flows between nodes, both ways and in both families."""
        found = []
        for left, right in pairs:
            for family in Family:
                here, there = self.address(left, family), self.address(right, family)
                flow = Flow(self.node_of(left), here, self.node_of(right), there)
                found += [flow, flow.back]
        return found

    @property
    def installing(self) -> list[RunningNode]:
        """The nodes whose daemon has a hand in the kernel."""
        return [node for node in self.lab.nodes.values() if node.speaks.programs_kernel]

    def waits(self) -> list[str]:
        """Tell which families of which peers Wren has old routes of."""
        return [
            f"{peer['name']} {family}: {view['restart']['phase']}"
            for peer in status(self.wren)["peers"]
            for family, view in peer["families"].items()
            if "restart" in view
        ]

    def is_settled(self) -> None:
        """Wait until everybody has everything, and nobody keeps what is old."""
        self.agree()
        becomes("Wren has told its routes, and heard all", lambda: restarting(self.wren), [])
        becomes("Wren keeps nothing that is old", self.waits, [])


@contextmanager
def ring(kinds: Sequence[str] = KINDS, words: Mapping[str, str] = WORDS) -> Iterator[Ring]:
    """Bring the lab up until everybody has all routes."""
    with lab_of(topology(kinds, words)) as lab:
        found = Ring(lab)
        if GOBGP in kinds:
            _install(found, kinds)
        found.agree()
        yield found


def _install(found: Ring, kinds: Sequence[str]) -> None:
    """Give GoBGP's node the routes that GoBGP has."""
    for family in Family:
        ways = {found.network(kind, family): found.here(GOBGP, family) for kind in kinds}
        ways[found.network("wren", family)] = found.here(GOBGP, family)
        ways[networks(_BEHIND)[family]] = ends(_BEHIND, family)[1]
        for prefix, gateway in ways.items():
            found.node(GOBGP).execute(["ip", "route", "add", prefix, "via", gateway])


def status(node: RunningNode) -> dict[str, Any]:
    """Ask a Wren node for its status."""
    assert isinstance(node.speaks, Wren)
    found = node.speaks.status()
    assert found is not None
    return found


def restarting(node: RunningNode) -> list[str]:
    """Give what a Wren node says of a restart of its own that is under way."""
    conditions = status(node)["conditions"]
    return [each["message"] for each in conditions if each["reason"] == "Restarting"]


def restart_in(capabilities: Sequence[tuple[int, bytes]]) -> GracefulRestart:
    """Read what an OPEN says of restarts. RFC 4724 §3."""
    value = dict(capabilities)[GracefulRestart.code]
    flags, seconds = value[0] >> 4, int.from_bytes(value[:2], "big") & 0xFFF
    families = tuple(
        (BgpFamily(Afi(value[at + 1]), Safi(value[at + 2])), bool(value[at + 3] & 0x80))
        for at in range(2, len(value), 4)
    )
    return GracefulRestart(bool(flags & 8), bool(flags & 4), seconds, families)


def bgp_family(family: Family) -> BgpFamily:
    """Name the unicast family as BGP does."""
    return BgpFamily(Afi.IPV6 if family is IPV6 else Afi.IPV4, Safi.UNICAST)
