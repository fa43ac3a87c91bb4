"""Sessions that are ended on purpose (RFC 4486, RFC 9003), and what both ends say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import DAEMONS, Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns]

REASON = "Umbau – bis 6 Uhr, ☎ 4711. " + "ä" * 60
SHORT = REASON[:50]
SHUTDOWN, RESET = (6, 2), (6, 4)


@pytest.fixture(scope="module")
def ring() -> Iterator[Star]:
    topology = star(DAEMONS, families=["ipv4"], node={"frr": "debug bgp neighbor-events"})
    with lab_of(topology) as lab:
        yield Star(lab)


def log_of(ring: Star, kind: str) -> str:
    return (ring.node(kind).home / f"{kind}.log").read_text(errors="replace")


def escaped(text: str, octet: str) -> str:
    """Write text as some do, octet by octet where it is no ASCII."""
    return "".join(
        c if ord(c) < 128 else "".join(octet.format(o) for o in c.encode()) for c in text
    )


SHOWN: dict[str, Callable[[Star], bool]] = {
    "bird": lambda ring: REASON in ring.birdc("bird", "show", "protocols", "all", "peer0"),
    "frr": lambda ring: escaped(REASON, "\\x{:x}") in log_of(ring, "frr"),
    # It knows but 128 octets of it.
    "gobgp": lambda ring: SHORT in log_of(ring, "gobgp"),
    "openbgpd": lambda ring: escaped(REASON, "\\{:o}") in log_of(ring, "openbgpd"),
}


@pytest.mark.parametrize("kind", DAEMONS)
def test_each_speaker_shows_why_wren_is_down(ring: Star, kind: str) -> None:
    assert 128 < len(REASON.encode()) <= 255
    ring.agree(kind)
    with ring.tap() as tap:
        ask(ring.wren.home, "disable", name=ring.there(kind), reason=REASON)
        octets = REASON.encode()
        told = (*SHUTDOWN, bytes((len(octets),)) + octets)
        becomes("it travels", lambda: told in tap.reasons(ring.here(kind)), True)
    ring.session_is(kind, up=False)
    becomes(f"{kind} shows it", lambda: SHOWN[kind](ring), True)
    assert ring.peer(kind)["why"] == f'administratively down "{REASON}"'
    assert ring.peer(kind)["state"] == "down"
    ask(ring.wren.home, "enable", name=ring.there(kind))
    if kind == "openbgpd":
        ring.bgpctl("openbgpd", "neighbor", ring.here("openbgpd"), "clear")
    ring.agree(kind)


DOWN: dict[str, Callable[[Star], object]] = {
    "bird": lambda ring: ring.birdc("bird", "disable", "peer0", f'"{REASON}"'),
    "frr": lambda ring: ring.vtysh_configures(
        "frr", f"neighbor {ring.here('frr')} shutdown message {REASON}"
    ),
    "gobgp": lambda ring: ring.gobgp(
        "gobgp", "neighbor", ring.here("gobgp"), "shutdown", "--reason", SHORT
    ),
    "openbgpd": lambda ring: ring.bgpctl(
        "openbgpd", "neighbor", ring.here("openbgpd"), "down", REASON
    ),
}
UP: dict[str, Callable[[Star], object]] = {
    "bird": lambda ring: ring.birdc("bird", "enable", "peer0"),
    "frr": lambda ring: ring.vtysh_configures("frr", f"no neighbor {ring.here('frr')} shutdown"),
    "gobgp": lambda ring: None,  # it comes again by itself
    "openbgpd": lambda ring: ring.bgpctl("openbgpd", "neighbor", ring.here("openbgpd"), "up"),
}


@pytest.mark.parametrize("kind", DAEMONS)
def test_wren_shows_why_each_speaker_is_down(ring: Star, kind: str) -> None:
    ring.agree(kind)
    reason = SHORT if kind == "gobgp" else REASON
    with ring.tap() as tap:
        DOWN[kind](ring)
        octets = reason.encode()
        told = (*SHUTDOWN, bytes((len(octets),)) + octets)
        becomes("it travels", lambda: told in tap.reasons(ring.there(kind)), True)
    becomes("Wren remembers it", lambda: any(reason in line for line in ring.history(kind)), True)
    assert reason in ring.wren.last_words(30)
    UP[kind](ring)
    ring.agree(kind)


RESETS: dict[str, Callable[[Star], object]] = {
    "bird": lambda ring: ring.birdc("bird", "restart", "peer0"),
    "frr": lambda ring: ring.vtysh("frr", f"clear bgp {ring.here('frr')}"),
    "openbgpd": lambda ring: ring.bgpctl(
        "openbgpd", "neighbor", ring.here("openbgpd"), "clear", "again"
    ),
}


@pytest.mark.parametrize("kind", RESETS)
def test_a_reset_is_told_for_what_it_is_and_the_session_comes_again(ring: Star, kind: str) -> None:
    ring.agree(kind)
    with ring.tap() as tap:
        RESETS[kind](ring)
        becomes(
            "a Cease travels",
            lambda: [said[:2] for said in tap.reasons(ring.there(kind))][:1],
            [RESET],
        )
    ring.agree(kind)
