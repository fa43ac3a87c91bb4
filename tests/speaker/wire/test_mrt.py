"""MRT table dumps, with mrtparse as the referee."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Afi
from policy.attributes import Attribute, tlv
from policy.prefix import show, show_address
from speaker.wire.mrt import MrtError, MrtPeer, entry_attributes, rib_entries
from tests.support.mrt import peer_table, record, rib
from tests.support.routes import address, attributes, nlri

PEERS = [("192.0.2.1", 65001), ("2001:db8::1", 4200000001)]
SET = attributes([65001, 65002], med=5, communities=[65001 << 16 | 7]).raw
REACH = tlv(0x80, Attribute.MP_REACH_NLRI, b"\x10" + address("2001:db8::9"))
WHOLE_REACH = tlv(0x80, Attribute.MP_REACH_NLRI, b"\0\x02\x01\x10" + address("2001:db8::9") + b"\0")


def dump(*records: bytes) -> BytesIO:
    return BytesIO(peer_table(PEERS) + b"".join(records))


def test_entries_come_with_prefix_peer_and_attributes() -> None:
    file = dump(
        rib(0, nlri("10.0.0.0/8"), [(0, SET), (1, SET)]),
        rib(1, nlri("2001:db8::/32"), [(1, SET)], ipv6=True),
    )
    first, second = (
        MrtPeer(address("192.0.2.1"), 65001),
        MrtPeer(address("2001:db8::1"), 4200000001),
    )
    assert list(rib_entries(file)) == [
        (IPV4_UNICAST, nlri("10.0.0.0/8"), first, SET),
        (IPV4_UNICAST, nlri("10.0.0.0/8"), second, SET),
        (IPV6_UNICAST, nlri("2001:db8::/32"), second, SET),
    ]


@pytest.mark.parametrize("ipv6", [False, True])
def test_path_identifiers_are_passed_over(ipv6: bool) -> None:
    prefix = nlri("2001:db8::/32" if ipv6 else "10.0.0.0/9")
    [entry] = rib_entries(dump(rib(0, prefix, [(0, SET)], ipv6=ipv6, ids=True)))
    assert (entry.nlri, entry.attributes) == (prefix, SET)


def test_records_of_other_types_are_passed_over() -> None:
    others = [record(4, b"whatever", kind=16), record(6, b"generic")]
    assert len(list(rib_entries(dump(*others, rib(0, nlri("10.0.0.0/8"), [(0, SET)]))))) == 1


def test_short_as_numbers_of_peers_are_read() -> None:
    file = BytesIO(peer_table(PEERS[:1], wide=False) + rib(0, nlri("10.0.0.0/8"), [(0, SET)]))
    assert [entry.peer.asn for entry in rib_entries(file)] == [65001]


@pytest.mark.parametrize("at", range(1, 40))
def test_a_dump_that_is_cut_off_is_an_error(at: int) -> None:
    whole = dump(rib(0, nlri("10.0.0.0/8"), [(0, SET)])).getvalue()
    with pytest.raises(MrtError, match="is cut off"):
        list(rib_entries(BytesIO(whole[:-at])))


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b'{"routes": []}', "no MRT dump"),
        (peer_table(PEERS) + rib(0, nlri("10.0.0.0/8"), [(2, SET)]), "cut off"),
        (peer_table(PEERS) + record(2, bytes(4) + b"\x21" + bytes(20)), "too long"),
    ],
)
def test_nonsense_is_an_error(octets: bytes, words: str) -> None:
    with pytest.raises(MrtError, match=words):
        list(rib_entries(BytesIO(octets)))


@given(st.binary(max_size=80))
def test_any_octets_are_entries_or_an_error(octets: bytes) -> None:
    with suppress(MrtError):
        list(rib_entries(BytesIO(peer_table(PEERS) + record(2, octets))))


@pytest.mark.parametrize("reach", [REACH, WHOLE_REACH])
def test_the_next_hop_is_found_and_cut_out(reach: bytes) -> None:
    made = attributes([65001], next_hop="").raw
    assert entry_attributes(made + reach) == (made, address("2001:db8::9"), b"")
    assert entry_attributes(SET) == (SET, address("192.0.2.1"), b"")


def test_both_next_hops_of_a_link_are_found() -> None:
    both = address("2001:db8::9") + address("fe80::9")
    reach = tlv(0x80, Attribute.MP_REACH_NLRI, b"\x20" + both)
    assert entry_attributes(reach) == (b"", address("2001:db8::9"), address("fe80::9"))


def test_attributes_that_are_cut_off_are_an_error() -> None:
    with pytest.raises(MrtError):
        entry_attributes(SET + b"\x40")


def test_the_referee_reads_the_same(tmp_path: Path) -> None:
    file = tmp_path / "dump"
    records = [
        rib(0, nlri("10.0.0.0/8"), [(0, SET), (1, SET)]),
        rib(1, nlri("192.0.2.128/25"), [(0, SET)]),
        rib(2, nlri("2001:db8::/33"), [(1, SET + REACH)], ipv6=True),
    ]
    file.write_bytes(dump(*records).getvalue())
    ours = [
        (show(entry.family.afi, entry.nlri), show_address(entry.peer.address), entry.peer.asn)
        for entry in rib_entries(BytesIO(file.read_bytes()))
    ]
    assert ours == _by_mrtparse(file)
    assert Afi.IPV6 in {entry.family.afi for entry in rib_entries(BytesIO(file.read_bytes()))}


_REFEREE = """
import json, sys, mrtparse
peers, found = [], []
for read in mrtparse.Reader(sys.argv[1]):
    if "peer_entries" in read.data:
        peers = read.data["peer_entries"]
        continue
    for entry in read.data["rib_entries"]:
        peer = peers[entry["peer_index"]]
        prefix = f"{read.data['prefix']}/{read.data['length']}"
        found.append([prefix, peer["peer_ip"], int(peer["peer_as"])])
print(json.dumps(found))
"""
"""Run apart, since the library lets a closed pipe end the whole process."""


def _by_mrtparse(file: Path) -> list[tuple[str, str, int]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _REFEREE, str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [(prefix, peer, asn) for prefix, peer, asn in json.loads(done.stdout)]
