"""Passwords (RFC 2385) and near peers (RFC 5082) with each speaker that has them, in both families.

In the middle is Wren, with a Secret for each speaker, which a test writes as Kubernetes mounts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from signal import SIGHUP

import pytest

from lab import Family
from speaker.control.client import ask
from tests.support.labs import lab_of
from tests.support.pairs import becomes
from tests.support.star import DAEMONS, IPV4, IPV6, Star, star

pytestmark = [pytest.mark.interop, pytest.mark.netns, pytest.mark.timeout(180)]

RIGHT, OTHER, WRONG = "right-key", "other-key", "wrong-key"
SIGNED = {
    "bird": f'password "{RIGHT}";',
    "frr": f"password {RIGHT}",
    "gobgp": f'auth-password = "{RIGHT}"',
    "openbgpd": f"tcp md5sig password {RIGHT}",
}
NEAR = {
    "bird": "ttl security on;",
    "frr": "ttl-security hops 1",
    "gobgp": "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255",
    "openbgpd": "ttl-security yes",
}
BOTH = (IPV4, IPV6)
MORE = ip_network("10.77.0.0/16")
MISMATCH = "MD5 mismatch suspected"


@contextmanager
def signed() -> Iterator[Star]:
    """All speakers have their passwords from the beginning; Wren has no Secret yet."""
    keys = {
        name: f"password: {{secretKeyRef: {{name: {name}, key: password}}}}" for name in DAEMONS
    }
    with lab_of(star(DAEMONS, extra=SIGNED, keys=keys)) as lab:
        yield Star(lab)


@pytest.fixture(scope="module")
def ring() -> Iterator[Star]:
    with signed() as ring:
        yield ring


@pytest.fixture
def another() -> Iterator[Star]:
    """One in which a test may leave the speakers with other passwords."""
    with signed() as ring:
        yield ring


def give(ring: Star, passwords: Mapping[str, str | None]) -> None:
    """Write the Secrets of speakers that peers name, and wait until they are read."""
    write(ring, passwords)
    for name, password in passwords.items():
        wanted = [password is not None] * len(BOTH)
        becomes(f"the password of {name} is read", partial(configured, ring, name), wanted)


def write(ring: Star, passwords: Mapping[str, str | None]) -> None:
    """Write the Secrets of speakers; None takes one away."""
    for name, password in passwords.items():
        path = ring.wren.home / "datastore" / "secrets" / name / "password"
        path.parent.mkdir(parents=True, exist_ok=True)
        if password is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(password, encoding="utf-8")


def uptimes(ring: Star) -> dict[str, list[float]]:
    """Give since when the sessions with each speaker stand."""
    return {name: [ring.peer(name, family)["since"] for family in BOTH] for name in DAEMONS}


def agree(ring: Star) -> None:
    """All sessions come up, and all have the routes of all."""
    becomes("OpenBGPD comes up", partial(stands, ring), wanted=True)
    ring.agree()


def stands(ring: Star) -> bool:
    """Tell whether the sessions with OpenBGPD stand; those that do not it is told to start.

    Of its own accord it waits for half a minute where a session has failed, then for twice as long.
    """
    seen = ring.wren.sessions()
    down = [family for family in BOTH if not seen.get(ring.there("openbgpd", family))]
    for family in down:
        ring.bgpctl("openbgpd", "neighbor", ring.here("openbgpd", family), "up")
    return not down


def changes(ring: Star, name: str) -> bool:
    """Tell whether another password waits for the next connection, in both families."""
    return bool(ring.peer(name, IPV4)["password"]["changes"]) and bool(
        ring.peer(name, IPV6)["password"]["changes"]
    )


def configured(ring: Star, name: str) -> list[bool]:
    """Tell in which families a speaker has to have a password."""
    return [ring.peer(name, family)["password"]["configured"] for family in BOTH]


def begin_again(ring: Star, name: str) -> None:
    """End the sessions with a speaker, for others by the password as it is now."""
    for family in BOTH:
        for order in ("disable", "enable"):
            ask(ring.wren.home, order, name=ring.there(name, family))


def suspects(ring: Star, name: str) -> bool:
    return all(MISMATCH in ring.peer(name, family)["why"] for family in BOTH)


def test_without_the_password_nothing_is_said_and_it_is_suspected(ring: Star) -> None:
    give(ring, dict.fromkeys(DAEMONS))
    # OpenBGPD may take an unsigned connection before it has read its configuration.
    for name in (name for name in DAEMONS if name != "openbgpd"):
        begin_again(ring, name)
        ring.session_is(name, up=False)
        becomes(f"{name} is suspected", partial(suspects, ring, name), wanted=True)


def test_the_right_password_brings_every_session_up(ring: Star) -> None:
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    agree(ring)
    for name in DAEMONS:
        for family in BOTH:
            told = ring.peer(name, family)["password"]
            assert told["inUseSince"] is not None
            assert not told["changes"]


def test_a_session_goes_on_by_its_password_while_another_waits(ring: Star) -> None:
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    agree(ring)
    before = uptimes(ring)
    give(ring, dict.fromkeys(DAEMONS, OTHER))
    for name in DAEMONS:
        becomes(f"another waits for {name}", partial(changes, ring, name), wanted=True)
    ring.wren.announce(MORE)
    for name in DAEMONS:
        ring.hears(name, str(MORE))
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    for name in DAEMONS:
        becomes(f"none waits for {name}", partial(changes, ring, name), wanted=False)
    ring.wren.withdraw(MORE)
    assert uptimes(ring) == before


def test_a_wrong_password_is_suspected_until_it_is_right(ring: Star) -> None:
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    agree(ring)
    give(ring, dict.fromkeys(DAEMONS, WRONG))
    for name in DAEMONS:
        becomes(f"another waits for {name}", partial(changes, ring, name), wanted=True)
        begin_again(ring, name)
    for name in DAEMONS:
        ring.session_is(name, up=False)
        becomes(f"{name} is suspected", partial(suspects, ring, name), wanted=True)
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    agree(ring)


def test_a_speaker_that_changes_its_password_comes_up_again_by_it(another: Star) -> None:
    """BIRD, FRR and GoBGP end their sessions for that: they come up by the one that waits here.

    OpenBGPD goes on by the old one, as Wren does; its next connection is by the new one.
    """
    ring = another
    give(ring, dict.fromkeys(DAEMONS, RIGHT))
    agree(ring)
    before = uptimes(ring)
    give(ring, dict.fromkeys(DAEMONS, OTHER))
    for name in DAEMONS:
        becomes(f"another waits for {name}", partial(changes, ring, name), wanted=True)
    change_there(ring)
    agree(ring)
    for name in ("bird", "frr", "gobgp"):
        becomes(f"none waits for {name}", partial(waits, ring, name), wanted=[False, False])
    after = uptimes(ring)
    assert {name for name in DAEMONS if after[name] == before[name]} == {"openbgpd"}
    assert waits(ring, "openbgpd") == [True, True]
    for family in BOTH:
        ring.bgpctl("openbgpd", "neighbor", ring.here("openbgpd", family), "clear")
    becomes("none waits for openbgpd", partial(waits, ring, "openbgpd"), wanted=[False, False])
    agree(ring)


def waits(ring: Star, name: str) -> list[bool]:
    """Tell in which families another password waits for the next connection."""
    return [bool(ring.peer(name, family)["password"]["changes"]) for family in BOTH]


def change_there(ring: Star) -> None:
    """Have all speakers take the other password."""
    ring.bird_configures("bird", (RIGHT, OTHER))
    ring.vtysh_configures(
        "frr", *(f"neighbor {ring.here('frr', f)} password {OTHER}" for f in BOTH)
    )
    edit(ring, "openbgpd", "bgpd.conf", count=len(BOTH))
    ring.bgpctl("openbgpd", "reload")
    for number, family in enumerate(BOTH, 1):
        # Of several neighbours that have changed GoBGP takes the first alone.
        edit(ring, "gobgp", "gobgpd.toml", count=1)
        ring.node("gobgp").signal(SIGHUP)
        becomes(f"GoBGP has changed {number}", partial(waits, ring, "gobgp"), waiting(family))


def waiting(changed: Family) -> list[bool]:
    """Give in which families GoBGP's sessions still wait when one has changed, in their order."""
    return [family is IPV6 and changed is IPV4 for family in BOTH]


def edit(ring: Star, name: str, file: str, *, count: int) -> None:
    """Write the other password into a speaker's configuration so many times."""
    path = ring.node(name).home / file
    text = path.read_text(encoding="utf-8")
    assert text.count(RIGHT) >= count
    path.write_text(text.replace(RIGHT, OTHER, count), encoding="utf-8")


@pytest.fixture(scope="module")
def nearby() -> Iterator[Star]:
    keys = dict.fromkeys(DAEMONS, "ttlSecurity: 1")
    with lab_of(star(DAEMONS, extra=NEAR, keys=keys)) as lab:
        yield Star(lab)


def test_near_peers_agree_with_every_speaker_that_asks_for_the_same(nearby: Star) -> None:
    nearby.agree()
    for name in DAEMONS:
        for family in BOTH:
            assert nearby.peer(name, family)["ttlSecurity"] == 1
    nearby.wren.announce(MORE)
    for name in DAEMONS:
        nearby.hears(name, str(MORE))


def test_a_speaker_that_has_no_password_is_not_talked_to(nearby: Star) -> None:
    """Wren's first password ends the sessions; who is unsigned is not heard, and is suspected."""
    nearby.agree()
    before = uptimes(nearby)
    write(nearby, dict.fromkeys(DAEMONS, RIGHT))
    ask_for_passwords(nearby, asked=True)
    for name in DAEMONS:
        becomes(f"{name} has to sign", partial(configured, nearby, name), [True, True])
        nearby.session_is(name, up=False)
        becomes(f"{name} is suspected", partial(suspects, nearby, name), wanted=True)
    ask_for_passwords(nearby, asked=False)
    agree(nearby)
    assert all(after > before[name] for name, after in uptimes(nearby).items())


def ask_for_passwords(ring: Star, *, asked: bool) -> None:
    """Give Wren's peers their passwords, or take them away."""
    path = ring.wren.home / "datastore" / "resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    names = {ring.there(name, family): name for name in DAEMONS for family in BOTH}
    for item in resources["items"]:
        name = names.get(item["spec"].get("peerIP", "")) if item["kind"] == "BGPPeer" else None
        if name is not None and asked:
            item["spec"]["password"] = {"secretKeyRef": {"name": name, "key": "password"}}
        elif name is not None:
            del item["spec"]["password"]
    fresh = path.with_name(".edited.json")
    fresh.write_text(json.dumps(resources), encoding="utf-8")
    fresh.rename(path)
