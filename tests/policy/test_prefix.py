"""The packed prefix: split, pack, contain, print."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import IPV4_UNICAST, Afi
from policy.prefix import (
    ID_LENGTH,
    WIDTH,
    Nlri,
    PrefixError,
    UnroutableError,
    address_of,
    afi_of_address,
    canonical,
    covers,
    host_prefix,
    is_routable,
    pack,
    parse_prefix,
    show,
    show_address,
    show_all,
    split,
    split_slowly,
    split_with_ids,
)
from tests.support.routes import nlri, nlris

AFIS = st.sampled_from([Afi.IPV4, Afi.IPV6])


@given(data=st.data(), afi=AFIS)
def test_split_undoes_join(data: st.DataObject, afi: Afi) -> None:
    prefixes = data.draw(st.lists(nlris(afi)))
    assert split(afi, b"".join(prefixes)) == prefixes


@given(data=st.data(), afi=AFIS)
def test_split_slowly_agrees_on_canonical_input(data: st.DataObject, afi: Afi) -> None:
    block = b"".join(data.draw(st.lists(nlris(afi))))
    assert split_slowly(afi, block, 0, len(block)) == split(afi, block)


@given(data=st.data(), afi=AFIS)
def test_split_takes_only_the_given_range(data: st.DataObject, afi: Afi) -> None:
    prefixes = data.draw(st.lists(nlris(afi)))
    block = b"".join(prefixes)
    assert split(afi, b"\x21\x22" + block + b"\x18\x0a", 2, 2 + len(block)) == prefixes


@st.composite
def any_nlri(draw: st.DrawFn, afi: Afi) -> Nlri:
    """Draw canonical prefixes, of which many lead nowhere."""
    size = WIDTH[afi] // 8
    head = draw(st.sampled_from(["", "00", "7f", "e0", "fe8000", "ff"]))
    octets = bytes.fromhex(head) + draw(st.binary(min_size=size, max_size=size))
    small = draw(st.integers(0, 2)).to_bytes(size, "big")
    return pack(afi, draw(st.sampled_from([octets, small])), draw(st.integers(0, size * 8)))


@given(data=st.data(), afi=AFIS, has_ids=st.booleans())
def test_prefixes_that_lead_nowhere_are_set_aside(
    data: st.DataObject, afi: Afi, has_ids: bool
) -> None:
    """RFC 4271 §6.3."""
    prefixes = data.draw(st.lists(any_nlri(afi), min_size=1))
    keys = [n.to_bytes(4, "big") + each if has_ids else each for n, each in enumerate(prefixes)]
    good = [key for key, each in zip(keys, prefixes, strict=True) if is_routable(afi, each)]
    bad = [key for key in keys if key not in good]
    cut = split_with_ids if has_ids else split
    if not bad:
        assert cut(afi, b"".join(keys)) == good
        return
    with pytest.raises(UnroutableError) as raised:
        cut(afi, b"".join(keys))
    assert (raised.value.routable, raised.value.unroutable) == (good, bad)


@given(data=st.data(), afi=AFIS)
def test_what_leads_nowhere_agrees_with_the_registry(data: st.DataObject, afi: Afi) -> None:
    """As the standard library has it of the address, and of a prefix that is no wider."""
    prefix = data.draw(any_nlri(afi))
    network = ip_network(show(afi, prefix))
    wide = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4"}
    narrow = {"ff00::/8", "fe80::/10", "::1/128", "::/128"}
    nowhere = map(ip_network, wide if afi is Afi.IPV4 else narrow)
    assert is_routable(afi, prefix) is not any(network.subnet_of(each) for each in nowhere)  # type: ignore[arg-type]  # one family


ODD = """
0.0.0.0/0 0.0.0.0/1 128.0.0.0/1 126.0.0.0/7 240.0.0.0/4 169.254.0.0/16
::/0 ::/96 fc00::/7 fec0::/10 fe00::/7 ::ffff:0.0.0.0/96 64:ff9b::/96
"""


@pytest.mark.parametrize("text", ODD.split())
def test_what_is_odd_may_be_routed_all_the_same(text: str) -> None:
    """Defaults in halves, private use, and what some networks have made of reserved addresses."""
    afi, prefix = parse_prefix(text)
    assert split(afi, prefix) == [prefix]


@given(block=st.binary(max_size=60), afi=AFIS)
def test_split_of_any_octets_gives_canonical_prefixes_or_a_prefix_error(
    block: bytes, afi: Afi
) -> None:
    try:
        prefixes = split(afi, block)
    except PrefixError:
        return
    assert sum(map(len, prefixes)) == len(block)
    assert all(canonical(each) == each and each[0] <= WIDTH[afi] for each in prefixes)
    assert [each[0] for each in prefixes] == [
        each[0] for each in split_slowly(afi, block, 0, len(block))
    ]


def test_host_bits_are_cleared_and_not_refused() -> None:
    """RFC 4271 §4.3: the value of trailing bits is irrelevant."""
    assert split(Afi.IPV4, bytes((9, 10, 255, 24, 192, 0, 2))) == [
        bytes((9, 10, 128)),
        bytes((24, 192, 0, 2)),
    ]


@pytest.mark.parametrize(("afi", "length"), [(Afi.IPV4, 33), (Afi.IPV6, 129), (Afi.IPV4, 255)])
def test_a_length_above_the_width_is_refused(afi: Afi, length: int) -> None:
    with pytest.raises(PrefixError, match=f"prefix length {length} is above"):
        split(afi, bytes((length,)) + bytes(32))


@pytest.mark.parametrize("block", [b"\x18\x0a\0", b"\x20", b"\x08\x0a\x18"])
def test_missing_octets_are_refused(block: bytes) -> None:
    with pytest.raises(PrefixError, match="cut off"):
        split(Afi.IPV4, block)


def test_pack_clears_host_bits_and_refuses_what_is_too_long() -> None:
    assert pack(Afi.IPV4, bytes((10, 1, 2, 3)), 20) == bytes((20, 10, 1, 0))
    assert pack(Afi.IPV4, bytes(4), 0) == b"\0"
    with pytest.raises(PrefixError, match="33 is above 32"):
        pack(Afi.IPV4, bytes(4), 33)


@given(data=st.data(), afi=AFIS)
def test_covers_agrees_with_the_standard_library(data: st.DataObject, afi: Afi) -> None:
    outer, inner = data.draw(nlris(afi, within=3)), data.draw(nlris(afi, within=3))
    expected = ip_network(show(afi, inner)).subnet_of(ip_network(show(afi, outer)))  # type: ignore[arg-type]  # one family
    assert covers(outer, inner) is expected


@given(data=st.data(), afi=AFIS)
def test_what_is_shown_parses_to_the_same_prefix(data: st.DataObject, afi: Afi) -> None:
    prefix = data.draw(nlris(afi))
    assert parse_prefix(show(afi, prefix)) == (afi, prefix)


def test_a_bare_address_parses_to_a_host_prefix() -> None:
    assert parse_prefix(" 10.0.0.1 ") == (Afi.IPV4, host_prefix(bytes((10, 0, 0, 1))))
    assert parse_prefix("::1") == (Afi.IPV6, bytes((128,)) + bytes(15) + b"\x01")


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0.1/8", "ten", "1.2.3.4/a"])
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(PrefixError):
        parse_prefix(text)


def test_addresses_know_their_family_and_print() -> None:
    assert address_of(Afi.IPV4, nlri("10.0.0.0/8")) == bytes((10, 0, 0, 0))
    assert afi_of_address(bytes(4)) is Afi.IPV4
    assert afi_of_address(bytes(16)) is Afi.IPV6
    assert show_address(bytes((192, 0, 2, 1))) == "192.0.2.1"
    assert show_address(bytes(15) + b"\x01") == "::1"
    assert show_all(IPV4_UNICAST, [nlri("10.0.0.0/8"), b"\0"]) == ["10.0.0.0/8", "0.0.0.0/0"]


IDS = st.integers(0, 0xFFFFFFFF).map(lambda number: number.to_bytes(4, "big"))


@given(data=st.data(), afi=AFIS)
def test_split_with_ids_undoes_join(data: st.DataObject, afi: Afi) -> None:
    """RFC 7911 §3."""
    keys = data.draw(st.lists(st.builds(bytes.__add__, IDS, nlris(afi))))
    block = b"".join(keys)
    assert split_with_ids(afi, block) == keys
    assert split_with_ids(afi, b"\x21" + block + b"\x18", 1, 1 + len(block)) == keys
    assert split_slowly(afi, block, 0, len(block), ID_LENGTH) == keys


@given(block=st.binary(max_size=60), afi=AFIS)
def test_split_with_ids_of_any_octets_gives_canonical_prefixes_or_a_prefix_error(
    block: bytes, afi: Afi
) -> None:
    try:
        keys = split_with_ids(afi, block)
    except PrefixError:
        with pytest.raises(PrefixError):
            split_slowly(afi, block, 0, len(block), ID_LENGTH)
        return
    assert sum(map(len, keys)) == len(block)
    assert keys == split_slowly(afi, block, 0, len(block), ID_LENGTH)
    assert all(canonical(key[ID_LENGTH:]) == key[ID_LENGTH:] for key in keys)


def test_host_bits_behind_an_identifier_are_cleared_and_those_in_it_are_not() -> None:
    one, two = bytes((1, 2, 3, 255)), bytes((0, 0, 0, 24))
    block = one + bytes((9, 10, 255)) + two + bytes((24, 192, 0, 2))
    assert split_with_ids(Afi.IPV4, block) == [
        one + bytes((9, 10, 128)),
        two + bytes((24, 192, 0, 2)),
    ]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        pytest.param("000001", "identifier has no prefix", id="an identifier that is cut off"),
        pytest.param("00000001", "identifier has no prefix", id="an identifier alone"),
        pytest.param("00000001 18 0a", "of length 24 is cut off", id="a prefix that is cut off"),
        pytest.param("00000001 21 0a000000 00", "33 is above", id="a length above the width"),
    ],
)
def test_a_broken_block_with_identifiers_is_refused(block: str, words: str) -> None:
    with pytest.raises(PrefixError, match=words):
        split_with_ids(Afi.IPV4, bytes.fromhex(block))
