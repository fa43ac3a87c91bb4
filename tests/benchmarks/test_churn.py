"""Churn: so many updates a second, each a well-formed one about a prefix of the table."""

from __future__ import annotations

from benchmarks.peers.churn import Churn, with_med
from benchmarks.peers.counting import Counter
from benchmarks.table.blob import draw
from benchmarks.table.messages import attributes_of

TABLE = draw(300)
OCTETS = b"".join(TABLE.announcements())


def test_what_is_said_leaves_what_it_claims() -> None:
    counter = Counter(keeps_attributes=True)
    counter.feed(0.0, OCTETS)
    before = dict(counter.alive)
    counter.mark()
    churn = Churn(OCTETS, 4, rate=1000, seconds=2.0)
    churn.begin(5.0)
    for tenth in range(1, 16):
        counter.feed(0.0, churn.due(5.0 + tenth / 10))
        assert counter.tally.updates == churn.updates
    assert abs(churn.updates - 1500) <= 1
    assert len(counter.alive) == churn.alive < len(before)
    assert counter.alive.keys() <= before.keys()
    changed = sum(before[prefix] != raw for prefix, raw in counter.alive.items())
    assert changed > len(counter.alive) / 2
    assert not churn.is_over(6.9)
    assert churn.is_over(7.0)


def test_a_med_stands_at_its_place_and_alone() -> None:
    for octets, _ in TABLE.groups:
        made = list(attributes_of(with_med(with_med(octets, 7), 9)))
        kinds = [kind for kind, _ in made]
        assert kinds == sorted(kinds)
        assert [value for kind, value in made if kind == 4] == [(9).to_bytes(4, "big")]
        assert dict(made).items() >= {k: v for k, v in attributes_of(octets) if k != 4}.items()
