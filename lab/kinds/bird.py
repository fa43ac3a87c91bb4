"""BIRD 2."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.kinds.base import Daemon, Route
from lab.topology import BOTH_FAMILIES, Family, Network, Peer

_ROUTE = re.compile(r"^(\S+/\d+)?\s+(unicast|blackhole|unreachable).*\[(\S+) .*?\] (\*)?")


class Bird(Daemon):
    """BIRD, with the kernel and every session it is told."""

    program = "bird"
    package = "bird2"
    programs_kernel = True

    def configure(self) -> None:
        """Write ``bird.conf``."""
        self.write("bird.conf", "\n".join(self._lines()) + "\n")

    def _lines(self) -> Iterator[str]:
        yield f"router id {self.place.router_id};"
        yield "log stderr all;"
        yield "protocol device { scan time 1; }"
        # Next hops of iBGP routes are resolved in its own tables, so the links must stand there.
        yield 'protocol direct { ipv4; ipv6; interface "eth*"; }'
        for family in BOTH_FAMILIES:
            yield (
                f"protocol kernel kernel{family.version} {{ scan time 1; merge paths on;"
                f" graceful restart; {family}"
                " { import none; export where source = RTS_BGP; }; }"
            )
            routes = " ".join(f"route {net} blackhole;" for net in self.networks_of(family))
            yield f"protocol static static{family.version} {{ {family}; {routes} }}"
        for number, peer in enumerate(self.place.peers):
            yield from self._session(number, peer)
        yield self.place.node.extra

    def _session(self, number: int, peer: Peer) -> Iterator[str]:
        local = f" {peer.local}" if peer.local else ""
        yield f"protocol bgp peer{number} {{"
        yield f"  local{local} as {self.place.asn}; neighbor {peer.address} as {peer.asn};"
        yield "  connect delay time 1; connect retry time 1; error wait time 1, 2;"
        if peer.passive:
            yield "  passive;"
        if peer.client:
            yield "  rr client;"
        if peer.hold_time is not None:
            yield f"  hold time {peer.hold_time};"
        yield from (f"  {line}" for line in self.lines_of(peer))
        own = "next hop self; " if peer.next_hop_self else ""
        for family in peer.families:
            more = "".join(f"{line} " for line in self.lines_of(peer, family))
            yield (
                f"  {family} {{ import all; export where source ~ [RTS_STATIC, RTS_BGP];"
                f" {own}{more}}};"
            )
        yield "}"

    def commands(self) -> list[list[str]]:
        """BIRD in the foreground."""
        return [
            [
                self.locate(),
                "-f",
                "-c",
                str(self.home / "bird.conf"),
                "-s",
                str(self.home / "bird.ctl"),
                "-P",
                str(self.home / "bird.pid"),
                *self.place.node.args,
            ]
        ]

    def _birdc(self, *words: str) -> str:
        return self.ask(["birdc", "-s", str(self.home / "bird.ctl"), *words])

    def answers(self) -> bool:
        """Say whether the client gets through."""
        return "Daemon is up" in self._birdc("show", "status")

    def sessions(self) -> dict[str, bool]:
        """Read ``show protocols``."""
        states = {}
        for line in self._birdc("show", "protocols").splitlines():
            words = line.split()
            if len(words) > 1 and words[1] == "BGP":
                states[words[0]] = "Established" in words
        peers = enumerate(self.place.peers)
        return {str(peer.address): states.get(f"peer{number}", False) for number, peer in peers}

    def routes(self, family: Family) -> dict[str, Route]:
        """Read ``show route all primary``."""
        found: dict[str, Route] = {}
        prefix, via = "", ""
        path: tuple[int, ...] = ()
        table = f"master{family.version}"
        for line in self._birdc("show", "route", "all", "primary", "table", table).splitlines():
            head = _ROUTE.match(line)
            if head:
                prefix, path, via = head[1] or prefix, (), ""
                found[prefix] = Route("")
            elif "BGP.as_path:" in line:
                path = tuple(int(word) for word in re.findall(r"\d+", line.partition(":")[2]))
            elif "BGP.next_hop:" in line:
                via = line.partition(":")[2].split()[0]
            if prefix:
                found[prefix] = Route(via, path)
        return found

    def follow(self, prefix: Network) -> None:
        """Reconfigure."""
        self.place.execute(["birdc", "-s", str(self.home / "bird.ctl"), "configure"])
