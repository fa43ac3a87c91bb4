"""The table that benchmarks send: always the same, well formed, and like the Internet's."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.table import blob, messages
from benchmarks.table.attributes import ASN_OCTETS, NEXT_HOP_4, TEMPLATE_ASN
from benchmarks.table.prefixes import is_routed
from fsm.family import Afi
from policy.prefix import split
from tests.support.referee import Heard, exabgp_update
from tests.support.routes import nlri, u32

AFIS = {4: Afi.IPV4, 6: Afi.IPV6}


def table(count: int = 2000, family: int = 4) -> blob.Table:
    return blob.draw(count, family)


def as_path(heard: Heard) -> tuple[int, ...]:
    """Give the numbers of a path that is one sequence."""
    [segment] = heard.attributes[2].aspath
    assert segment.ID == 2
    return tuple(map(int, segment))


@pytest.mark.parametrize(
    ("family", "digest"),
    [
        (4, "b6c41b06335a4ec1be71ea2a57b181d1ae5aa0ba32bbf557cdee767cf9f6ccd0"),
        (6, "b3209c879b9a5bf0b9aaa169d571be1f87f202e09c2342cee8b1cc5a9eab7828"),
    ],
)
def test_figures_of_all_times_are_about_one_table(family: int, digest: str) -> None:
    drawn = table(family=family)
    octets = b"".join(drawn.announcements()) + b"".join(drawn.withdrawals())
    assert hashlib.sha256(octets).hexdigest() == digest


@pytest.mark.parametrize("family", [4, 6])
def test_exabgp_reads_what_was_drawn(family: int) -> None:
    drawn = table(300, family)
    heard = [exabgp_update(body) for body in messages.bodies(b"".join(drawn.announcements()))]
    template = ip_address("10.1.1.1" if family == 4 else "fd00:1::1:1").packed
    assert {n: hops for each in heard for n, hops in each.announced.items()} == {
        prefix: [template] for prefix in drawn.prefixes
    }
    for update, (octets, _) in zip(heard, drawn.groups, strict=True):
        path = dict(messages.attributes_of(octets))[2]
        numbers = as_path(update)
        assert bytes((2, len(numbers))) + u32(*numbers) == path
        assert numbers[0] == TEMPLATE_ASN


@pytest.mark.parametrize("family", [4, 6])
def test_exabgp_reads_that_everything_is_withdrawn(family: int) -> None:
    drawn = table(300, family)
    withdrawn = {
        prefix
        for body in messages.bodies(b"".join(drawn.withdrawals()))
        for prefix in exabgp_update(body).withdrawn
    }
    assert withdrawn == set(drawn.prefixes)


@pytest.mark.parametrize("family", [4, 6])
def test_prefixes_are_canonical_and_distinct(family: int) -> None:
    prefixes = table(family=family).prefixes
    assert len(set(prefixes)) == len(prefixes) == 2000
    assert split(AFIS[family], b"".join(prefixes)) == prefixes


def test_no_ipv4_prefix_is_one_that_nobody_routes() -> None:
    networks = [
        (int.from_bytes(each[1:].ljust(4, b"\0"), "big"), 1 << 32 - each[0])
        for each in table().prefixes
    ]
    assert all(is_routed(network, width) for network, width in networks)
    assert not is_routed(10 << 24, 256)
    assert not is_routed(8 << 24, 1 << 26)


def test_each_attribute_set_differs_and_sets_are_of_the_usual_size() -> None:
    groups = table(20_000).groups
    assert len({octets for octets, _ in groups}) == len(groups)
    assert 4 < 20_000 / len(groups) < 6
    alone = sum(len(group) == 1 for _, group in groups) / len(groups)
    assert 0.45 < alone < 0.6


def test_another_attribute_seed_gives_other_attributes_to_the_same_prefixes() -> None:
    first, second = table(500), blob.draw(500, attribute_seed=3)
    assert first.prefixes == second.prefixes
    assert {octets for octets, _ in first.groups}.isdisjoint(o for o, _ in second.groups)


@given(st.integers(1, 4000), st.sampled_from([4, 6]), st.integers(0, 400))
def test_no_message_is_too_long_and_none_loses_a_prefix(count: int, family: int, pad: int) -> None:
    prefixes = [bytes((24, 20, n >> 8, n & 255)) for n in range(count)]
    attributes = b"\x40\x01\x01\x00" + b"\xd0\x63" + pad.to_bytes(2, "big") + bytes(pad)
    told: list[bytes] = []
    for message in messages.announcements(attributes, prefixes, family):
        assert len(message) <= messages.MAX_LENGTH
        [body] = messages.bodies(message)
        _, octets, block = messages.fields(body)
        if family == 6:
            block = dict(messages.attributes_of(octets))[14][4 + 16 + 1 :]
        told += messages.split(block)
    assert told == prefixes
    gone = list(messages.withdrawals(prefixes, family))
    assert max(map(len, gone)) <= messages.MAX_LENGTH


@pytest.mark.parametrize(("family", "next_hop"), [(4, "10.1.1.9"), (6, "fd00:1::1:9")])
def test_another_peer_sends_its_own_as_and_next_hop(family: int, next_hop: str) -> None:
    octets = b"".join(table(300, family).announcements())
    other = blob.retarget(octets, family, 4200000009, next_hop)
    assert len(other) == len(octets)
    for body in messages.bodies(other):
        heard = exabgp_update(body)
        assert {hop for hops in heard.announced.values() for hop in hops} == {
            ip_address(next_hop).packed
        }
        assert as_path(heard)[0] == 4200000009


def test_a_table_in_files_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WREN_BENCH_CACHE", str(tmp_path))
    made = blob.ensure(100)
    made.path.write_bytes(b"as it was left")
    assert blob.ensure(100) == made
    assert made.path.read_bytes() == b"as it was left"
    assert made.prefixes == 100
    assert b"".join(table(100).withdrawals()) == made.withdrawals.read_bytes()


def test_a_table_that_cannot_be_retargeted_is_refused(tmp_path: Path) -> None:
    octets = b"\x40\x01\x01\x00\x40\x02\x06\x02\x01" + ASN_OCTETS + NEXT_HOP_4
    ambiguous = octets + b"\xc0\x08\x04" + ASN_OCTETS
    with pytest.raises(ValueError, match="another seed"):
        blob.write(blob.Table(4, ((ambiguous, (nlri("20.0.0.0/24"),)),)), tmp_path / "t.upd")
