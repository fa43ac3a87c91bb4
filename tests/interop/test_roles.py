"""Roles and Only-to-Customer (RFC 9234) with each speaker that has them: every pair of roles.

One lab has each speaker in each role, so that Wren is everything to somebody; the speakers are
strict. GoBGP knows no roles, and stands there for the peers that tell none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from speaker.config.keys import KEYS
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import IPV4, Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns]

COUNTERPART = {
    "provider": "customer",
    "customer": "provider",
    "rs-server": "rs-client",
    "rs-client": "rs-server",
    "peer": "peer",
}
LINES: dict[str, Callable[[str], str]] = {
    "bird": lambda role: f"local role {role.replace('-', '_')}; require roles;",
    "frr": lambda role: f"local-role {role} strict-mode",
    "openbgpd": lambda role: f"announce policy {'rs' if role == 'rs-server' else role} enforce",
}
NAMES = [f"{kind}-{role}" for kind, role in product(LINES, COUNTERPART)]
WORDS = {role: role for role in COUNTERPART} | {
    "rs-server": "route server",
    "rs-client": "route server client",
}
MISMATCH = (2, 11, b"")


def kind_of(name: str) -> str:
    return name.partition("-")[0]


def role_of(name: str) -> str:
    return name.partition("-")[2]


@pytest.fixture(scope="module")
def ring() -> Iterator[Star]:
    topology = star(
        (*NAMES, "gobgp"),
        families=["ipv4"],
        extra={name: LINES[kind_of(name)](role_of(name)) for name in NAMES},
        keys={
            **{name: f"wren.bgp/role: {COUNTERPART[role_of(name)]}" for name in NAMES},
            "gobgp": "wren.bgp/role: customer",
        },
        node={name: "debug bgp neighbor-events" for name in NAMES if kind_of(name) == "frr"},
    )
    with lab_of(topology) as lab:
        yield Star(lab)


def right(ring: Star) -> None:
    """Have every pair be right, and all sessions up."""
    for name in NAMES:
        ring.set_keys(name, {"role": COUNTERPART[role_of(name)]})
    ring.set_keys("gobgp", {"role": "customer", "strictRole": None})
    hurry(ring)
    ring.agree()


def hurry(ring: Star) -> None:
    """Have OpenBGPD try again at once: after some failures it takes no calls for long."""
    for name in NAMES:
        if kind_of(name) == "openbgpd" and not all(ring.node(name).sessions().values()):
            ring.bgpctl(name, "neighbor", ring.here(name), "clear")


def test_every_right_pair_agrees_and_the_speakers_say_so(ring: Star) -> None:
    right(ring)
    for name in NAMES:
        role, ours = role_of(name), COUNTERPART[role_of(name)]
        if kind_of(name) == "bird":
            said = ring.birdc(name, "show", "protocols", "all", "peer0")
            assert f"Role: {role.replace('-', '_')}" in said
            assert f"Role: {ours.replace('-', '_')}" in said
        elif kind_of(name) == "frr":
            neighbor = ring.frr_neighbor(name)
            assert (neighbor["localRole"], neighbor["remoteRole"]) == (role, ours)
        else:
            told = json.loads(ring.bgpctl(name, "-j", "show", "neighbor", ring.here(name)))
            assert told["neighbors"][0]["state"] == "Established"
            assert "policy" in json.dumps(told) or "role" in json.dumps(told)


def is_for_customers(name: str) -> bool:
    """Tell whether what a speaker tells us may only go down again (RFC 9234 §5)."""
    return role_of(name) in ("provider", "rs-server", "peer")


def is_customer(name: str) -> bool:
    return role_of(name) in ("customer", "rs-client")


def test_no_route_leaks_through_wren(ring: Star) -> None:
    """Between any two of the fifteen, and from one that tells no role."""
    right(ring)
    sources = {ring.network(name): name for name in (*NAMES, "gobgp", "wren")}

    def heard() -> dict[str, list[str]]:
        tables = {name: ring.node(name).routes(IPV4) for name in NAMES}
        return {name: sorted(sources[p] for p in t if p in sources) for name, t in tables.items()}

    def goes(source: str, target: str) -> bool:
        if source in (target, "wren") or is_customer(target):
            return True
        return source != "gobgp" and not is_for_customers(source)

    wanted = {
        name: sorted(source for source in sources.values() if goes(source, name)) for name in NAMES
    }
    becomes("each hears what it may", heard, wanted)


ROLES = tuple(COUNTERPART)


@pytest.mark.parametrize("shift", [1, 2, 3, 4])
def test_every_wrong_pair_is_refused_and_both_ends_say_why(ring: Star, shift: int) -> None:
    wrong = {
        name: ROLES[(ROLES.index(COUNTERPART[role_of(name)]) + shift) % len(ROLES)]
        for name in NAMES
    }
    logs = {name: len(log_of(ring, name)) for name in NAMES}
    with ring.tap() as tap:
        for name, role in wrong.items():
            ring.set_keys(name, {"role": role})
        for name in NAMES:
            ring.session_is(name, up=False)
        hurry(ring)

        def refusals() -> list[bool]:
            return [
                MISMATCH in tap.notifications(ring.here(name))
                or MISMATCH in tap.notifications(ring.there(name))
                for name in NAMES
            ]

        becomes("each is refused", refusals, [True] * len(NAMES))
    waiting = {"wren": set(NAMES), "other": set(NAMES)}

    def silent() -> dict[str, set[str]]:
        # A speaker that waits and refuses connections says so, and no more why.
        waiting["wren"] -= {name for name in NAMES if explained(ring, name)}
        waiting["other"] -= {name for name in NAMES if complains(ring, name, logs[name])}
        return waiting

    becomes("both ends of each say why", silent, {"wren": set(), "other": set()})


def explained(ring: Star, name: str) -> bool:
    """Tell whether `wren peer` names the mismatch, whoever noticed it."""
    why = ring.peer(name)["why"]
    return "Role Mismatch" in why or f"the peer says {WORDS[role_of(name)]}" in why


def log_of(ring: Star, name: str) -> str:
    return (ring.node(name).home / f"{name}.log").read_text(errors="replace")


def complains(ring: Star, name: str, since: int) -> bool:
    """Tell whether a speaker names the mismatch."""
    if kind_of(name) == "bird":
        return "ole mismatch" in ring.birdc(name, "show", "protocols", "all", "peer0")
    if kind_of(name) == "frr":
        # Asked, it tells what went wrong last; its log tells all.
        return "Role Mismatch" in log_of(ring, name)[since:]
    return "role mismatch" in ring.bgpctl(name, "show", "neighbor", ring.here(name))


def test_who_tells_no_role_is_refused_by_the_strict_alone(ring: Star) -> None:
    """Wren is strict towards GoBGP; then the others are towards Wren."""
    right(ring)
    with ring.tap() as tap:
        ring.set_keys("gobgp", {"role": "peer", "strictRole": "on"})
        becomes("GoBGP is refused", lambda: MISMATCH in tap.notifications(ring.here("gobgp")), True)
    for name in NAMES:
        ring.set_keys(name, {"role": None})
    for name in NAMES:
        ring.session_is(name, up=False)
    hurry(ring)
    waiting = set(NAMES)

    def taken() -> set[str]:
        waiting.difference_update([n for n in NAMES if "Role Mismatch" in ring.peer(n)["why"]])
        return waiting

    becomes("each refuses", taken, set())


def test_the_roles_of_this_file_are_all_there_are() -> None:
    [key] = [key for key in KEYS if key.name == "role"]
    assert set(key.values.split("|")) == set(ROLES)
