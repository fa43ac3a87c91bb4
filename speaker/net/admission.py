"""On which terms peers may connect: signed by keys, from no farther than so many hops.

The system sees to it, as far as it can. Every listening socket has the keys of all peers of its
family that sign, before anything is accepted there; a segment without the right signature is
dropped before we hear of it. The number of hops cannot be had for each peer of a listening socket,
so what is accepted is looked at: the TTL of its SYN first, which the system keeps for us, and from
then on the socket itself drops what comes from too far.

A key that changes is put onto the listening sockets and used by what is dialled from then on. A
connection that stands keeps its own, as its other end does: only the next one needs the new key.

Keys need memory that the system counts by socket. A peer whose key finds no room is not talked to,
nor is one that asks for TCP-AO where the kernel has none: the others go on.

Standards: RFC 2385 §2; RFC 5082 §3; RFC 5925 §7.3.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from speaker.config.peerplan import PeerPlan
from speaker.config.secrets import Secret
from speaker.config.tcp_ao import MasterKey
from speaker.net import sockopts, tcp_ao
from speaker.net.held_keys import held_places

_OPTMEM: Final = Path("/proc/sys/net/core/optmem_max")
KEY_SIZE: Final = 144
"""Octets that a password takes on a listening socket.

Linux 6.18 takes 136, and a little for what a socket has besides.
"""
AO_KEY_SIZE: Final = 256
"""Octets that a key of TCP-AO takes there, at the most, with two of its traffic keys."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a peer's connections.

    Attributes:
        password: by which they are signed; None for no signatures of this kind.
        keys: by which they are signed (RFC 5925), the one to be used first; or none.
        hops: how far away the peer may be; 0 for any distance (RFC 5082).
    """

    password: Secret | None = None
    hops: int = 0
    keys: tuple[MasterKey, ...] = ()

    @classmethod
    def of(cls, plan: PeerPlan) -> Self:
        """Give those of a peer."""
        return cls(plan.password, plan.ttl_security, plan.tcp_ao)

    def ask(self, sock: socket.socket, address: str) -> None:
        """Ask it of a socket that is to be connected with an address.

        Raises:
            OSError: the system cannot sign.
        """
        if self.password is not None:
            sockopts.sign(sock, address, self.password)
        for number, key in enumerate(self.keys):
            tcp_ao.add(sock, address, key, first=number == 0)
        if self.hops:
            sockopts.limit_hops(sock, self.hops)


ANY: Final = Terms()


class Admission:
    """What the listening sockets ask of those who connect.

    Args:
        lacks_ao: why the kernel has no TCP-AO; empty if it has.

    Attributes:
        refused: the addresses and ranges whose keys cannot be set, and why.
    """

    def __init__(self, lacks_ao: str = "") -> None:
        self._lacks_ao = lacks_ao
        self._terms: dict[str, Terms] = {}
        self._near: set[socket.AddressFamily] = set()
        self.refused: dict[str, str] = {}

    def follow(self, terms: Mapping[str, Terms], doors: Iterable[socket.socket]) -> None:
        """Have other terms.

        Args:
            terms: of each peer's address, and of ranges of addresses.
            doors: the sockets that listen.
        """
        before, self._terms = self._terms, dict(terms)
        near, self._near = self._near, {_family(a) for a, each in terms.items() if each.hops}
        gone = [address for address in before if address not in terms]
        anew = [
            address
            for address, each in terms.items()
            if address in self.refused or _signing(each) != _signing(before.get(address, ANY))
        ]
        self._refuse_ao()
        for door in doors:
            # What is given back may make room.
            self._set_keys(door, gone, before)
            self._set_keys(door, anew, before)
            if (door.family in near) != (door.family in self._near):
                sockopts.expect_near(door, near=door.family in self._near)

    def prepare(self, door: socket.socket) -> None:
        """Ask it of a socket that is about to be accepted from, wherever it comes from."""
        signed = {a.partition("%")[0] for a, each in self._terms.items() if each.password}
        for place in held_places(door):
            # The run before has left it, and nobody wants it.
            if place not in signed:
                sockopts.sign(door, place, None)
        if not self._lacks_ao:
            keys = {a.partition("%")[0]: each.keys for a, each in self._terms.items()}
            tcp_ao.drop_left_over(door, keys)
        self._set_keys(door, self._terms, {})
        sockopts.expect_near(door, near=door.family in self._near)

    def _refuse_ao(self) -> None:
        """Begin anew to refuse: where the kernel has no TCP-AO, whoever asks for it."""
        self.refused.clear()
        if self._lacks_ao:
            self.refused |= {a: self._lacks_ao for a, each in self._terms.items() if each.keys}

    def _set_keys(
        self, door: socket.socket, addresses: Iterable[str], before: Mapping[str, Terms]
    ) -> None:
        for address in addresses:
            if _family(address) != door.family:
                continue
            old, new = before.get(address, ANY), self._terms.get(address, ANY)
            try:
                # The kernel takes no keys of one kind where there are some of the other.
                if new.keys or old.keys:
                    sockopts.sign(door, address, None)
                    if not self._lacks_ao:
                        tcp_ao.replace(door, address, old.keys, new.keys)
                if not new.keys:
                    sockopts.sign(door, address, new.password)
            except OSError as error:
                self.refused[address] = self._explained(error, door.family, ao=bool(new.keys))

    def _explained(self, error: OSError, family: int, *, ao: bool) -> str:
        if error.errno in (errno.ENOMEM, errno.ENOBUFS):
            here = [each for a, each in self._terms.items() if _family(a) == family]
            passwords = sum(each.password is not None for each in here)
            keys = sum(len(each.keys) for each in here)
            what = [f"{passwords} passwords"] if passwords else []
            what += [f"{keys} keys of TCP-AO"] if keys else []
            room = passwords * KEY_SIZE + keys * AO_KEY_SIZE
            return (
                f"there is no room for its {'keys' if ao else 'password'} on a listening socket:"
                f" net.core.optmem_max is {_optmem()}, {' and '.join(what)} need {room}"
            )
        if ao:
            return tcp_ao.explained(error)
        if error.errno == errno.ENOPROTOOPT:
            return "the kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)"
        return f"its password cannot be set: {os.strerror(error.errno or 0)}"

    def admit(self, sock: socket.socket, address: str, terms: Terms) -> bool:
        """Ask it of an accepted connection; tell whether it may stay.

        Args:
            sock: of the connection.
            address: of the peer.
            terms: of the peer.

        Raises:
            OSError: the connection is gone, or cannot be signed.
        """
        if address in self.refused:
            return False
        if terms.password is not None:
            # The system has done so, unless the connection is older than the key: it ends here.
            sockopts.sign(sock, address, terms.password)
        if terms.keys:
            tcp_ao.adopt(sock, address, terms.keys)
        if sock.family not in self._near:
            return True
        # The listening socket answers with another TTL than the usual one.
        sockopts.limit_hops(sock, terms.hops)
        ttl = sockopts.ttl_of_syn(sock) if terms.hops else None
        return ttl is None or ttl >= 256 - terms.hops


def _signing(terms: Terms) -> tuple[Secret | None, tuple[MasterKey, ...]]:
    return terms.password, terms.keys


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _optmem() -> str:
    try:
        return _OPTMEM.read_text(encoding="ascii").strip()
    except OSError:
        return "too small"
