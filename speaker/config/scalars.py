"""The scalars of Calico's resources: text or number in, one canonical value out.

Every function takes what stood in the document and gives the value the plan works with, or raises
`ScalarError`, which carries the name of the rule that is broken. Addresses come out canonical
(Calico compares them as text, where ``2001:DB8::1`` and ``2001:db8::1`` differ; here they do
not).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import TypeAlias

from policy.as_path_regex import AsPathRegex, as_path_regex
from policy.as_path_syntax import AsPathRegexError
from policy.communities import CommunityPattern
from policy.operations import NextHopWord
from speaker.config.documents import YamlFloat
from speaker.config.problems import did_you_mean, show_value

MAX_AS = 2**32 - 1
MAX_PRIORITY = 2**31 - 2
"""Highest priority; 2147483647 minus it must still be a LOCAL_PREF above zero."""

Community: TypeAlias = int | tuple[int, int, int]
"""A standard community as one 32-bit number, or a large one as three."""

CommunityOrPattern: TypeAlias = Community | CommunityPattern


class ScalarError(ValueError):
    """A scalar that does not mean anything here."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A peerIP: canonical address, and a port when one was written."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        around = "[{}]:{}" if ":" in self.address else "{}:{}"
        return around.format(self.address, self.port)


def parse_asn(value: object) -> int:
    """Read an AS number: a number, ``"65001"`` or ``"1.10"`` (RFC 5396 asdot+)."""
    if isinstance(value, YamlFloat):
        raise ScalarError(
            "as-number",
            f'{value.text} is read as a decimal fraction; quote a dotted AS number: "{value.text}"',
        )
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= MAX_AS:
            return value
    elif isinstance(value, str):
        number = _asn_of_text(value)
        if number is not None:
            return number
    raise ScalarError(
        "as-number", f'{show_value(value)} is no AS number (0–4294967295, or "high.low")'
    )


def _asn_of_text(text: str) -> int | None:
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 32 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    if len(numbers) == 1 and numbers[0] <= MAX_AS:
        return numbers[0]
    if len(numbers) == 2 and max(numbers) <= 0xFFFF:
        return numbers[0] << 16 | numbers[1]
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address strictly: no zone, no leading zeros, no blanks.

    ``::ffff:10.0.0.1`` is IPv4, as it is to Go and so to Calico.
    """
    if "%" in text or text != text.strip():
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def parse_ip(value: object) -> str:
    """Read an IPv4 or IPv6 address and give its canonical text."""
    address = _address(value) if isinstance(value, str) else None
    if address is None:
        raise ScalarError("ip", f"{show_value(value)} is no IP address")
    return str(address)


def parse_ipv4(value: object) -> str:
    """Read an IPv4 address."""
    text = parse_ip(value)
    if ":" in text:
        raise ScalarError("ip", f"{show_value(value)} is no IPv4 address")
    return text


def parse_ipv6(value: object) -> str:
    """Read an IPv6 address."""
    text = parse_ip(value)
    if ":" not in text:
        raise ScalarError("ip", f"{show_value(value)} is no IPv6 address")
    return text


_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):(?P<port>[0-9]{1,5})\Z")


def parse_peer_ip(value: object) -> Endpoint:
    """Read ``IPv4``, ``IPv6``, ``IPv4:port`` or ``[IPv6]:port``."""
    text = value if isinstance(value, str) else ""
    address, port = _address(text), None
    match = _WITH_PORT.match(text) if address is None else None
    if match:
        host, port = match["v6"] or match["v4"] or "", int(match["port"])
        if (":" in host) == bool(match["v6"]) and 1 <= port <= 65535:
            address = _address(host)
    if address is None or len(text) > 64:
        hint = ""
        if "%" in text:
            hint = "; the zone %eth0 of a link-local address stands in wren.bgp/interface"
        raise ScalarError(
            "peer-ip",
            f"{show_value(value)} is no peer address (IPv4, IPv6, IPv4:port or [IPv6]:port){hint}",
        )
    return Endpoint(str(address), port)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(value: object) -> float:
    """Read Go's duration text (``10s``, ``1h30m``, ``"0"``) and give seconds."""
    if isinstance(value, str):
        text = value.removeprefix("+")
        if text == "0":
            return 0.0
        parts = _DURATION_PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
        if text.startswith("-"):
            raise ScalarError("duration", f"{show_value(value)} is negative")
    raise ScalarError(
        "duration", f"{show_value(value)} is no duration (text with a unit: 10s, 2m, 1h30m)"
    )


def whole_seconds(seconds: float) -> int:
    """Round as Calico does, half away from zero."""
    return int(seconds + 0.5)


_CIDR = re.compile(r"[0-9a-fA-F.:]+(?:/[0-9]{1,3})?\Z")
"""An address and a length; Python would take a netmask in its place, and Calico does not."""


def read_network(value: object) -> IPv4Network | IPv6Network | None:
    """Read a CIDR, masked; a bare address is a host route. None for anything else."""
    if not isinstance(value, str) or not _CIDR.match(value):
        return None
    try:
        return ip_network(value, strict=False)
    except ValueError:
        return None


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """Read a CIDR or an address, which is a host route; host bits do not count."""
    network = read_network(value)
    if network is None:
        raise ScalarError("cidr", f"{show_value(value)} is no CIDR")
    return network


def has_host_bits(value: object) -> bool:
    """Tell whether a text is a CIDR with bits set behind its length."""
    network = read_network(value)
    return network is not None and ip_interface(str(value)).ip != network.network_address


def parse_masked_network(value: object) -> IPv4Network | IPv6Network:
    """Read a CIDR that states its length and whose host bits are zero."""
    network = parse_long_network(value)
    if has_host_bits(value):
        raise ScalarError("cidr", f"{value} has host bits set; write {network}")
    return network


def parse_long_network(value: object) -> IPv4Network | IPv6Network:
    """Read a CIDR that states its length; host bits do not count."""
    network = parse_network(value)
    if "/" not in str(value):
        raise ScalarError("cidr", f"{value} has no prefix length; write {network}")
    return network


def parse_ipv4_interface(value: object) -> IPv4Interface:
    """Read a node's IPv4 address, optionally with its length; host bits may be set."""
    found = _interface(value)
    if not isinstance(found, IPv4Interface):
        raise ScalarError("ip", f"{show_value(value)} is no IPv4 address (a.b.c.d or a.b.c.d/len)")
    return found


def parse_ipv6_interface(value: object) -> IPv6Interface:
    """Read a node's IPv6 address, optionally with its length; host bits may be set."""
    found = _interface(value)
    if not isinstance(found, IPv6Interface) or found.ip.ipv4_mapped:
        raise ScalarError("ip", f"{show_value(value)} is no IPv6 address")
    return found


def _interface(value: object) -> IPv4Interface | IPv6Interface | None:
    if not isinstance(value, str) or not _CIDR.match(value):
        return None
    try:
        return ip_interface(value)
    except ValueError:
        return None


_COMMUNITY = re.compile(r"(?:0|[1-9][0-9]*)(?::(?:0|[1-9][0-9]*)){1,2}\Z")


def parse_community(value: object) -> Community:
    """Read ``aa:nn`` (16 bits each) or ``aa:nn:mm`` (32 bits each; RFC 8092)."""
    if isinstance(value, str) and len(value) <= 32 and _COMMUNITY.match(value):
        numbers = tuple(int(part) for part in value.split(":"))
        if len(numbers) == 2 and max(numbers) <= 0xFFFF:
            return numbers[0] << 16 | numbers[1]
        if len(numbers) == 3 and max(numbers) <= MAX_AS:
            return (numbers[0], numbers[1], numbers[2])
    raise ScalarError("community", f"{show_value(value)} is no community (aa:nn, or aa:nn:mm)")


def parse_community_pattern(value: object) -> CommunityOrPattern:
    """Read a community, or one with ``*`` for any number: ``65000:*``, ``65000:*:1``."""
    if not isinstance(value, str) or "*" not in value:
        return parse_community(value)
    try:
        # A 0 in each place of a * makes a community of it, or nothing does.
        zero = parse_community(":".join("0" if p == "*" else p for p in value.split(":")))
    except ScalarError:
        raise ScalarError(
            "community",
            f"{show_value(value)} is no pattern of communities (aa:*, *:nn, or aa:*:mm)",
        ) from None
    numbers = (zero >> 16, zero & 0xFFFF) if isinstance(zero, int) else zero
    given = zip(value.split(":"), numbers, strict=True)
    return CommunityPattern(tuple(None if text == "*" else number for text, number in given))


def parse_as_path_regex(value: object) -> AsPathRegex:
    """Read a regular expression over the AS_PATH (`policy.as_path_regex`)."""
    # An AS number alone is one, and YAML takes it for a number.
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise ScalarError("as-path-regex", "an expression is text; quote it")
    try:
        return as_path_regex(text)
    except AsPathRegexError as error:
        raise ScalarError("as-path-regex", f"not an expression: {error}") from None


def parse_next_hop(value: object) -> IPv4Address | IPv6Address | NextHopWord:
    """Read a next hop that a rule sets: a unicast address, or a word."""
    if isinstance(value, str) and value in list(NextHopWord):
        return NextHopWord(value)
    address = _address(value) if isinstance(value, str) else None
    if address is None:
        words = ", ".join(NextHopWord)
        guess = did_you_mean(str(value), list(NextHopWord))
        raise ScalarError(
            "next-hop", f"{show_value(value)} is neither an address nor one of {words}{guess}"
        )
    no_use = (
        address.is_unspecified
        or address.is_multicast
        or address.is_loopback
        or (address.version == 6 and address.is_link_local)
        or (address.version == 4 and address.packed[0] == 0)
    )
    if no_use:
        raise ScalarError("next-hop", f"{address} is no address that packets can be sent to")
    return address


def show_community(value: Community) -> str:
    """Print a community as it is written in resources."""
    if isinstance(value, tuple):
        return ":".join(map(str, value))
    return f"{value >> 16}:{value & 0xFFFF}"


_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")


def parse_name(value: object) -> str:
    """Read a resource name, a DNS-1123 subdomain of at most 253 characters."""
    if not isinstance(value, str):
        raise ScalarError("name", "a name is text; quote it")
    if len(value) > 253:
        raise ScalarError("name", f"{show_value(value)} is no name: more than 253 characters")
    if _NAME.match(value):
        return value
    raise ScalarError(
        "name",
        f"{show_value(value)} is no name (lower-case letters, digits, '-' and '.', each part "
        "beginning and ending with a letter or digit)",
    )


def parse_host(value: object) -> str:
    """Read an IP address or the name of a host, and give its canonical text."""
    if isinstance(value, str):
        address, name = _address(value), value.lower().removesuffix(".")
        if address is not None:
            return str(address)
        # A name whose last part is a number would be an address (RFC 1123 §2.1).
        parts = name.split(".")
        is_name = len(name) <= 253 and _NAME.match(name) and not parts[-1].isdigit()
        if is_name and all(len(part) <= 63 for part in parts):
            return name
    raise ScalarError(
        "host", f"{show_value(value)} is neither an IP address nor the name of a host"
    )


def is_qualified_name(text: str) -> bool:
    """Tell whether a text may be a label or annotation key: ``name`` or ``domain/name``."""
    domain, slash, name = text.rpartition("/")
    if slash and not (_NAME.match(domain) and len(domain) <= 253):
        return False
    return _QUALIFIED.match(name) is not None


def is_label_value(text: str) -> bool:
    """Tell whether a text may be the value of a label."""
    return not text or _QUALIFIED.match(text) is not None


_INTERFACE_PATTERN = re.compile(r"(?:\*|[a-zA-Z0-9_.*-]{1,15})\Z")


def parse_interface_pattern(value: object) -> str:
    """Read an interface name in which ``*`` stands for anything."""
    if isinstance(value, str) and _INTERFACE_PATTERN.match(value):
        return value
    raise ScalarError(
        "interface", f"{show_value(value)} is no interface name or pattern (≤ 15 characters)"
    )


def as_text(value: object) -> str:
    """Turn a scalar into the text Go's JSON route makes of it: ``yes`` → true, ``1.10`` → 1.1."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.15g}"
        case str() | int():
            return str(value)
        case _:
            raise ScalarError("type", "must be text")
