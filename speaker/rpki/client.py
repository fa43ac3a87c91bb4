"""The router's end of one RPKI-to-Router session, and the VRPs that one cache has told.

A `Client` is a machine: events go in with the time, effects come out, and `deadline` says when it
wants to be looked at again. It asks for everything once and for what is new from then on, at the
cache's word (Serial Notify) or when it is due. What an answer brings is put aside and becomes the
cache's word as a whole with End of Data: all of it or nothing. A cache that goes away keeps its
word until it expires, and one that comes back with the same data changes nothing.

Each connection begins with version 1; a cache that refuses it, or twice hangs up without a word, is
asked with version 0 at once.

*RFC 8210 §5.1:* data is flushed when the session id is not the expected one. *Ours:* it stays until
the next complete answer, or until it expires; a mistake of one cache must not withdraw routes.

*RFC 8210 §6:* the retry interval, ten minutes by default, stands before every new try. *Ours:*
before a new query; a connection that did not come about is tried again sooner, from one second on
to a minute, and never later than the interval.

Standards: RFC 8210 §5, §6, §7, §8; RFC 6810 §5, §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from re import sub

from fsm.family import Afi
from policy.vrps import VrpTable
from speaker.rpki.answer import Answer, no_vrps
from speaker.rpki.effects import ClientState, Dial, Effect, HangUp, Replaced, Send
from speaker.rpki.intervals import DEFAULTS, Intervals, Wishes, settle
from speaker.rpki.pdus import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorCode,
    ErrorReport,
    Flaw,
    Pdu,
    PrefixPdu,
    Reader,
    RouterKey,
    SerialNotify,
    encode,
    error_report,
    query,
)

SILENCE, ANSWER_TIME = 60.0, 600.0
"""Seconds that an answer may pause, and take as a whole."""

LONGEST_PAUSE = 60.0
"""Seconds between two tries to connect, at the most."""

BETWEEN = 1.0
"""Seconds from an answer to the next query, however often the cache has something new."""


class Client:
    """One cache, as seen from here.

    Args:
        wishes: what is configured.

    Attributes:
        tables: what the cache says, by family.
        version: of the protocol, on this connection or the next.
        session: session id and serial number of the data; None where there is none.
        last_error: why the last connection ended or did not come about; empty while all is well.
        expires_at: when the data is void; None where there is none.
    """

    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.state = ClientState.STOPPED
        self.tables: Mapping[Afi, VrpTable] = no_vrps()
        self.version = 1
        self.session: tuple[int, int] | None = None
        self.last_error = ""
        self.expires_at: float | None = None
        self.has_expired = False
        self._told = DEFAULTS
        # Of the data; a session id means nothing in another version (RFC 8210 §5.1).
        self._data_version = 1
        self._connected_at = 0.0
        self._asked_at = 0.0
        self._synced_at = 0.0
        self._reader = Reader(1)
        self._is_silent = True
        # So many connections with version 1 were hung up on without a word.
        self._silences = 0
        # The session id of which news was asked for; None for everything.
        self._asked_for: int | None = None
        self._notified: int | None = None
        self._answer: Answer | None = None
        self._failures = 0
        self._next: float | None = None

    @property
    def intervals(self) -> Intervals:
        """Refresh, retry and expire interval in force."""
        return settle(self.wishes, self._told)

    @property
    def size(self) -> int:
        """How many VRPs the cache has told."""
        return sum(map(len, self.tables.values()))

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called."""
        return min((at for at in (self._next, self.expires_at) if at is not None), default=None)

    def start(self) -> list[Effect]:
        """Connect, and stay connected."""
        return self._dial() if self.state is ClientState.STOPPED else []

    def stop(self) -> list[Effect]:
        """End the session for good; what the cache said is void."""
        self.state, self._next, self.expires_at = ClientState.STOPPED, None, None
        self.session, self._answer, self.tables = None, None, no_vrps()
        return [HangUp(), Replaced(self.tables)]

    def wish(self, wishes: Wishes, now: float) -> None:
        """Go on under other wishes; the connection stays."""
        self.wishes = wishes
        if self.expires_at is not None:
            self.expires_at = self._synced_at + self.intervals.expire
        if self.state is ClientState.UP and self._notified is None:
            self._next = self._synced_at + self.intervals.refresh
        elif self.state is ClientState.DOWN and self._next is not None:
            self._next = min(self._next, now + self.intervals.retry)

    def turn(self) -> list[Effect]:
        """Connect to another cache; what this one said stays until that one has answered."""
        if self.state is ClientState.STOPPED:
            return []
        self.session, self._answer, self.version, self._failures = None, None, 1, 0
        return [HangUp(), *self._dial()]

    def connected(self, now: float) -> list[Effect]:
        """The connection stands: ask."""
        self._connected_at = now
        self._reader = Reader(self.version)
        self._is_silent = True
        self._notified = None
        return self._ask(now)

    def lost(self, why: str, now: float) -> list[Effect]:
        """The connection has ended, or did not come about."""
        if self.state in (ClientState.STOPPED, ClientState.DOWN):
            return []
        if self.state is not ClientState.CONNECTING and self._is_silent and self.version == 1:
            # RFC 8210 §7: a cache that knows version 0 alone may just hang up. Once may be chance.
            self._silences += 1
            if self._silences > 1:
                return self._retreat()
        self._fall(why, now, self._pause(now))
        return []

    def received(self, chunk: bytes, now: float) -> list[Effect]:
        """Octets came."""
        effects: list[Effect] = []
        if self.state not in (ClientState.SYNCING, ClientState.UP):
            return effects
        self._is_silent, self._silences = False, 0
        if self.state is ClientState.SYNCING:
            self._next = min(now + SILENCE, self._asked_at + ANSWER_TIME)
        for pdu in self._reader.feed(chunk):
            flaw = self._take(pdu, now, effects)
            if flaw is not None:
                return effects + self._refuse(flaw, now)
            if self.state not in (ClientState.SYNCING, ClientState.UP):
                return effects
        if self._reader.error is not None:
            effects += self._refuse(self._reader.error, now)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        if self.expires_at is not None and now >= self.expires_at:
            self._forget()
            self.has_expired = True
            effects.append(Replaced(self.tables))
        if self._next is None or now < self._next:
            return effects
        if self.state is ClientState.DOWN:
            return effects + self._dial()
        if self.state is ClientState.UP:
            return effects + self._ask(now)
        self._fall("it does not answer", now, self._pause(now))
        return [*effects, HangUp()]

    def _dial(self) -> list[Effect]:
        self.state, self._next = ClientState.CONNECTING, None
        return [Dial()]

    def _ask(self, now: float, *, for_all: bool = False) -> list[Effect]:
        same_version = self._data_version == self._reader.version
        since = self.session if same_version and not for_all else None
        self.state, self._answer, self._asked_at = ClientState.SYNCING, None, now
        self._asked_for = None if since is None else since[0]
        self._notified = None
        self._next = now + SILENCE
        return [Send(query(self._reader.version, since))]

    def _take(self, pdu: Pdu, now: float, effects: list[Effect]) -> Flaw | None:
        """Heed one PDU; say what is wrong with it."""
        if isinstance(pdu, PrefixPdu):
            return self._take_prefix(pdu)
        match pdu:
            case RouterKey():
                return None if self._answer is not None else self._out_of_place(pdu)
            case SerialNotify():
                return self._take_notify(pdu, now)
            case CacheResponse():
                return self._begin(pdu)
            case EndOfData():
                return self._complete(pdu, now, effects)
            case CacheReset():
                if self.state is not ClientState.SYNCING or self._answer or self._asked_for is None:
                    return self._out_of_place(pdu)
                effects += self._ask(now, for_all=True)
            case ErrorReport():
                effects += self._heed_error(pdu, now)
        return None

    def _take_notify(self, pdu: SerialNotify, now: float) -> Flaw | None:
        if self.session is not None and pdu.session != self.session[0]:
            if self._data_version == self._reader.version and self.state is ClientState.UP:
                return self._other_session(pdu)
        elif self.session is not None and pdu.serial == self.session[1]:
            return None
        self._notified = pdu.serial
        if self.state is ClientState.UP:
            self._next = max(now, self._asked_at + BETWEEN)
        return None

    def _other_session(self, pdu: SerialNotify | CacheResponse | EndOfData) -> Flaw:
        self.session = None
        return self._flaw(ErrorCode.CORRUPT_DATA, pdu, f"{pdu.session} is not the session id")

    def _out_of_place(self, pdu: Pdu) -> Flaw:
        return self._flaw(ErrorCode.CORRUPT_DATA, pdu, f"a {_name(pdu)} is out of place")

    def _flaw(self, code: ErrorCode, pdu: Pdu, what: str) -> Flaw:
        return Flaw(code, encode(pdu, self._reader.version), what)

    def _begin(self, pdu: CacheResponse) -> Flaw | None:
        if self.state is not ClientState.SYNCING or self._answer is not None:
            return self._out_of_place(pdu)
        if self._asked_for not in (None, pdu.session):
            return self._other_session(pdu)
        standing = None if self._asked_for is None else self.tables
        self._answer = Answer(pdu.session, standing, self.wishes.max_vrps)
        # What was to be changed may have expired since it was asked for.
        self._answer.is_void = standing is not None and self.session is None
        return None

    # hot: per VRP
    def _take_prefix(self, pdu: PrefixPdu) -> Flaw | None:
        if self._answer is None:
            return self._out_of_place(pdu)
        wrong = self._answer.take(pdu)
        return None if wrong is None else self._flaw(wrong[0], pdu, wrong[1])

    def _complete(self, pdu: EndOfData, now: float, effects: list[Effect]) -> Flaw | None:
        answer = self._answer
        if answer is None:
            return self._out_of_place(pdu)
        if pdu.session != answer.session:
            return self._other_session(pdu)
        if answer.is_void:
            effects += self._ask(now, for_all=True)
            return None
        said = answer.finish()
        if isinstance(said, Replaced):
            self.tables = said.tables
            effects.append(said)
        elif any(said.nlris.values()):
            effects.append(said)
        self._answer, self.session = None, (pdu.session, pdu.serial)
        self._told = pdu.intervals or DEFAULTS
        self.version = self._data_version = self._reader.version
        self.state, self.last_error, self.has_expired = ClientState.UP, "", False
        self._synced_at = now
        self.expires_at = now + self.intervals.expire
        notified = self._notified not in (None, pdu.serial)
        self._notified = self._notified if notified else None
        self._next = now + (BETWEEN if notified else self.intervals.refresh)
        return None

    def _heed_error(self, report: ErrorReport, now: float) -> list[Effect]:
        if report.code == ErrorCode.UNSUPPORTED_PROTOCOL_VERSION and not self._reader.is_agreed:
            if self.version == 1:
                return [HangUp(), *self._retreat()]
        elif report.code == ErrorCode.NO_DATA_AVAILABLE:
            # RFC 8210 §12: not an end; the cache may have some soon, and say so.
            self.state, self._answer, self.last_error = ClientState.UP, None, f"it says {report}"
            self._next = now + self.intervals.retry
            return []
        self._fall(f"it says {report}", now, self.intervals.retry)
        return [HangUp()]

    def _retreat(self) -> list[Effect]:
        """Try the older version at once."""
        self.version, self._answer = 0, None
        return self._dial()

    def _refuse(self, flaw: Flaw, now: float) -> list[Effect]:
        """Say what was wrong, and end the connection."""
        octets = error_report(self._reader.version, flaw)
        self._fall(f"it was told {flaw.code}: {flaw.what}", now, self.intervals.retry)
        return [Send(octets), HangUp()]

    def _fall(self, why: str, now: float, pause: float) -> None:
        self.state, self._answer, self.version = ClientState.DOWN, None, 1
        self.last_error = why
        self._next = now + pause

    def _pause(self, now: float) -> float:
        """Give the seconds before the next connection is tried."""
        if self.state is ClientState.UP and now - self._connected_at >= LONGEST_PAUSE:
            # It was well for a while.
            self._failures = 0
        self._failures += 1
        return min(2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE, self.intervals.retry)

    def _forget(self) -> None:
        self.tables, self.session, self.expires_at = no_vrps(), None, None
        if self._answer is not None:
            self._answer.is_void = not self._answer.is_anew


def _name(pdu: Pdu) -> str:
    """Say what a PDU is, in words."""
    return sub(r"(?<=[a-z])(?=[A-Z])", " ", type(pdu).__name__.removesuffix("Pdu")).lower()
