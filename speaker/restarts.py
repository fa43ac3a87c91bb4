"""What a peer has told, while its session is gone and a new one is awaited.

`Restarts` stands beside a `speaker.peer.Peer` and carries out what `fsm.graceful.RestartHelper`
orders. When the session falls and routes may stay, the `speaker.exchange.Exchange` gives up its way
out and lives on as ``kept``, with its tables; the next session takes them over, so that a route
that is told again unchanged is no change to anybody. What is to go goes in slices, as ever.

Standards: RFC 4724 §4.2; RFC 8538 §4; RFC 9494 §4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

from fsm.effects import DownReason
from fsm.family import Family
from fsm.graceful import Keep, MakeLongLived, Order, Release, RestartHelper, Sweep
from fsm.negotiation import Negotiated
from speaker.clock import Alarm, Clock
from speaker.config.plan import PeerPlan
from speaker.exchange import Exchange


class Restarts:
    """Keeps a peer's routes over its restarts.

    Args:
        clock: the reader of time.
        changed: called when routes were ordered to go, or to be the last resort.

    Attributes:
        helper: what is waited for, and for how long.
        kept: the exchange of a session that is gone, as long as any of its routes stay.
    """

    def __init__(self, clock: Clock, changed: Callable[[list[Order]], None]) -> None:
        self.helper = RestartHelper()
        self.kept: Exchange | None = None
        self._session: Exchange | None = None
        self._clock = clock
        self._changed = changed
        self._alarm = Alarm(clock, self._ring)

    def fell(self, exchange: Exchange, reason: DownReason, negotiated: Negotiated) -> None:
        """The session of an exchange is gone."""
        exchange.hang_up()
        self._session, self.kept = None, exchange
        self._carry_out(self.helper.fell(reason, negotiated, self._clock.now()))

    def came_back(
        self, negotiated: Negotiated, open_: Callable[[Exchange | None], Exchange]
    ) -> Exchange:
        """The session is Established again.

        Args:
            negotiated: what both ends agreed.
            open_: makes the new exchange, which takes over what the former one has.
        """
        orders = self.helper.came_back(negotiated, self._clock.now())
        self._carry_out([order for order in orders if isinstance(order, Release)])
        kept, self.kept = self.kept, None
        self._session = open_(kept)
        self._carry_out([order for order in orders if not isinstance(order, Release)])
        return self._session

    def heard(self, ended: Set[Family]) -> None:
        """The peer has told all it has of these families, among others perhaps before."""
        if self.helper.waits:
            self._carry_out(self.helper.told_all(ended))

    def inherit(self, former: Restarts, plan: PeerPlan) -> None:
        """Go on for the same peer under another plan, which needed another session."""
        self.helper, self.kept = former.helper, former.kept
        former.helper, former.kept = RestartHelper(), None
        former.close()
        if self.kept is not None:
            self.kept.take_plan(plan)
            self.kept.refilter_in()
        self._alarm.set(self.helper.deadline)

    def give_up(self) -> None:
        """Nobody waits for the peer any more."""
        self._carry_out(self.helper.give_up())

    def lose_path(self, *, independent: bool) -> None:
        """BFD says that the path to the peer is gone; see `RestartHelper.lose_path`."""
        self._carry_out(self.helper.lose_path(independent=independent))

    def close(self) -> None:
        """The peer is no more, and nothing of what it told stays."""
        self.give_up()
        self._alarm.end()

    def _ring(self) -> None:
        self._carry_out(self.helper.expire(self._clock.now()))

    def _carry_out(self, orders: Iterable[Order]) -> None:
        done = [order for order in orders if order.families or isinstance(order, Keep)]
        for order in done:
            self._let(order)
        if self.kept is not None and not self.kept.inbound.ribs:
            self.kept = None
        self._alarm.cancel()
        self._alarm.set(self.helper.deadline)
        if done:
            self._changed(done)

    def _let(self, order: Order) -> None:
        exchange = self._session or self.kept
        if exchange is None:
            return
        match order:
            case Keep(families):
                exchange.release(exchange.inbound.ribs.keys() - families)
            case Release(families):
                exchange.release(families)
            case Sweep(families):
                exchange.forget_stale(families)
            case MakeLongLived(families):
                exchange.make_long_lived(families)
