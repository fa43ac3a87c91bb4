"""Readers of the values of keys ``wren.bgp/…`` (`speaker.config.keys`).

Each takes the text and gives the value, or raises `ScalarError` with what is wrong with it. Values
with a grammar of their own have modules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from fsm.family import NAMES, Afi, Family, parse_family
from policy.prefix import Nlri, PrefixError, parse_prefix
from policy.resilience import Resilience
from policy.roles import Role
from speaker.config.scalars import ScalarError, parse_name


class BlackholeMode(StrEnum):
    """For which routes the community BLACKHOLE is honoured (RFC 7999 §3.3)."""

    OFF = "off"
    HOSTS = "on"
    """For single addresses, which is what the community is meant for."""
    ANY = "any"
    """For prefixes of every length that the filters let in."""


class AigpMode(StrEnum):
    """What is done with the accumulated IGP metric on a session (RFC 7311 §3.3, §3.4.1)."""

    OFF = "off"
    ON = "on"
    """It is read and told."""
    ORIGINATE = "originate"
    """And the node's own routes get one."""


def read_switch(text: str) -> bool:
    """Read on or off."""
    word = text.strip().lower()
    if word in ("on", "true", "yes"):
        return True
    if word in ("off", "false", "no"):
        return False
    raise ScalarError("value", f"{text!r} is neither on nor off")


def read_families(text: str) -> tuple[Family, ...]:
    """Read families by their words, into the order of all."""
    try:
        found = {parse_family(word) for word in text.split(",")}
    except ValueError as error:
        raise ScalarError("value", str(error)) from None
    return tuple(family for family in NAMES.values() if family in found)


def read_blackhole(text: str) -> BlackholeMode:
    """Read a switch, or the word for every length."""
    if text.strip().lower() == BlackholeMode.ANY:
        return BlackholeMode.ANY
    return BlackholeMode.HOSTS if _switch_or(BlackholeMode.ANY, text) else BlackholeMode.OFF


def read_aigp(text: str) -> AigpMode:
    """Read a switch, or the word for routes of our own too."""
    if text.strip().lower() == AigpMode.ORIGINATE:
        return AigpMode.ORIGINATE
    return AigpMode.ON if _switch_or(AigpMode.ORIGINATE, text) else AigpMode.OFF


def _switch_or(word: str, text: str) -> bool:
    try:
        return read_switch(text)
    except ScalarError:
        raise ScalarError("value", f"{text!r} is none of on, {word}, off") from None


def read_hold_time(text: str) -> int:
    """Read a Hold Time: zero, or at least three seconds (RFC 4271 §4.2)."""
    if text.isascii() and text.isdigit() and (int(text) == 0 or 3 <= int(text) <= 65535):
        return int(text)
    raise ScalarError("value", f"{text!r} is no hold time (0, or 3–65535 seconds)")


def read_weight(text: str) -> int:
    """Read a share of the traffic, as large as the kernel can have it."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 256:
        return int(text)
    raise ScalarError("value", f"{text!r} is no weight (1–256)")


_RESILIENCE = re.compile(
    r"(?P<buckets>[0-9]+)(?:\s+idle\s+(?P<idle>[0-9]+))?(?:\s+unbalanced\s+(?P<unbalanced>[0-9]+))?\Z"
)
_MOST = 65535


def read_resilience(text: str) -> Resilience | Literal[False]:
    """Read how flows are kept: the number of buckets and, after their words, two timers."""
    words = text.strip().lower()
    if words in ("off", "false", "no"):
        return False
    found = _RESILIENCE.match(words)
    if found is None:
        raise ScalarError("value", f"{text!r} is neither off nor 128, 128 idle 60 or the like")
    numbers = {name: int(number) for name, number in found.groupdict().items() if number}
    if numbers["buckets"] < 1 or max(numbers.values()) > _MOST:
        raise ScalarError("value", f"{text!r}: buckets are 1–{_MOST}, timers 0–{_MOST} seconds")
    return Resilience(**numbers)


_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z")


def read_seconds(text: str) -> float:
    """Read seconds above 0."""
    if _SECONDS.match(text.strip()) and 0 < float(text) <= 65535:
        return float(text)
    raise ScalarError("value", f"{text!r} is no number of seconds above 0")


def read_seconds_or_none(text: str) -> float:
    """Read seconds; 0 is none."""
    try:
        return 0.0 if text.strip() == "0" else read_seconds(text)
    except ScalarError:
        raise ScalarError("value", f"{text!r} is no number of seconds, nor 0") from None


def read_range(text: str) -> tuple[float, float]:
    """Read the shortest and the longest of seconds."""
    low, comma, high = text.partition(",")
    if not comma:
        raise ScalarError("value", f"{text!r} is not min,max in seconds")
    shortest, longest = read_seconds(low), read_seconds(high)
    if shortest > longest:
        raise ScalarError("value", f"{text!r}: the minimum is above the maximum")
    return shortest, longest


def one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Make the reader of one of some words."""

    def parse(text: str) -> StrEnum:
        try:
            return words(text.strip().lower())
        except ValueError:
            known = ", ".join(words)
            raise ScalarError("value", f"{text!r} is none of {known}") from None

    return parse


_ROLES = {
    "provider": Role.PROVIDER,
    "customer": Role.CUSTOMER,
    "rs-server": Role.ROUTE_SERVER,
    "rs-client": Role.ROUTE_SERVER_CLIENT,
    "peer": Role.PEER,
}


def read_role(text: str) -> Role:
    """Read our role towards a peer (RFC 9234 §4.1)."""
    word = text.strip().lower().replace("_", "-")
    if word not in _ROLES:
        raise ScalarError("value", f"{text!r} is none of {', '.join(_ROLES)}")
    return _ROLES[word]


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\.(?=.{1,64}\Z)[A-Za-z0-9_-]+)*\Z")


def read_name(text: str) -> str:
    """Read a name, or whether there is one: ``on`` stays, off is nothing."""
    try:
        return "on" if read_switch(text) else ""
    except ScalarError:
        if _NAME.match(text.strip()):
            return text.strip()
        raise ScalarError("value", f"{text!r} is neither on, off nor a name") from None


_INTERFACE = re.compile(r"(?!\.{1,2}\Z)[^\s/:%]{1,15}\Z")


def read_interface(text: str) -> str:
    """Read the name of an interface, as Linux allows it."""
    if _INTERFACE.match(text.strip()):
        return text.strip()
    raise ScalarError("value", f"{text!r} is no name of an interface")


def read_networks(text: str) -> tuple[tuple[Afi, Nlri], ...]:
    """Read prefixes, each once."""
    found: list[tuple[Afi, Nlri]] = []
    for word in re.split(r"[,\s]+", text.strip()):
        if not word:
            continue
        try:
            found.append(parse_prefix(word))
        except PrefixError as error:
            raise ScalarError("value", f"{word!r} is no prefix: {error}") from error
    return tuple(dict.fromkeys(found))


_MAIN_TABLES = (0, 253, 254, 255)
"""Unspecified, default, main and local: the kernel's own."""


def read_tables(text: str) -> tuple[tuple[str, int], ...]:
    """Read names of external networks with the numbers of their routing tables."""
    found: dict[str, int] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, number = (part.strip() for part in word.partition("="))
        try:
            table = int(number)
        except ValueError:
            raise ScalarError("value", f"{word!r} is not NAME=TABLE") from None
        if not 0 < table < 2**32 or table in _MAIN_TABLES:
            raise ScalarError("value", f"{word!r}: {table} is no table that can be had")
        if found.setdefault(parse_name(name), table) != table:
            raise ScalarError("value", f"{name} is given two tables")
    return tuple(sorted(found.items()))
