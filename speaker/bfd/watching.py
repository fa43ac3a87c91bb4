"""The sessions of the BFD process: who they are, and which packet is whose.

A packet that has a discriminator of ours is for that session; one that has none is for the session
with its source, destination and interface (RFC 5881 §3, RFC 5883 §4).

RFC: later packets may come from another address, or by another interface (RFC 5880 §6.3).
Ours: they are dropped and counted. A peer of ours has one address, and over a single hop one link;
what comes otherwise was made by somebody who has seen, or guessed, a discriminator.

RFC: a packet without a discriminator of ours is for the session of its source (RFC 5881 §3).
Ours: not while that is Up with another discriminator of the peer's. Anybody on the link could end
a session so; a peer that has begun anew is missed within the detection time, and heard then.

A session that is taken away says AdminDown for a while (RFC 5880 §6.8.16). One that was Up when the
last process died goes on as if nothing had been, and is told of when the peer was heard. One whose
speaker is gone goes on for as long as that one had said, and is taken away then, unless the next
speaker asks for it.

Standards: RFC 5880 §6.3, §6.8.6, §6.8.16; RFC 5881 §3, §5; RFC 5882 §4.3; RFC 5883 §4.
"""

from __future__ import annotations

import heapq
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count

from fsm.bfd import BfdState, ControlPacket, Discard, Moved, Send
from fsm.bfd.packet import decode
from fsm.bfd.session import MICROSECONDS, Effect
from speaker.bfd.datagrams import Datagram, Raw
from speaker.bfd.sorting import TAG_BITS, TTL
from speaker.bfd.watched import Former, Watched
from speaker.bfd.words import Watch

LINGER = 3.0
"""Seconds at the most in which a session that is taken away says so."""


class Watching:
    """All sessions.

    Args:
        clock: gives monotonic seconds.
        wall: gives seconds since the epoch.
        tell: called with a session whose state is another.
        independent: sessions may go on without a speaker, and peers are told so by the C bit.
        refuses_echo: says why a session's peer is not to send echo packets; empty if it may.

    Attributes:
        discards: packets that were nobody's, by reason.
        spared: how often a packet lay unread when its session's detection time was over.
        tags: upper halves of our discriminators.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        tell: Callable[[Watched], None],
        *,
        independent: bool = False,
        refuses_echo: Callable[[Watch], str] = lambda watch: "",
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._independent = independent
        self._refuses_echo = refuses_echo
        self._by_name: dict[str, Watched] = {}
        self._by_discriminator: dict[int, Watched] = {}
        self._by_peer: dict[str, list[Watched]] = {}
        self._heap: list[tuple[float, int, Watched]] = []
        self._order = count()
        self._steady: dict[bytes, Watched] = {}
        self._tag = 0
        self.tags: set[int] = set()
        self.discards: Counter[Discard] = Counter()
        self.spared = 0

    def __iter__(self) -> Iterator[Watched]:
        return iter(self._by_discriminator.values())

    def __len__(self) -> int:
        return len(self._by_discriminator)

    def watch(self, watch: Watch, former: Former | None = None) -> None:
        """Watch a session, or go on watching it under other settings.

        Args:
            watch: which, and how.
            former: of the session, where it was Up when the last process died.
        """
        now = self._clock()
        echo_trouble = self._refuses_echo(watch)
        echo_us = 0 if echo_trouble else watch.settings.required_min_echo_rx_us
        settings = replace(
            watch.settings, independent=self._independent, required_min_echo_rx_us=echo_us
        )
        watch = replace(watch, settings=settings)
        known = self._by_name.get(watch.name)
        if known is not None and known.watch.place != watch.place:
            self.unwatch(watch.name)
            known = None
        if known is None:
            known = self._add(watch, former)
            if former is not None:
                known.is_proven = False
                known.independent = former.remote.independent
                known.session.resume(former.remote, now)
            self._perform(known, known.session.tick(now, random.random()))
        else:
            before, known.watch = known.watch, watch
            # By which way packets may come is asked anew: how far the peer may be is another.
            known.way = ()
            if before.settings != watch.settings:
                known.session.configure(watch.settings, now, random.getrandbits(32))
        known.echo_trouble = echo_trouble
        if self._independent and watch.keep is not None:
            known.keep = watch.keep
        if known.orphaned_until is not None:
            known.orphaned_until = None
            self._tell(known)
        self._schedule(known)

    def unwatch(self, name: str) -> None:
        """Take a session away."""
        watched = self._by_name.pop(name, None)
        if watched is None:
            return
        now = self._clock()
        watched.orphaned_until = None
        if watched.session.remote is None:
            self._forget(watched)
            return
        self._perform(watched, watched.session.disable(now))
        interval = max(watched.session.tx_interval_us / MICROSECONDS, 1.0)
        watched.ends_at = now + min(LINGER, interval * watched.watch.settings.detect_mult)
        self._schedule(watched)

    def unwatch_all(self) -> None:
        """Take all sessions away."""
        for name in list(self._by_name):
            self.unwatch(name)

    def orphan(self) -> None:
        """The speaker is gone: go on without it for as long as it had said."""
        now = self._clock()
        for name, watched in list(self._by_name.items()):
            if not watched.keep:
                self.unwatch(name)
            elif watched.orphaned_until is None:
                watched.orphaned_until = now + watched.keep
                self._schedule(watched)

    def close(self) -> None:
        """Forget all sessions at once, and tell nobody."""
        self._by_name.clear()
        for watched in list(self):
            self._forget(watched)

    def _add(self, watch: Watch, former: Former | None) -> Watched:
        for other in list(self._by_peer.get(watch.peer, ())):
            if other.ends_at is not None and other.watch.place == watch.place:
                # Its AdminDown would take the new session down at the peer's end.
                self._forget(other)
        discriminator = 0 if former is None else former.discriminator
        # Of the process before us, if we go on with its sessions.
        self._tag = self._tag or discriminator >> TAG_BITS or random.getrandbits(TAG_BITS) or 1
        while not discriminator or discriminator in self._by_discriminator:
            discriminator = self._tag << TAG_BITS | random.getrandbits(TAG_BITS)
        self.tags.add(discriminator >> TAG_BITS)
        sequence = None if former is None else former.sequence
        if sequence is None:
            sequence = random.getrandbits(32)
        since = self._wall() if former is None else former.since
        made = Watched(watch, discriminator, since, sequence)
        self._by_name[watch.name] = self._by_discriminator[discriminator] = made
        self._by_peer.setdefault(watch.peer, []).append(made)
        return made

    def _forget(self, watched: Watched) -> None:
        watched.sender.close()
        watched.scheduled = None
        self._steady.pop(watched.key, None)
        del self._by_discriminator[watched.session.discriminator]
        same = self._by_peer[watched.watch.peer]
        same.remove(watched)
        if not same:
            del self._by_peer[watched.watch.peer]

    def take_again(self, raw: Raw) -> bool:
        """Take a packet that came before, by the same way, and changes nothing.

        Returns:
            Whether it is one; otherwise nothing was done.
        """
        octets, way = raw
        watched = self._steady.get(octets)
        if watched is None:
            return False
        session = watched.session
        if session.steady != octets or watched.way != way:
            return False
        now, due = self._clock(), session.detect_due
        self.spared += due is not None and due <= now
        session.heard_again(now)
        watched.heard_again(now)
        return True

    def take(self, datagram: Datagram) -> None:
        """Take a packet."""
        packet = decode(datagram.octets)
        if isinstance(packet, Discard):
            self.discards[packet] += 1
            return
        watched = self._whose(packet.your_discriminator, datagram)
        if watched is None:
            self.discards[Discard.NO_SESSION] += 1
            return
        wrong = None if watched.way and watched.way == datagram.way else _stray(watched, datagram)
        if wrong is not None:
            watched.session.discards[wrong] += 1
            return
        now, session = self._clock(), watched.session
        if not packet.your_discriminator and _is_another(watched, packet):
            session.discards[Discard.ANOTHER] += 1
            return
        due = session.detect_due
        effects = session.received(packet, datagram.octets, now, random.random())
        if session.remote is packet:
            # It waited for us, who ran late: its session would be down by the clock alone. Told by
            # this moment, since a process may be halted between waking up and reading, too.
            self.spared += due is not None and due <= now
            watched.heard(now)
            watched.independent = packet.independent
            if not watched.is_proven:
                watched.is_proven = True
                self._tell(watched)
            self._remember(watched, datagram)
        self._perform(watched, effects)
        self._schedule(watched)

    def _remember(self, watched: Watched, datagram: Datagram) -> None:
        """Know the packet at first sight if it comes again."""
        watched.way = datagram.way
        if watched.session.steady is not None and datagram.octets != watched.key:
            self._steady.pop(watched.key, None)
            self._steady[datagram.octets] = watched
            watched.key = datagram.octets

    def _whose(self, discriminator: int, datagram: Datagram) -> Watched | None:
        if discriminator:
            watched = self._by_discriminator.get(discriminator)
            fits = watched is not None and watched.watch.multihop == datagram.multihop
            return watched if fits else None
        for watched in self._by_peer.get(datagram.source, ()):
            if watched.ends_at is None and _is_for(watched.watch, datagram):
                return watched
        return None

    def may_echo(self, datagram: Datagram) -> bool:
        """Tell whether an echo packet that is addressed to us is to go back. RFC 5880 §6.8.9."""
        for watched in self._by_peer.get(datagram.source, ()):
            interval = watched.watch.settings.required_min_echo_rx_us / MICROSECONDS
            if not interval or watched.session.state is not BfdState.UP:
                continue
            if datagram.ttl == TTL and _is_by(watched.watch, datagram):
                return watched.may_echo(self._clock(), interval)
        self.discards[Discard.ECHO] += 1
        return False

    def next_deadline(self) -> float | None:
        """Tell when time is to pass next."""
        return self._heap[0][0] if self._heap else None

    def tick(self, now: float, read: Callable[[], None]) -> None:
        """Let time pass for the sessions for which it is due.

        Args:
            now: when we woke up.
            read: takes every packet that waits; called before anybody is missed.
        """
        heap, has_read = self._heap, False
        while heap and heap[0][0] <= now:
            deadline, _, watched = heapq.heappop(heap)
            if watched.scheduled != deadline:
                continue
            watched.scheduled = None
            if watched.ends_at is not None and watched.ends_at <= now:
                self._forget(watched)
                continue
            if watched.orphaned_until is not None and watched.orphaned_until <= now:
                watched.orphaned_until = None
                self.unwatch(watched.watch.name)
                continue
            session, chance = watched.session, random.random()
            octets = session.send_again(now, chance)
            if octets is not None:
                watched.sent += watched.sender.send(octets)
            else:
                silent = session.detect_due
                if silent is not None and silent <= now and not has_read:
                    read()
                    has_read = True
                self._perform(watched, session.tick(now, chance))
            self._schedule(watched)

    def _schedule(self, watched: Watched) -> None:
        """Put a session into the heap, unless it stands there early enough."""
        deadline = watched.deadline
        if deadline is None or (watched.scheduled is not None and watched.scheduled <= deadline):
            return
        watched.scheduled = deadline
        heapq.heappush(self._heap, (deadline, next(self._order), watched))

    def _perform(self, watched: Watched, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                watched.sent += watched.sender.send(effect.octets)
            else:
                self._moved(watched, effect)

    def _moved(self, watched: Watched, moved: Moved) -> None:
        watched.since = self._wall()
        watched.downs += moved.old is BfdState.UP
        if moved.new is BfdState.UP:
            watched.last_received = None
        elif moved.old is BfdState.UP and watched.session.remote is None:
            heard = watched.last_received
            watched.silence = None if heard is None else self._clock() - heard
        if watched.ends_at is None and self._by_name.get(watched.watch.name) is watched:
            self._tell(watched)


def _is_another(watched: Watched, packet: ControlPacket) -> bool:
    """Tell whether somebody who does not know us is not the one that a session is Up with."""
    session, remote = watched.session, watched.session.remote
    if session.state is not BfdState.UP or remote is None:
        return False
    return packet.my_discriminator != remote.my_discriminator


def _stray(watched: Watched, datagram: Datagram) -> Discard | None:
    """Say what is wrong with the way that a packet of a session's came by, if anything is."""
    watch = watched.watch
    if datagram.ttl < (watch.least_ttl if watch.multihop else TTL):
        return Discard.TTL
    if datagram.source != watch.peer:
        return Discard.SOURCE
    return None if _is_by(watch, datagram) else Discard.INTERFACE


def _is_for(watch: Watch, datagram: Datagram) -> bool:
    """Tell whether a first packet is for a session. RFC 5881 §3, RFC 5883 §4."""
    if watch.multihop != datagram.multihop or watch.local not in (None, datagram.destination):
        return False
    return _is_by(watch, datagram)


def _is_by(watch: Watch, datagram: Datagram) -> bool:
    """Tell whether a packet came by a session's interface."""
    if watch.interface is None or watch.multihop:
        return True
    try:
        return socket.if_indextoname(datagram.interface) == watch.interface
    except OSError:
        return False
