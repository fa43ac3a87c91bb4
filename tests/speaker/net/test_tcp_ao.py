"""TCP-AO: what is said to the kernel, octet by octet, and what comes of it.

The offsets are those that a C compiler gives to the structs of ``include/uapi/linux/tcp.h``. Where
the kernel has TCP-AO, the last test is a connection by it; where not, that is what it finds.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from speaker.config.secrets import Secret
from speaker.config.tcp_ao import Algorithm, MasterKey
from speaker.net import tcp_ao
from speaker.net.admission import AO_KEY_SIZE, Admission, Terms
from speaker.net.tcp_ao import adopt, lacking, roll_over, signing
from tests.support.ao_kernel import AoKernel

HERE = "127.0.0.1"
ONE = MasterKey(1, 101, Algorithm.HMAC_SHA_1_96, Secret(b"one"))
TWO = MasterKey(2, 102, Algorithm.AES_128_CMAC_96, Secret(b"two"))
THREE = MasterKey(3, 103, Algorithm.HMAC_SHA_256_128, Secret(b"three"))
OTHER_ONE = MasterKey(1, 101, Algorithm.HMAC_SHA_1_96, Secret(b"another"))


@pytest.fixture
def kernel() -> Iterator[AoKernel]:
    kernel = AoKernel()
    with kernel.installed():
        yield kernel


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def ids(kernel: AoKernel, sock: socket.socket) -> list[int]:
    return [key.send_id for key in kernel.of(sock).keys]


# What is said.


def test_a_key_is_laid_out_as_struct_tcp_ao_add(kernel: AoKernel, sock: socket.socket) -> None:
    tcp_ao.add(sock, "192.0.2.1", ONE, first=True)
    [(option, data)] = kernel.said
    assert (option, len(data)) == (38, 288)
    assert data[:8] == b"\x02\x00\x00\x00\xc0\x00\x02\x01"
    assert data[8:128] == bytes(120)
    assert data[128:192] == b"hmac(sha1)".ljust(64, b"\0")
    assert data[192:196] == bytes(4), "no interface"
    assert data[196:200] == b"\x03\0\0\0", "set_current and set_rnext"
    assert data[200:202] == bytes(2)
    assert [*data[202:208]] == [32, 1, 101, 12, 0, 3]
    assert data[208:] == b"one".ljust(80, b"\0")


def test_an_ipv6_address_and_the_other_algorithms(kernel: AoKernel, sock: socket.socket) -> None:
    tcp_ao.add(sock, "fe80::1%eth0", TWO)
    tcp_ao.add(sock, "2001:db8::1", THREE)
    first, second = (data for _, data in kernel.said)
    assert first[:8] == b"\x0a\0\0\0\0\0\0\0"
    assert first[8:24].hex() == "fe800000000000000000000000000001"
    assert first[128:192].rstrip(b"\0") == b"cmac(aes128)"
    assert first[196:200] == bytes(4), "on a listening socket neither can be set"
    assert [*first[202:208]] == [128, 2, 102, 12, 0, 3]
    assert second[128:192].rstrip(b"\0") == b"hmac(sha256)"
    assert [*second[202:208]] == [128, 3, 103, 16, 0, 5]


def test_a_key_is_taken_away_by_struct_tcp_ao_del(kernel: AoKernel, sock: socket.socket) -> None:
    tcp_ao.add(sock, HERE, ONE)
    tcp_ao.remove(sock, HERE, ONE)
    option, data = kernel.said[-1]
    assert (option, len(data)) == (39, 144)
    assert data[:8] == b"\x02\x00\x00\x00\x7f\x00\x00\x01"
    assert data[128:138] == bytes(10), "no interface, no flags"
    assert [*data[138:144]] == [32, 1, 101, 0, 0, 0]
    assert kernel.of(sock).keys == []


def test_a_key_is_asked_for_by_struct_tcp_ao_info_opt(
    kernel: AoKernel, sock: socket.socket
) -> None:
    tcp_ao.add(sock, HERE, ONE)
    tcp_ao.ask_for(sock, ONE)
    option, data = kernel.said[-1]
    assert (option, len(data)) == (40, 48)
    assert data[:8] == b"\x02\0\0\0\0\0\0\x65", "set_rnext, and the receive id"
    assert data[8:] == bytes(40)


def test_the_counters_are_read_where_the_kernel_writes_them(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    counters = b"".join(number.to_bytes(8, "little") for number in (1000, 1, 20, 300, 4))
    monkeypatch.setattr(tcp_ao, "get_info", lambda _: bytes([0, 0, 0, 0, 0, 0, 5, 6]) + counters)
    assert signing(sock) == (5, 6, 1000, 321)


# Listening sockets.


def test_a_listening_socket_follows_the_keys_of_a_peer(
    kernel: AoKernel, sock: socket.socket
) -> None:
    sock.bind((HERE, 0))
    admission = Admission()
    for keys in ((ONE,), (TWO, ONE), (TWO,), (OTHER_ONE,), ()):
        admission.follow({HERE: Terms(keys=keys), "::1": Terms(keys=(THREE,))}, [sock])
        assert {(k.send_id, k.octets) for k in kernel.of(sock).keys} == {
            (key.send_id, key.octets.reveal()) for key in keys
        }
        assert not admission.refused
    admission.follow({HERE: Terms(keys=(ONE, TWO))}, [sock])
    admission.follow({}, [sock])
    assert kernel.of(sock).keys == []


@pytest.mark.parametrize("left", [OTHER_ONE, MasterKey(1, 7, ONE.algorithm, ONE.octets)])
def test_what_an_inherited_socket_has_under_the_same_ids_gives_way(
    kernel: AoKernel, sock: socket.socket, left: MasterKey
) -> None:
    tcp_ao.add(sock, HERE, left)
    admission = Admission()
    admission.follow({HERE: Terms(keys=(ONE,))}, [])
    admission.prepare(sock)
    [key] = kernel.of(sock).keys
    assert (key.send_id, key.receive_id, key.octets) == (1, 101, b"one")


def test_what_the_run_before_has_left_and_nobody_wants_goes(
    kernel: AoKernel, sock: socket.socket
) -> None:
    """A range that was larger, smaller or elsewhere would be in the way, or shut its peers out."""
    for number, place in enumerate(("127.0.0.0/8", "127.0.0.128/25", "10.0.0.0/8", "127.0.0.9"), 4):
        tcp_ao.add(sock, place, MasterKey(number, number, ONE.algorithm, ONE.octets))
    tcp_ao.add(sock, "192.0.2.1", ONE)
    admission = Admission()
    own = MasterKey(9, 9, TWO.algorithm, TWO.octets)
    wanted = {"127.0.0.0/24": Terms(keys=(own,)), "192.0.2.1": Terms(keys=(ONE,))}
    admission.follow(wanted, [])
    admission.prepare(sock)
    assert {(key.place, key.send_id) for key in kernel.of(sock).keys} == {
        ("127.0.0.0/24", 9),
        ("192.0.2.1", 1),
    }
    assert not admission.refused


def test_keys_are_listed_by_struct_tcp_ao_getsockopt() -> None:
    """Of its 304 octets these are looked at: the address, the number of keys, ids, the prefix."""
    entry = bytearray(304)
    entry[0], entry[4:8] = socket.AF_INET, bytes((10, 1, 0, 0))
    entry[272], entry[278:281] = 1, (5, 6, 16)
    asked = []

    def list_keys(door: socket.socket, room: int) -> bytes:
        asked.append(room)
        return bytes(entry)

    with pytest.MonkeyPatch.context() as patched, socket.socket() as door:
        patched.setattr(tcp_ao, "list_keys", list_keys)
        assert tcp_ao.held(door) == [("10.1.0.0/16", 5, 6)]
    assert asked == [1]


def test_a_password_and_keys_of_one_peer_follow_each_other(
    kernel: AoKernel, sock: socket.socket
) -> None:
    """The kernel has no peer with both, so one goes before the other comes."""
    admission = Admission()
    for terms in (Terms(Secret(b"md5")), Terms(keys=(ONE,)), Terms(Secret(b"md5"))):
        admission.follow({HERE: terms}, [sock])
        assert ids(kernel, sock) == [key.send_id for key in terms.keys]
    assert not admission.refused


def test_keys_without_room_are_refused_with_what_they_need(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(tcp_ao, "set_option", full)
    admission = Admission()
    admission.follow({HERE: Terms(keys=(ONE, TWO))}, [sock])
    needed = f"2 keys of TCP-AO need {2 * AO_KEY_SIZE}"
    assert needed in admission.refused[HERE]
    assert "no room for its keys" in admission.refused[HERE]


def test_an_algorithm_that_the_kernel_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, sock: socket.socket
) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(tcp_ao, "set_option", without)
    admission = Admission()
    admission.follow({HERE: Terms(keys=(ONE,))}, [sock])
    assert "lacks the algorithm" in admission.refused[HERE]


def test_without_tcp_ao_in_the_kernel_who_asks_for_it_is_refused_and_others_are_not(
    sock: socket.socket,
) -> None:
    admission = Admission("this kernel has no TCP-AO")
    terms = {HERE: Terms(keys=(ONE,)), "127.0.0.2": Terms(Secret(b"md5")), "127.0.0.3": Terms()}
    admission.follow(terms, [sock])
    admission.prepare(sock)
    assert admission.refused == {HERE: "this kernel has no TCP-AO"}
    assert not admission.admit(sock, HERE, terms[HERE])


# Connections.


@pytest.fixture
def ends(kernel: AoKernel) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection whose ends have the first key; its ids are the other way round over there."""
    with socket.create_server((HERE, 0)) as door, socket.socket() as caller:
        tcp_ao.add(door, HERE, turned(ONE))
        Terms(keys=(ONE,)).ask(caller, HERE)
        caller.connect(door.getsockname())
        accepted, _ = door.accept()
        with accepted:
            yield caller, accepted


def turned(key: MasterKey) -> MasterKey:
    return MasterKey(key.receive_id, key.send_id, key.algorithm, key.octets)


def test_what_is_accepted_gets_the_keys_of_today(
    kernel: AoKernel, ends: tuple[socket.socket, socket.socket]
) -> None:
    _, accepted = ends
    adopt(accepted, HERE, (turned(TWO), turned(ONE)))
    assert ids(kernel, accepted) == [101, 102]
    assert signing(accepted) == (101, 2, 7, 0)


def test_what_is_signed_by_no_key_of_today_is_not_talked_to(
    kernel: AoKernel, ends: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EKEYREJECTED)):
        adopt(ends[1], HERE, (turned(TWO),))
    with socket.socket() as unsigned, pytest.raises(OSError, match="rejected"):
        adopt(unsigned, HERE, (ONE,))


def test_a_key_is_rolled_over_while_the_connection_stands(
    kernel: AoKernel, ends: tuple[socket.socket, socket.socket]
) -> None:
    """RFC 5925 §6.1, end by end: add, put first, take the old one away."""
    here, there = ends
    one, two = turned(ONE), turned(TWO)
    mine = roll_over(here, HERE, (ONE,), (ONE, TWO))
    theirs = roll_over(there, HERE, (one,), (one, two))
    assert (signing(here), signing(there)) == ((1, 101, 7, 0), (101, 1, 7, 0))
    mine = roll_over(here, HERE, mine, (TWO, ONE))
    # We ask for it and so they sign by it; they have not asked us yet.
    assert (signing(here), signing(there)) == ((1, 102, 7, 0), (102, 1, 7, 0))
    # Who takes the old one away too early keeps it, as long as it is in use.
    mine = roll_over(here, HERE, mine, (TWO,))
    assert (mine, ids(kernel, here)) == ((ONE, TWO), [1, 2])
    theirs = roll_over(there, HERE, theirs, (two, one))
    assert signing(here) == (2, 102, 7, 0)
    assert roll_over(here, HERE, mine, (TWO,)) == (TWO,)
    assert roll_over(there, HERE, theirs, (two,)) == (two,)
    assert (ids(kernel, here), ids(kernel, there)) == ([2], [102])


def test_keys_of_a_range_roll_over_on_the_connections_from_it(kernel: AoKernel) -> None:
    with socket.create_server((HERE, 0)) as door, socket.socket() as caller:
        tcp_ao.add(door, "127.0.0.0/8", turned(ONE))
        Terms(keys=(ONE,)).ask(caller, HERE)
        caller.connect(door.getsockname())
        accepted, _ = door.accept()
        with accepted:
            one, two = turned(ONE), turned(TWO)
            adopt(accepted, HERE, (one,))
            assert [key.place for key in kernel.of(accepted).keys] == ["127.0.0.0/8"]
            mine = roll_over(accepted, HERE, (one,), (two, one))
            roll_over(caller, HERE, (ONE,), (TWO, ONE))
            assert roll_over(accepted, HERE, mine, (two,)) == (two,)
            assert ids(kernel, accepted) == [102]


def test_other_octets_under_the_same_ids_wait_for_the_next_connection(
    kernel: AoKernel, ends: tuple[socket.socket, socket.socket]
) -> None:
    here, _ = ends
    assert roll_over(here, HERE, (ONE,), (OTHER_ONE,)) == (ONE,)
    assert roll_over(here, HERE, (ONE,), ()) == (ONE,)
    assert [key.octets for key in kernel.of(here).keys] == [b"one"]


# The kernel here.


def test_this_kernel_connects_by_tcp_ao_or_says_what_it_lacks() -> None:
    lacks = lacking()
    with socket.create_server((HERE, 0)) as door, socket.socket() as caller:
        admission = Admission(lacks)
        admission.follow({HERE: Terms(keys=(turned(ONE),))}, [door])
        if lacks:
            assert "has no TCP-AO: it needs 6.7 or later with CONFIG_TCP_AO; boot" in lacks
            assert os.uname().release in lacks
            assert admission.refused == {HERE: lacks}
            # Nothing is ever dialled unsigned instead.
            with pytest.raises(OSError, match=os.strerror(errno.ENOPROTOOPT)):
                Terms(keys=(ONE,)).ask(caller, HERE)
            return
        with socket.socket() as unsigned:
            unsigned.settimeout(0.5)
            with pytest.raises(TimeoutError):
                unsigned.connect(door.getsockname())
        Terms(keys=(ONE,)).ask(caller, HERE)
        caller.connect(door.getsockname())
        accepted, _ = door.accept()
        with accepted:
            assert admission.admit(accepted, HERE, Terms(keys=(turned(ONE), turned(TWO))))
            roll_over(caller, HERE, (ONE,), (TWO, ONE))
            caller.sendall(b"signed")
            assert accepted.recv(6) == b"signed"
            now = signing(accepted)
            assert now is not None
            assert (now.current, now.bad) == (102, 0)
