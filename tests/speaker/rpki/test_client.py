"""The client's machine, on virtual time, against a cache that says what a test lets it say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.family import Afi
from policy.vrps import Vrp
from speaker.rpki.answer import MUCH_NEWS
from speaker.rpki.client import ANSWER_TIME, SILENCE, Client
from speaker.rpki.effects import (
    Altered,
    ClientState,
    Dial,
    Effect,
    HangUp,
    Replaced,
    Send,
)
from speaker.rpki.intervals import Intervals, Wishes
from speaker.rpki.pdus import (
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorCode,
    ErrorReport,
    Pdu,
    PrefixPdu,
    Reader,
    RouterKey,
    SerialNotify,
    encode,
    query,
)
from tests.support.routes import nlri

SESSION = 7
TIMES = Intervals(refresh=3600, retry=600, expire=7200)


def told(text: str, asn: int = 64500, *, up_to: int | None = None) -> PrefixPdu:
    packed = nlri(text)
    afi = Afi.IPV6 if ":" in text else Afi.IPV4
    return PrefixPdu(True, afi, packed, packed[0] if up_to is None else up_to, asn)


def gone(text: str, asn: int = 64500) -> PrefixPdu:
    return told(text, asn)._replace(announces=False)


class Line:
    """A client and what it has said, on a clock that is moved by hand."""

    def __init__(self, wishes: Wishes | None = None, *, version: int = 1) -> None:
        self.client = Client(wishes or Wishes())
        self.version = version
        self.now = 1000.0
        self.effects = self.client.start()

    def connect(self) -> list[Effect]:
        self.effects = self.client.connected(self.now)
        return self.effects

    def say(self, *pdus: Pdu) -> list[Effect]:
        octets = b"".join(encode(pdu, self.version) for pdu in pdus)
        self.effects = self.client.received(octets, self.now)
        return self.effects

    def answer(self, *pdus: PrefixPdu, serial: int = 1, session: int = SESSION) -> list[Effect]:
        times = TIMES if self.version else None
        return self.say(CacheResponse(session), *pdus, EndOfData(session, serial, times))

    def lose(self) -> list[Effect]:
        self.effects = self.client.lost("Connection reset by peer", self.now)
        return self.effects

    def wait(self, seconds: float | None = None) -> list[Effect]:
        """Let time pass, to the next deadline where nothing else is said."""
        if seconds is None:
            assert self.client.deadline is not None
            self.now = self.client.deadline
        else:
            self.now += seconds
        self.effects = self.client.tick(self.now)
        return self.effects

    @property
    def vrps(self) -> set[Vrp]:
        return {vrp for table in self.client.tables.values() for vrp in table}

    @property
    def error(self) -> ErrorCode:
        """The code of the Error Report that was sent last, before the client hung up."""
        report, hang_up = self.effects[-2:]
        assert isinstance(report, Send)
        assert hang_up == HangUp()
        (found,) = Reader(report.octets[0]).feed(report.octets)
        assert isinstance(found, ErrorReport)
        return ErrorCode(found.code)


def vrp(text: str, asn: int = 64500) -> Vrp:
    return Vrp(*told(text, asn)[1:])


def line_up(*pdus: PrefixPdu, wishes: Wishes | None = None) -> Line:
    line = Line(wishes)
    line.connect()
    line.answer(*pdus)
    assert line.client.state is ClientState.UP
    return line


def test_it_asks_for_everything_and_takes_it_at_the_end_of_data() -> None:
    """RFC 8210 §8.1."""
    line = Line()
    assert line.effects == [Dial()]
    assert line.connect() == [Send(query(1, None))]
    assert line.say(CacheResponse(SESSION), told("192.0.2.0/24"), told("2001:db8::/32")) == []
    assert line.vrps == set()
    (replaced,) = line.say(EndOfData(SESSION, 1, TIMES))
    assert replaced == Replaced(line.client.tables)
    assert line.vrps == {vrp("192.0.2.0/24"), vrp("2001:db8::/32")}
    assert line.client.session == (SESSION, 1)
    assert line.client.last_error == ""


def test_it_asks_for_what_is_new_when_it_is_due() -> None:
    """RFC 8210 §6, §8.2."""
    line = line_up(told("192.0.2.0/24"))
    assert line.wait() == [Send(query(1, (SESSION, 1)))]
    assert line.now == 1000 + TIMES.refresh
    (altered,) = line.answer(gone("192.0.2.0/24"), told("198.51.100.0/24"), serial=2)
    changed = {nlri("192.0.2.0/24"), nlri("198.51.100.0/24")}
    assert altered == Altered({Afi.IPV4: changed, Afi.IPV6: set()})
    assert line.vrps == {vrp("198.51.100.0/24")}


def test_an_answer_without_news_changes_nothing() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    assert line.answer(serial=1) == []
    assert line.client.expires_at == line.now + TIMES.expire


def test_what_comes_and_goes_within_an_answer_is_no_news() -> None:
    line = line_up()
    line.wait()
    assert line.answer(told("192.0.2.0/24"), gone("192.0.2.0/24"), serial=2) == []


def test_a_notify_is_heeded_at_once_and_asked_for_no_oftener_than_each_second() -> None:
    """RFC 8210 §5.2."""
    line = line_up()
    line.now += 10
    assert line.say(SerialNotify(SESSION, 2)) == []
    assert line.client.deadline == line.now
    assert line.wait() == [Send(query(1, (SESSION, 1)))]
    line.answer(serial=2)
    line.say(SerialNotify(SESSION, 3))
    line.wait()
    assert line.now == 1011
    assert line.effects == [Send(query(1, (SESSION, 2)))]


def test_a_notify_of_what_is_known_changes_nothing() -> None:
    line = line_up()
    deadline = line.client.deadline
    line.say(SerialNotify(SESSION, 1))
    assert line.client.deadline == deadline


def test_a_notify_during_an_answer_is_heeded_after_it() -> None:
    line = Line()
    line.connect()
    line.say(CacheResponse(SESSION), SerialNotify(SESSION, 2), EndOfData(SESSION, 1, TIMES))
    assert line.wait() == [Send(query(1, (SESSION, 1)))]
    assert line.now == 1001


def test_a_cache_that_cannot_say_what_is_new_is_asked_for_everything() -> None:
    """RFC 8210 §5.9, §8.3; what is known stays until the answer is complete."""
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    assert line.say(CacheReset()) == [Send(query(1, None))]
    assert line.vrps == {vrp("192.0.2.0/24")}
    (replaced,) = line.answer(told("198.51.100.0/24"), session=9, serial=5)
    assert isinstance(replaced, Replaced)
    assert line.vrps == {vrp("198.51.100.0/24")}
    assert line.client.session == (9, 5)


def test_a_cache_without_data_is_asked_again_and_keeps_the_connection() -> None:
    """RFC 8210 §8.4, §12."""
    line = Line()
    line.connect()
    assert line.say(ErrorReport(ErrorCode.NO_DATA_AVAILABLE, "")) == []
    assert line.client.state is ClientState.UP
    assert line.client.last_error == "it says No Data Available"
    assert line.wait() == [Send(query(1, None))]
    assert line.now == 1000 + TIMES.retry
    line.say(ErrorReport(ErrorCode.NO_DATA_AVAILABLE, ""))
    line.now += 5
    line.say(SerialNotify(SESSION, 1))
    assert line.client.deadline == line.now
    line.wait()
    line.answer(told("192.0.2.0/24"))
    assert line.client.last_error == ""


def test_data_stays_when_the_connection_goes_and_until_it_expires() -> None:
    """RFC 8210 §6."""
    line = line_up(told("192.0.2.0/24"))
    assert line.lose() == []
    assert line.vrps == {vrp("192.0.2.0/24")}
    while line.now < 1000 + TIMES.expire:
        if Replaced(line.client.tables) not in line.wait() and line.effects == [Dial()]:
            line.lose()
    assert line.now == 1000 + TIMES.expire
    assert line.vrps == set()
    assert line.client.has_expired
    assert line.client.session is None


def test_a_cache_that_returns_is_asked_for_what_is_new() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.lose()
    assert line.wait() == [Dial()]
    assert line.connect() == [Send(query(1, (SESSION, 1)))]


def test_tries_become_rarer_up_to_a_minute_or_the_retry_interval() -> None:
    for retry, expected in ((600, [1, 2, 4, 8, 16, 32, 60, 60]), (5, [1, 2, 4, 5, 5])):
        line = Line(Wishes(retry=retry))
        pauses = []
        for _ in expected:
            line.lose()
            before = line.now
            assert line.wait() == [Dial()]
            pauses.append(line.now - before)
        assert pauses == expected
    line.connect()
    line.answer()
    line.lose()
    assert line.client.deadline == line.now + 5


def test_a_cache_that_was_well_for_a_minute_is_tried_again_at_once() -> None:
    line = Line()
    for _ in range(4):
        line.lose()
        line.wait()
    line.connect()
    line.answer()
    line.now += 60
    line.lose()
    assert line.client.deadline == line.now + 1


def test_another_cache_is_asked_for_everything_and_the_word_of_the_first_stays_so_long() -> None:
    line = line_up(told("192.0.2.0/24"))
    assert line.client.turn() == [HangUp(), Dial()]
    assert line.vrps == {vrp("192.0.2.0/24")}
    assert line.connect() == [Send(query(1, None))]
    line.answer(told("198.51.100.0/24"))
    assert line.vrps == {vrp("198.51.100.0/24")}
    line.client.stop()
    assert line.client.turn() == []


def test_a_cache_that_refuses_version_1_is_asked_with_version_0_at_once() -> None:
    """RFC 8210 §7."""
    line = Line(version=0)
    line.connect()
    refusal = ErrorReport(ErrorCode.UNSUPPORTED_PROTOCOL_VERSION, "")
    assert line.say(refusal) == [HangUp(), Dial()]
    assert line.connect() == [Send(query(0, None))]
    line.answer(told("192.0.2.0/24"))
    assert line.client.version == 0
    assert line.vrps == {vrp("192.0.2.0/24")}
    # Serial numbers are of version 0: asked with version 1, they mean nothing.
    line.lose()
    line.wait()
    assert line.connect() == [Send(query(1, None))]
    line.say(refusal)
    assert line.connect() == [Send(query(0, (SESSION, 1)))]


def test_a_cache_that_twice_hangs_up_without_a_word_is_asked_with_version_0() -> None:
    """RFC 8210 §7."""
    line = Line()
    line.connect()
    assert line.lose() == []
    line.wait()
    assert line.connect() == [Send(query(1, None))]
    assert line.lose() == [Dial()]
    assert line.connect() == [Send(query(0, None))]
    assert line.lose() == []
    assert line.wait() == [Dial()]
    assert line.connect() == [Send(query(1, None))]
    # One that says anything at all knows the version.
    line.say(ErrorReport(ErrorCode.INTERNAL_ERROR, ""))
    line.wait()
    line.connect()
    assert line.lose() == []


def test_a_cache_may_answer_version_1_with_version_0() -> None:
    """RFC 8210 §7."""
    line = Line(version=0)
    line.connect()
    line.answer(told("192.0.2.0/24"))
    assert line.client.version == 0
    assert line.client.intervals == TIMES
    assert line.wait() == [Send(query(0, (SESSION, 1)))]


def test_intervals_are_the_caches_unless_they_are_configured() -> None:
    """RFC 8210 §6."""
    line = Line(Wishes(refresh=60))
    line.connect()
    line.say(CacheResponse(1), EndOfData(1, 1, Intervals(100, 200, 1000)))
    assert line.client.intervals == Intervals(60, 200, 1000)
    line.client.wish(Wishes(expire=700), line.now)
    assert line.client.intervals == Intervals(100, 200, 700)
    assert line.client.expires_at == line.now + 700
    assert line.client.deadline == line.now + 100


@given(*[st.integers(0, 0xFFFFFFFF)] * 3)
def test_whatever_intervals_a_cache_tells_are_brought_within_bounds(
    refresh: int, retry: int, expire: int
) -> None:
    """RFC 8210 §6; and data does not expire before it is asked for again."""
    line = Line()
    line.connect()
    line.say(CacheResponse(1), EndOfData(1, 1, Intervals(refresh, retry, expire)))
    found = line.client.intervals
    assert 1 <= found.refresh <= 86400
    assert 1 <= found.retry <= 7200
    assert 600 <= found.expire <= 172800
    assert max(found.refresh, found.retry) < found.expire


ANSWERED = (CacheResponse(SESSION),)


@pytest.mark.parametrize(
    ("pdus", "code"),
    [
        ((told("192.0.2.0/24"),), ErrorCode.CORRUPT_DATA),
        ((EndOfData(SESSION, 1, TIMES),), ErrorCode.CORRUPT_DATA),
        ((RouterKey(),), ErrorCode.CORRUPT_DATA),
        ((CacheReset(),), ErrorCode.CORRUPT_DATA),
        ((*ANSWERED, CacheResponse(SESSION)), ErrorCode.CORRUPT_DATA),
        ((*ANSWERED, EndOfData(8, 1, TIMES)), ErrorCode.CORRUPT_DATA),
        ((*ANSWERED, gone("192.0.2.0/24")), ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD),
        (
            (*ANSWERED, told("192.0.2.0/24"), told("192.0.2.0/24")),
            ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED,
        ),
    ],
)
def test_a_wrong_first_answer_ends_the_session_with_its_error(
    pdus: tuple[Pdu, ...], code: ErrorCode
) -> None:
    """RFC 8210 §12; the next try is that of the retry interval."""
    line = Line()
    line.connect()
    line.say(*pdus)
    assert line.error == code
    assert line.client.state is ClientState.DOWN
    assert line.client.last_error.startswith(f"it was told {code}: ")
    assert line.client.deadline == line.now + TIMES.retry
    line.wait()
    assert line.connect() == [Send(query(1, None))]


@pytest.mark.parametrize(
    ("pdus", "code"),
    [
        ((*ANSWERED, told("192.0.2.0/24")), ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED),
        ((*ANSWERED, gone("198.51.100.0/24")), ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD),
        ((CacheResponse(8),), ErrorCode.CORRUPT_DATA),
    ],
)
def test_a_wrong_later_answer_leaves_the_data_as_it_is(
    pdus: tuple[Pdu, ...], code: ErrorCode
) -> None:
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    line.say(*pdus)
    assert line.error == code
    assert line.vrps == {vrp("192.0.2.0/24")}


def test_another_session_id_is_an_error_and_then_everything_is_asked_for() -> None:
    """RFC 8210 §5.1."""
    line = line_up(told("192.0.2.0/24"))
    line.say(SerialNotify(8, 1))
    assert line.error == ErrorCode.CORRUPT_DATA
    line.wait()
    assert line.connect() == [Send(query(1, None))]
    assert line.vrps == {vrp("192.0.2.0/24")}


def test_an_answer_that_was_cut_off_leaves_no_trace() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    line.say(CacheReset())
    line.say(CacheResponse(9), told("198.51.100.0/24"))
    line.lose()
    assert line.vrps == {vrp("192.0.2.0/24")}
    line.wait()
    assert line.connect() == [Send(query(1, (SESSION, 1)))]


def test_an_error_of_the_cache_ends_the_session_and_is_not_answered() -> None:
    """RFC 8210 §5.11."""
    line = line_up()
    assert line.say(ErrorReport(ErrorCode.INTERNAL_ERROR, "disk full")) == [HangUp()]
    assert line.client.last_error == "it says Internal Error: disk full"
    assert line.client.deadline == line.now + TIMES.retry


def test_a_cache_that_does_not_answer_is_hung_up_on() -> None:
    line = Line()
    line.connect()
    assert line.wait() == [HangUp()]
    assert line.now == 1000 + SILENCE
    assert line.client.last_error == "it does not answer"


def test_an_answer_that_never_ends_is_given_up() -> None:
    line = Line()
    line.connect()
    line.say(CacheResponse(SESSION))
    while line.client.state is ClientState.SYNCING:
        if line.client.deadline == line.now + SILENCE:
            line.now += SILENCE / 2
            line.say(RouterKey())
        else:
            line.wait()
    assert line.now == 1000 + ANSWER_TIME


def test_a_cache_has_as_many_vrps_as_are_allowed() -> None:
    wishes = Wishes(max_vrps=2)
    line = line_up(told("192.0.2.0/25"), told("192.0.2.128/25"), wishes=wishes)
    line.wait()
    line.answer(gone("192.0.2.0/25"), told("192.0.2.0/26"), serial=2)
    assert line.client.state is ClientState.UP
    line.wait()
    line.answer(told("192.0.2.0/25"), serial=3)
    assert line.error == ErrorCode.INTERNAL_ERROR
    assert "more than 2 VRPs are not taken" in line.client.last_error
    fresh = Line(wishes)
    fresh.connect()
    fresh.answer(*(told(f"10.{i}.0.0/16") for i in range(3)))
    assert fresh.error == ErrorCode.INTERNAL_ERROR
    assert fresh.vrps == set()


@pytest.mark.parametrize("begun", [False, True])
def test_news_of_data_that_expires_meanwhile_is_not_used(begun: bool) -> None:
    line = line_up(told("192.0.2.0/24"))
    line.lose()
    line.now = 1000 + TIMES.expire - 1
    line.wait(0)
    assert line.connect() == [Send(query(1, (SESSION, 1)))]
    if begun:
        line.say(CacheResponse(SESSION), told("10.0.0.0/8"))
    assert line.wait(1) == [Replaced(line.client.tables)]
    if not begun:
        line.say(CacheResponse(SESSION))
    end = EndOfData(SESSION, 2, TIMES)
    assert line.say(gone("192.0.2.0/24"), end) == [Send(query(1, None))]
    assert line.vrps == set()
    line.answer(told("10.0.0.0/8"), serial=2)
    assert line.vrps == {vrp("10.0.0.0/8")}


def test_an_answer_with_everything_counts_also_when_the_old_data_expires_meanwhile() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.lose()
    line.now = 1000 + TIMES.expire - 1
    line.wait(0)
    line.connect()
    line.say(CacheReset())
    line.say(CacheResponse(9), told("10.0.0.0/8"))
    line.wait(1)
    line.say(EndOfData(9, 1, TIMES))
    assert line.vrps == {vrp("10.0.0.0/8")}
    assert not line.client.has_expired


def test_a_cache_that_loses_its_data_within_an_answer_is_asked_for_everything() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    line.say(CacheReset())
    line.say(CacheResponse(9), ErrorReport(ErrorCode.NO_DATA_AVAILABLE, ""))
    assert line.wait() == [Send(query(1, (SESSION, 1)))]
    assert line.vrps == {vrp("192.0.2.0/24")}


def test_of_very_much_news_everything_is_asked_for_instead() -> None:
    line = line_up(told("192.0.2.0/24"))
    line.wait()
    news = [told(f"10.{n >> 8}.{n & 255}.0/24", 1 + (n >> 16)) for n in range(MUCH_NEWS + 2)]
    assert line.answer(*news, serial=2) == [Send(query(1, None))]
    assert line.vrps == {vrp("192.0.2.0/24")}
    (replaced,) = line.answer(*news, serial=2)
    assert isinstance(replaced, Replaced)
    assert line.client.size == len(news)


def test_a_client_that_is_stopped_forgets_and_hears_nothing_more() -> None:
    line = line_up(told("192.0.2.0/24"))
    assert line.client.stop() == [HangUp(), Replaced(line.client.tables)]
    assert line.vrps == set()
    assert line.client.deadline is None
    assert line.lose() == []
    assert line.answer(told("192.0.2.0/24")) == []


@given(st.data(), st.sampled_from([0, 1]))
def test_whatever_a_cache_sends_nothing_is_taken_but_whole_answers(
    data: st.DataObject, version: int
) -> None:
    """Data changes with an End of Data only, and each error ends in a hang-up."""
    line = Line(version=version)
    line.connect()
    prefix = st.sampled_from([told("10.0.0.0/8"), gone("10.0.0.0/8"), told("2001:db8::/32")])
    pdu = st.one_of(
        prefix,
        prefix,
        st.just(CacheResponse(SESSION)),
        st.builds(
            EndOfData, st.just(SESSION), st.integers(1, 3), st.just(TIMES if version else None)
        ),
        st.just(CacheReset()),
        st.just(SerialNotify(SESSION, 2)),
        st.builds(ErrorReport, st.integers(0, 4), st.just("")),
    )
    for each in data.draw(st.lists(st.one_of(pdu, st.none(), st.integers(0, 4000)), max_size=30)):
        before = line.vrps
        if each is None:
            line.lose()
        elif isinstance(each, int):
            line.wait(each)
        else:
            line.say(each)
        changed = any(isinstance(e, Altered | Replaced) for e in line.effects)
        assert changed or line.vrps == before
        is_expiry = isinstance(each, int) and not line.vrps
        assert not changed or isinstance(each, EndOfData) or is_expiry
        if Dial() in line.effects:
            line.connect()
        assert line.client.deadline is not None
