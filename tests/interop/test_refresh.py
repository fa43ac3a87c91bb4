"""Route refresh and enhanced refresh (RFC 2918, RFC 7313) with each speaker, seen on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab import Family
from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import DAEMONS, Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns]

AFI = {Family.IPV4: 1, Family.IPV6: 2}
REQUEST, BEGIN, END = range(3)
END_OF_RIB = 29  # octets of the longer one
EXTRA = {"openbgpd": "announce enhanced refresh yes"}


@pytest.fixture(scope="module")
def ring() -> Iterator[Star]:
    with lab_of(star(DAEMONS, extra=EXTRA)) as lab:
        found = Star(lab)
        found.agree()
        yield found


ASKS: dict[str, Callable[[Star, Family], object]] = {
    "bird": lambda ring, family: ring.birdc(
        "bird", "reload", "in", ring.bird_protocol("bird", family)
    ),
    "frr": lambda ring, family: ring.vtysh(
        "frr", f"clear bgp {family} unicast {ring.here('frr', family)} soft in"
    ),
    "openbgpd": lambda ring, family: ring.bgpctl(
        "openbgpd", "neighbor", ring.here("openbgpd", family), "refresh"
    ),
}
"""How each asks Wren to tell everything again; GoBGP answers, and never asks."""


BOTH = [pytest.param(family, id=str(family)) for family in Family]


@pytest.mark.parametrize("family", BOTH)
@pytest.mark.parametrize("kind", ["bird", "frr", "gobgp"])
def test_wren_asks_for_a_refresh_and_is_told_everything_again(
    ring: Star, kind: str, family: Family
) -> None:
    here, there = ring.here(kind, family), ring.there(kind, family)
    marks = [] if kind == "gobgp" else [(AFI[family], BEGIN), (AFI[family], END)]
    with ring.tap() as tap:
        done = ask(ring.wren.home, "refresh", name=there, family=str(family))
        assert len(done["asked"]) == 1
        becomes("the request travels", lambda: tap.refreshes(here), [(AFI[family], REQUEST)])
        becomes("the answer has routes", lambda: tap.longest(there) > END_OF_RIB, True)
        becomes("the answer is marked", lambda: tap.refreshes(there), marks)
    ring.agree(kind)


def test_openbgpd_counts_the_request_and_refuses_it_as_it_refuses_everybodys(ring: Star) -> None:
    """7.7 takes the family for one that was not negotiated, also from BIRD."""

    def requests() -> list[str]:
        lines = ring.bgpctl("openbgpd", "show", "neighbor", ring.here("openbgpd")).splitlines()
        return [line.split()[-1] for line in lines if line.strip().startswith("Request ")]

    before = int(requests()[0])
    ask(ring.wren.home, "refresh", name=ring.there("openbgpd"))
    becomes("OpenBGPD counts it", requests, [str(before + 1)])
    ring.agree("openbgpd")


@pytest.mark.parametrize("family", BOTH)
@pytest.mark.parametrize("kind", ASKS)
def test_a_speaker_asks_for_a_refresh_and_is_told_everything_again(
    ring: Star, kind: str, family: Family
) -> None:
    here, there = ring.here(kind, family), ring.there(kind, family)
    with ring.tap() as tap:
        ASKS[kind](ring, family)
        becomes("the request travels", lambda: tap.refreshes(there), [(AFI[family], REQUEST)])
        marks = [(AFI[family], BEGIN), (AFI[family], END)]
        becomes("the answer is marked", lambda: tap.refreshes(here), marks)
        assert tap.longest(here) > END_OF_RIB
    assert any("RouteRefreshMsg" in line for line in ring.history(kind, family))
    ring.agree(kind)


def test_what_bird_leaves_out_of_a_refresh_goes_from_wrens_table_and_kernel(ring: Star) -> None:
    """BIRD's filter changes without a word to Wren, which then asks."""
    ring.agree("bird")
    theirs, ours = ring.network("bird"), ring.network("openbgpd")
    everything = "ipv4 { import all; export where source ~ [RTS_STATIC, RTS_BGP]"
    less = f"{everything} && net !~ [10.1.0.0/16+]"
    ring.bird_configures("bird", (everything, less), soft=True)
    assert ring.told("bird", theirs) is not None
    ask(ring.wren.home, "refresh", name=ring.there("bird"))
    ring.forgets("wren", theirs)
    becomes("it leaves the kernel", lambda: theirs in ring.wren.kernel_routes(), False)
    ring.forgets("openbgpd", theirs)
    ring.hears("bird", ours)
    ring.bird_configures("bird", (less, everything), soft=True)
    ask(ring.wren.home, "refresh", name=ring.there("bird"))
    ring.agree("bird")


def test_what_bird_refused_comes_by_a_refresh(ring: Star) -> None:
    """BIRD changes what it takes and asks: it keeps no table of what it refused."""
    ring.agree("bird")
    ours = ring.network("wren")
    for edit in (("import all", "import none"), ("import none", "import all")):
        with ring.tap() as tap:
            ring.bird_configures("bird", (f"ipv4 {{ {edit[0]}", f"ipv4 {{ {edit[1]}"))
            becomes(
                "BIRD asks and is answered",
                lambda: (tap.refreshes(ring.there("bird")), tap.refreshes(ring.here("bird"))),
                ([(1, REQUEST)], [(1, BEGIN), (1, END)]),
            )
        (ring.forgets if edit[1] == "import none" else ring.hears)("bird", ours)
    ring.agree("bird")


def test_the_counters_of_frr_and_openbgpd_tell_of_both_markers(ring: Star) -> None:
    before = ring.frr_neighbor("frr")["messageStats"]["routeRefreshRecv"]
    ASKS["frr"](ring, Family.IPV4)
    becomes(
        "FRR counts two markers more",
        lambda: ring.frr_neighbor("frr")["messageStats"]["routeRefreshRecv"],
        before + 2,
    )
    ASKS["openbgpd"](ring, Family.IPV4)

    def markers() -> list[bool]:
        lines = ring.bgpctl("openbgpd", "show", "neighbor", ring.here("openbgpd")).splitlines()
        return [int(line.split()[-1]) > 0 for line in lines if "-of-RR" in line]

    becomes("OpenBGPD counts both", markers, [True, True])
