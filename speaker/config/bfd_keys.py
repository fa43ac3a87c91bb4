"""Values of the keys ``wren.bgp/bfd…``: how one peer is watched by BFD.

`wren.bgp/bfd` says whether, and from how far (`parse_way`); `wren.bgp/bfdTimers` sets single timers
over those of the BFDConfiguration (`parse_timers`); `wren.bgp/bfdStrict` has the session wait for
BFD (`parse_strict`); `wren.bgp/bfdAuth` names the keys in Secrets
(`parse_keys`), from which `BfdAuthentication` is made, that hides them.

Standards: RFC 5880 §4.1, §6.7, §6.8.3; RFC 5883 §4.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace

from fsm.bfd import Authentication, AuthType, Settings
from fsm.bfd.session import MICROSECONDS
from speaker.config.key_values import read_switch
from speaker.config.scalars import ScalarError, parse_duration
from speaker.config.secrets import Secret

LEAST, MOST = 0.001, 4294.0
"""Seconds: a packet a millisecond, and what fits into the 32 bits of RFC 5880 §4.1."""

TTL = 255
"""Of a packet that leaves its sender; each router takes one away."""

LONGEST_WAIT = 3600
"""Seconds that BFD may be asked to have been up."""

KINDS = {
    "simple": AuthType.SIMPLE_PASSWORD,
    "keyed-md5": AuthType.KEYED_MD5,
    "meticulous-keyed-md5": AuthType.METICULOUS_KEYED_MD5,
    "keyed-sha1": AuthType.KEYED_SHA1,
    "meticulous-keyed-sha1": AuthType.METICULOUS_KEYED_SHA1,
}
"""The words for what packets are authenticated by, as BIRD has them."""


@dataclass(frozen=True, slots=True)
class BfdWay:
    """Whether a peer is watched, and from how far.

    Attributes:
        hops: how far it may be; 0 for one that is on a link of ours (RFC 5881).
    """

    is_on: bool
    hops: int = 0

    def __str__(self) -> str:
        if not self.hops:
            return "on" if self.is_on else "off"
        return "multihop" if self.hops == TTL else f"multihop {self.hops}"


@dataclass(frozen=True, slots=True)
class BfdTimers:
    """Timers of one peer, seconds; None is what the BFDConfiguration says."""

    send: float | None = None
    receive: float | None = None
    multiplier: int | None = None
    idle: float | None = None
    echo: float | None = None

    def __str__(self) -> str:
        timers = {name: getattr(self, name) for name in ("send", "receive", "idle", "echo")}
        words = [f"{name} {value * 1000:g}ms" for name, value in timers.items() if value]
        return ", ".join(words + [f"multiplier {self.multiplier}"] * (self.multiplier is not None))

    def over(self, settings: Settings) -> Settings:
        """Give settings in which these timers stand in place of theirs."""
        return replace(
            settings,
            desired_min_tx_us=_microseconds(self.send, settings.desired_min_tx_us),
            required_min_rx_us=_microseconds(self.receive, settings.required_min_rx_us),
            detect_mult=self.multiplier or settings.detect_mult,
            idle_tx_us=_microseconds(self.idle, settings.idle_tx_us),
            required_min_echo_rx_us=_microseconds(self.echo, settings.required_min_echo_rx_us),
        )


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key is: its number on the wire, the Secret, and the key in it."""

    number: int
    secret: str
    key: str

    def __str__(self) -> str:
        return f"key {self.key} of Secret {self.secret}"


@dataclass(frozen=True, slots=True)
class BfdKeys:
    """What authenticates packets; the first key signs ours, the others are accepted besides."""

    kind: AuthType
    places: tuple[KeyPlace, ...]


@dataclass(frozen=True, slots=True)
class BfdAuthentication:
    """The same with the keys themselves, which hide."""

    kind: AuthType
    keys: tuple[tuple[int, Secret], ...]

    def reveal(self) -> Authentication:
        """Give it to whoever signs."""
        keys = {number: secret.reveal() for number, secret in self.keys}
        return Authentication(self.kind, keys, self.keys[0][0])


_WAY = re.compile(r"multihop(?:\s+(?P<hops>[0-9]+))?\Z")


def parse_way(text: str) -> BfdWay:
    """Read whether a peer is watched, and from how far.

    Raises:
        ScalarError: it makes no sense.
    """
    with suppress(ScalarError):
        return BfdWay(read_switch(text))
    found = _WAY.match(text.strip().lower())
    if found is None:
        raise ScalarError("value", f"{text!r} is none of on, off, multihop, multihop HOPS")
    hops = int(found["hops"] or TTL)
    if not 1 <= hops <= TTL:
        raise ScalarError("value", f"{text!r}: a peer is 1–{TTL} hops away")
    return BfdWay(True, hops)


def parse_timers(text: str) -> BfdTimers:
    """Read timers by their names, each at most once.

    Raises:
        ScalarError: they make no sense.
    """
    words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
    names, values = words[::2], words[1::2]
    if not words or len(words) % 2 or len(set(names)) < len(names):
        raise ScalarError("value", f"{text!r} is not send 100ms, receive 100ms, multiplier 3")
    found: dict[str, float | int] = {}
    for name, value in zip(names, values, strict=True):
        if name == "multiplier":
            found[name] = _multiplier(value)
        elif name in ("send", "receive", "idle", "echo"):
            found[name] = _interval(name, value)
        else:
            known = "send, receive, multiplier, idle, echo"
            raise ScalarError("value", f"{name!r} is none of {known}")
    return BfdTimers(**found)  # type: ignore[arg-type]


def _multiplier(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 255:
        return int(text)
    raise ScalarError("value", f"multiplier {text} is not from 1 to 255")


def _interval(name: str, text: str) -> float:
    seconds = parse_duration(text)
    if LEAST <= seconds <= MOST:
        return seconds
    raise ScalarError("value", f"{name} {text} is not from 1ms to 4294s (RFC 5880)")


def parse_strict(text: str) -> float | None:
    """Read whether a session waits for BFD: for how many seconds it has to be up, None for not.

    Raises:
        ScalarError: it makes no sense.
    """
    try:
        return 0.0 if read_switch(text) else None
    except ScalarError:
        word = text.strip()
    if word.isascii() and word.isdigit() and 0 < int(word) <= LONGEST_WAIT:
        return float(word)
    raise ScalarError("value", f"{text!r} is neither on, off nor 1–{LONGEST_WAIT} seconds")


_PLACE = re.compile(
    r"(?P<number>[0-9]{1,3})\s+(?P<secret>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)/(?P<key>[\w.-]+)\Z",
    re.ASCII,
)


def parse_keys(text: str) -> BfdKeys:
    """Read what authenticates packets: a word, and numbered keys of Secrets.

    Raises:
        ScalarError: it makes no sense; the text, which might be a password, is not repeated.
    """
    word, _, rest = text.strip().partition(" ")
    kind = KINDS.get(word.lower())
    if kind is None:
        raise ScalarError("value", f"it does not begin with one of {', '.join(KINDS)}")
    found = [_PLACE.match(part.strip()) for part in rest.split(",")]
    places = tuple(
        KeyPlace(int(each["number"]), each["secret"], each["key"]) for each in found if each
    )
    if len(places) < len(found):
        raise ScalarError("value", f"after {word} come NUMBER SECRET/KEY, separated by commas")
    numbers = [place.number for place in places]
    if max(numbers) > 255 or len(set(numbers)) < len(numbers):
        raise ScalarError("value", "numbers of keys are from 0 to 255, and each is another")
    return BfdKeys(kind, places)


def _microseconds(seconds: float | None, default: int) -> int:
    return default if seconds is None else round(seconds * MICROSECONDS)
