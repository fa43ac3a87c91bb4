"""What the values of keys may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policy.resilience import Resilience
from speaker.config.key_values import (
    AigpMode,
    BlackholeMode,
    read_aigp,
    read_blackhole,
    read_hold_time,
    read_networks,
    read_range,
    read_resilience,
    read_seconds,
    read_seconds_or_none,
    read_switch,
    read_tables,
    read_weight,
)
from speaker.config.scalars import ScalarError


@pytest.mark.parametrize("text", ["on", "TRUE", " yes "])
def test_a_switch_is_on(text: str) -> None:
    assert read_switch(text)
    assert not read_switch("off")


@pytest.mark.parametrize(
    ("text", "mode"),
    [("on", BlackholeMode.HOSTS), ("Any", BlackholeMode.ANY), ("false", BlackholeMode.OFF)],
)
def test_blackholes_are_for_addresses_for_any_prefix_or_not_at_all(
    text: str, mode: BlackholeMode
) -> None:
    assert read_blackhole(text) is mode


@pytest.mark.parametrize(
    ("text", "mode"),
    [("on", AigpMode.ON), ("Originate", AigpMode.ORIGINATE), ("off", AigpMode.OFF)],
)
def test_a_metric_is_passed_on_given_or_neither(text: str, mode: AigpMode) -> None:
    assert read_aigp(text) is mode


def test_times_are_seconds() -> None:
    assert [read_hold_time(text) for text in ("0", "3", "65535")] == [0, 3, 65535]
    assert (read_seconds("0.5"), read_seconds_or_none("0"), read_seconds_or_none("9")) == (
        0.5,
        0,
        9,
    )
    assert read_range("1,2.5") == (1, 2.5)


def test_tables_of_networks_have_one_number_each() -> None:
    assert read_tables("red=501, blue = 500,") == (("blue", 500), ("red", 501))
    assert read_tables("") == ()


def test_networks_are_told_once_each() -> None:
    assert len(read_networks("10.1.0.0/16, 10.2.0.0/16\n2001:db8::/32 10.1.0.0/16")) == 3


def test_shares_are_as_large_as_the_kernel_has_them() -> None:
    assert [read_weight(text) for text in ("1", "256")] == [1, 256]


def test_flows_are_kept_by_buckets_with_timers_or_not_at_all() -> None:
    assert read_resilience("Off") is False
    assert read_resilience("128") == Resilience(128, 120, 0)
    assert read_resilience(" 64  idle 5 ") == Resilience(64, 5)
    assert read_resilience("64 unbalanced 600") == Resilience(64, 120, 600)
    assert read_resilience("65535 idle 0 unbalanced 65535") == Resilience(65535, 0, 65535)
    for text in ("7", "7 idle 8", "7 idle 8 unbalanced 9"):
        assert read_resilience(str(read_resilience(text))) == read_resilience(text)


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (read_switch, ("", "maybe", "1")),
        (read_blackhole, ("", "all", "32")),
        (read_hold_time, ("1", "2", "65536", "-1", "3.0", "²")),
        (read_seconds, ("0", "-1", "1e3", "65536", "")),
        (read_seconds_or_none, ("0.0", "-0", "never")),
        (read_range, ("1", "2,1", ",", "0,1")),
        (read_networks, ("10.1.0.0/33", "ten")),
        (read_tables, ("blue", "blue=", "blue=x", "blue=0", "blue=254", "Blue!=5", "a=5,a=6")),
        (read_weight, ("0", "257", "-1", "1.5", "", "²")),
        (read_resilience, ("", "on", "0", "65536", "8 idle", "8 idle 65536", "8 idle 1.5")),
    ],
)
def test_what_makes_no_sense_is_refused(read: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ScalarError):
            read(text)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (read_blackhole, "all", "'all' is none of on, any, off"),
        (read_aigp, "igp", "'igp' is none of on, originate, off"),
        (read_seconds_or_none, "-1", "'-1' is no number of seconds, nor 0"),
        (read_weight, "0", "'0' is no weight (1–256)"),
        (read_resilience, "on", "'on' is neither off nor 128, 128 idle 60 or the like"),
        (read_resilience, "0", "'0': buckets are 1–65535, timers 0–65535 seconds"),
    ],
)
def test_a_refusal_names_all_that_would_do(
    read: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(ScalarError) as refusal:
        read(text)
    assert str(refusal.value) == said
