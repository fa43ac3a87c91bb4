"""A peer falls and comes back: which of its routes stay, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fsm.capabilities import Capability, GracefulRestart, LongLivedGracefulRestart
from fsm.effects import DownKind, DownReason
from fsm.family import IPV4_UNICAST, IPV6_UNICAST, Family
from fsm.graceful import (
    STALE_PATH_TIME,
    Keep,
    MakeLongLived,
    Order,
    Phase,
    Release,
    RestartHelper,
    Sweep,
    Wait,
    is_kept_for,
    keeps_routes,
)
from fsm.messages import Open
from fsm.negotiation import Negotiated
from fsm.notifications import Cease, Code, Notification, hard_reset

V4, V6 = frozenset({IPV4_UNICAST}), frozenset({IPV6_UNICAST})
BOTH = V4 | V6
LOST = DownReason(DownKind.TCP, text="reset")
NOTHING: frozenset[Family] = frozenset()


def graceful(
    *families: Family, seconds: int = 120, forwards: bool = True, notification: bool = False
) -> GracefulRestart:
    return GracefulRestart(False, notification, seconds, tuple((f, forwards) for f in families))


def long_lived(
    *families: Family, seconds: int = 3600, forwards: bool = True
) -> LongLivedGracefulRestart:
    return LongLivedGracefulRestart(tuple((f, forwards, seconds) for f in families))


def agreed(
    restart: GracefulRestart | None = None, last: LongLivedGracefulRestart | None = None
) -> Negotiated:
    return Negotiated(
        local_asn=1,
        peer_asn=2,
        peer_router_id=3,
        families=BOTH,
        hold_time=90,
        keepalive_time=30.0,
        graceful_restart=restart,
        restarts_gracefully=restart is not None,
        restarts_on_notification=restart is not None and restart.notification,
        long_lived=last,
        is_long_lived=restart is not None and last is not None,
    )


BOTH_STAY = agreed(graceful(IPV4_UNICAST, IPV6_UNICAST))


def fallen(negotiated: Negotiated = BOTH_STAY, now: float = 0.0) -> RestartHelper:
    helper = RestartHelper()
    helper.fell(LOST, negotiated, now)
    return helper


def test_without_the_capability_nothing_stays() -> None:
    helper = RestartHelper()
    assert helper.fell(LOST, agreed(), 0.0) == [Keep(NOTHING)]
    assert helper.deadline is None


def test_only_families_that_the_peer_named_stay() -> None:
    helper = RestartHelper()
    assert helper.fell(LOST, agreed(graceful(IPV6_UNICAST)), 0.0) == [Keep(V6)]
    assert helper.waits == {IPV6_UNICAST: Wait(Phase.RESTARTING, 120.0)}


def test_a_restart_time_of_zero_keeps_nothing() -> None:
    helper = RestartHelper()
    assert helper.fell(LOST, agreed(graceful(IPV4_UNICAST, seconds=0)), 0.0) == [Keep(NOTHING)]


def test_routes_go_exactly_after_the_restart_time() -> None:
    helper = fallen(now=10.0)
    assert helper.deadline == 130.0
    assert helper.expire(129.9) == []
    assert helper.expire(130.0) == [Release(BOTH)]
    assert helper.deadline is None


def test_what_was_not_told_again_goes_with_end_of_rib_family_by_family() -> None:
    helper = fallen()
    assert helper.came_back(BOTH_STAY, 5.0) == []
    assert helper.deadline == 5.0 + STALE_PATH_TIME
    assert helper.told_all(V4) == [Sweep(V4)]
    assert helper.told_all(V4) == []
    assert helper.waits == {IPV6_UNICAST: Wait(Phase.RETURNED, 5.0 + STALE_PATH_TIME)}
    assert helper.told_all(BOTH) == [Sweep(V6)]


def test_a_peer_that_never_says_end_of_rib_is_not_waited_for_for_ever() -> None:
    helper = fallen()
    helper.came_back(BOTH_STAY, 5.0)
    assert helper.expire(5.0 + STALE_PATH_TIME) == [Sweep(BOTH)]


def test_a_peer_that_did_not_forward_meanwhile_loses_what_it_told_before() -> None:
    helper = fallen()
    lost = agreed(GracefulRestart(True, False, 120, ((IPV4_UNICAST, False), (IPV6_UNICAST, True))))
    assert helper.came_back(lost, 5.0) == [Sweep(V4)]
    assert helper.told_all(BOTH) == [Sweep(V6)]


def test_a_family_that_is_no_longer_offered_goes() -> None:
    helper = fallen()
    only = replace(agreed(graceful(IPV4_UNICAST)), families=V4)
    assert helper.came_back(only, 5.0) == [Release(V6)]
    helper = fallen()
    assert helper.came_back(agreed(), 5.0) == [Release(BOTH)]


def test_a_second_fall_takes_what_the_first_left_behind() -> None:
    helper = fallen()
    helper.came_back(BOTH_STAY, 5.0)
    helper.told_all(V6)
    assert helper.fell(LOST, BOTH_STAY, 6.0) == [Keep(BOTH), Sweep(V4)]
    assert helper.deadline == 126.0


@pytest.mark.parametrize("agree", [False, True])
@pytest.mark.parametrize("kind", [DownKind.SENT, DownKind.RECEIVED])
@pytest.mark.parametrize("hard", [False, True])
def test_a_notification_keeps_routes_only_where_both_agreed(
    agree: bool, kind: DownKind, hard: bool
) -> None:
    """RFC 8538 §4."""
    said = Notification(Code.CEASE, Cease.ADMINISTRATIVE_RESET)
    reason = DownReason(kind, hard_reset(said) if hard else said)
    assert keeps_routes(reason, agreed(graceful(notification=agree))) == (agree and not hard)


def test_a_connection_that_we_dropped_keeps_nothing() -> None:
    assert not keeps_routes(DownReason(DownKind.DROPPED), BOTH_STAY)


LONG = agreed(graceful(IPV4_UNICAST, IPV6_UNICAST), long_lived(IPV6_UNICAST))


def test_a_long_lived_family_becomes_the_last_resort_and_goes_after_its_stale_time() -> None:
    helper = fallen(LONG)
    assert helper.expire(120.0) == [MakeLongLived(V6), Release(V4)]
    assert helper.waits == {IPV6_UNICAST: Wait(Phase.LONG_LIVED, 3720.0)}
    assert helper.expire(3720.0) == [Release(V6)]


def test_a_long_lived_family_needs_no_restart_time() -> None:
    helper = RestartHelper()
    at_once = agreed(graceful(IPV6_UNICAST, seconds=0), long_lived(IPV6_UNICAST, seconds=60))
    assert helper.fell(LOST, at_once, 7.0) == [Keep(V6), MakeLongLived(V6)]
    assert helper.deadline == 67.0


def test_the_stale_time_runs_on_while_the_peer_tells_again() -> None:
    """RFC 9494 §4.2."""
    short = agreed(graceful(IPV6_UNICAST), long_lived(IPV6_UNICAST, seconds=60))
    helper = fallen(short)
    helper.expire(120.0)
    assert helper.came_back(short, 130.0) == []
    assert helper.waits == {IPV6_UNICAST: Wait(Phase.RETURNED, 180.0)}


@pytest.mark.parametrize(
    ("last", "orders"),
    [
        (None, [Release(V6)]),
        (long_lived(IPV4_UNICAST), [Release(V6)]),
        (long_lived(IPV6_UNICAST, forwards=False), [Sweep(V6)]),
        (long_lived(IPV6_UNICAST), []),
    ],
)
def test_of_a_last_resort_the_long_lived_capability_says_whether_it_may_stay(
    last: LongLivedGracefulRestart | None, orders: list[Order]
) -> None:
    """RFC 9494 §4.2."""
    helper = fallen(agreed(graceful(IPV6_UNICAST), long_lived(IPV6_UNICAST)))
    helper.expire(120.0)
    assert helper.came_back(agreed(graceful(IPV6_UNICAST), last), 130.0) == orders


def test_whoever_is_given_up_loses_everything_at_once() -> None:
    helper = fallen()
    assert helper.give_up() == [Release(BOTH)]
    assert helper.give_up() == []
    helper = fallen()
    helper.came_back(BOTH_STAY, 1.0)
    assert helper.give_up() == []


@pytest.mark.parametrize(("independent", "orders"), [(True, [Release(BOTH)]), (False, [])])
def test_routes_of_who_is_waited_for_go_when_bfd_proves_that_he_forwards_nothing(
    independent: bool, orders: list[Order]
) -> None:
    """RFC 5882 §4.3.1, §4.3.2."""
    helper = fallen()
    assert helper.lose_path(independent=independent) == orders
    assert bool(helper.waits) is not independent


@dataclass
class Routes:
    """What a table would have of one family: prefixes by the generation that told them."""

    live: set[int] = field(default_factory=set)
    stale: set[int] = field(default_factory=set)


class Follower(RuleBasedStateMachine):
    """Carry the orders out on tables, and see that nothing old outlives what the RFCs allow."""

    def __init__(self) -> None:
        super().__init__()
        self.helper = RestartHelper()
        self.now = 0.0
        self.session: Negotiated | None = None
        self.tables = {family: Routes() for family in BOTH}

    def carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            for family, table in self.tables.items():
                match order:
                    case Keep(families) if family not in families:
                        table.live.clear()
                        table.stale.clear()
                    case Release(families) if family in families:
                        table.live.clear()
                        table.stale.clear()
                    case Sweep(families) if family in families:
                        table.stale.clear()

    @precondition(lambda self: self.session is None)
    @rule(
        restart=st.none()
        | st.builds(
            graceful,
            st.sampled_from(sorted(BOTH)),
            seconds=st.sampled_from([0, 5, 120]),
            forwards=st.booleans(),
            notification=st.booleans(),
        ),
        last=st.none()
        | st.builds(long_lived, st.sampled_from(sorted(BOTH)), seconds=st.sampled_from([0, 30])),
    )
    def comes_up(
        self, restart: GracefulRestart | None, last: LongLivedGracefulRestart | None
    ) -> None:
        self.session = agreed(restart, last)
        for table in self.tables.values():
            table.stale |= table.live
            table.live = set()
        self.carry_out(self.helper.came_back(self.session, self.now))

    @precondition(lambda self: self.session is not None)
    @rule(family=st.sampled_from(sorted(BOTH)), prefix=st.integers(0, 3))
    def tells(self, family: Family, prefix: int) -> None:
        self.tables[family].live.add(prefix)
        self.tables[family].stale.discard(prefix)

    @precondition(lambda self: self.session is not None)
    @rule(family=st.sampled_from(sorted(BOTH)))
    def ends(self, family: Family) -> None:
        self.carry_out(self.helper.told_all({family}))
        assert not self.tables[family].stale

    @precondition(lambda self: self.session is not None)
    @rule(reason=st.sampled_from([LOST, DownReason(DownKind.SENT, Notification(4))]))
    def falls(self, reason: DownReason) -> None:
        assert self.session is not None
        self.carry_out(self.helper.fell(reason, self.session, self.now))
        for table in self.tables.values():
            assert not table.stale
        self.session = None

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0, 121.0, STALE_PATH_TIME]))
    def waits(self, seconds: float) -> None:
        self.now += seconds
        while (deadline := self.helper.deadline) is not None and deadline <= self.now:
            self.carry_out(self.helper.expire(self.now))

    @invariant()
    def what_is_stale_is_waited_for(self) -> None:
        for family, table in self.tables.items():
            old = table.stale if self.session is not None else table.live
            assert not old or family in self.helper.waits

    @invariant()
    def nothing_outlives_its_time(self) -> None:
        longest = 120.0 + 30.0 + STALE_PATH_TIME
        for wait in self.helper.waits.values():
            assert wait.until <= self.now + longest


TestFollower = Follower.TestCase


@pytest.mark.parametrize(
    ("ours", "theirs", "seconds"),
    [
        ((graceful(IPV4_UNICAST, seconds=90),), agreed(graceful()), 90.0),
        ((graceful(IPV4_UNICAST, seconds=90),), agreed(), 0.0),
        (
            (graceful(seconds=90), long_lived(IPV4_UNICAST, IPV6_UNICAST, seconds=3600)),
            agreed(graceful(), long_lived()),
            3690.0,
        ),
        ((graceful(seconds=90), long_lived(IPV4_UNICAST)), agreed(graceful()), 90.0),
    ],
    ids=["graceful", "nothing", "long-lived", "not long-lived"],
)
def test_a_peer_keeps_our_routes_for_as_long_as_we_have_said(
    ours: tuple[Capability, ...], theirs: Negotiated, seconds: float
) -> None:
    assert is_kept_for(Open(1, 90, 1, ours), theirs) == seconds
