"""What fields of a BGPPeer demand of each other; see `speaker.config.rules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Network, ip_address
from typing import Any

from speaker.config.annotations import TEXT_MAPS
from speaker.config.listen_ranges import parse_listen_range
from speaker.config.problems import Violation
from speaker.config.scalars import ScalarError, parse_duration, parse_ip
from speaker.config.tcp_ao import parse_tcp_ao
from speaker.config.trees import Check, endpoint_of, given_asn, spec_of, text_map

_INTERFACE = "wren.bgp/interface"
_BFD = "wren.bgp/bfd"
_TCP_AO = "wren.bgp/tcpAO"
_LISTEN_RANGE = "wren.bgp/listenRange"
_LINK_LOCAL = IPv6Network("fe80::/10")

MAX_RESTART_TIME = 4095
"""Seconds that fit the capability's twelve bits (RFC 4724 §3)."""


def exclusive(first: str, second: str) -> Check:
    """Make the check that at most one of two fields of a spec is given."""

    def check(tree: Mapping[str, Any]) -> Iterator[Violation]:
        spec = spec_of(tree)
        if spec.get(first) and spec.get(second):
            yield Violation(
                ("spec", second), "exclusive", f"{first} and {second} cannot both be given"
            )

    check.__doc__ = f"CRD: {first} excludes {second}."
    return check


def no_asn_with_peer_selector(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: with peerSelector the AS is the selected nodes' own, so asNumber is absent or 0."""
    spec = spec_of(tree)
    if spec.get("peerSelector") and given_asn(spec.get("asNumber")):
        yield Violation(
            ("spec", "asNumber"),
            "exclusive",
            "asNumber cannot be given with peerSelector; the selected nodes' own AS is used",
        )


def local_workloads_need_an_as(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: localWorkloadSelector demands an asNumber other than 0."""
    spec = spec_of(tree)
    if spec.get("localWorkloadSelector") and given_asn(spec.get("asNumber")) == 0:
        yield Violation(
            ("spec", "asNumber"), "required", "localWorkloadSelector needs an asNumber above 0"
        )


def as_zero(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: AS 0 is nobody's (RFC 7607); BIRD refuses its whole configuration for it.

    Of asNumber Calico takes 0 for *not given*, so `no_asn` warns of it there.
    """
    number = spec_of(tree).get("localASNumber")
    if number not in (None, "") and given_asn(number) == 0:
        yield Violation(("spec", "localASNumber"), "as-zero", "AS 0 is reserved (RFC 7607)")


def next_hop_modes(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: keepOriginalNextHop (deprecated) forbids nextHopMode."""
    spec = spec_of(tree)
    if spec.get("keepOriginalNextHop") is True and spec.get("nextHopMode") is not None:
        yield Violation(
            ("spec", "keepOriginalNextHop"),
            "exclusive",
            "keepOriginalNextHop and nextHopMode cannot both be given; nextHopMode: Keep says it",
        )


def reachable_by(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """CRD: reachableBy requires peerIP. Go: both are of one family."""
    spec = spec_of(tree)
    if not spec.get("reachableBy"):
        return
    path = ("spec", "reachableBy")
    if not spec.get("peerIP"):
        yield Violation(path, "required", "reachableBy needs a peerIP")
        return
    endpoint = endpoint_of(spec["peerIP"])
    try:
        gateway = parse_ip(spec["reachableBy"])
    except ScalarError:
        return
    if endpoint and (":" in gateway) != (":" in endpoint.address):
        yield Violation(path, "family", "reachableBy is not of the family of peerIP")


def passive_with_peer_selector(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: selected nodes may run the same BGPPeer, and then both ends would only wait."""
    if not spec_of(tree).get("peerSelector"):
        return
    for path in TEXT_MAPS:
        if text_map(tree, path).get("wren.bgp/passive", "off").lower() in ("on", "true", "yes"):
            yield Violation(
                (*path, "wren.bgp/passive"),
                "exclusive",
                "wren.bgp/passive cannot be on with peerSelector; both ends might only wait",
            )


def link_local_needs_interface(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a link-local peerIP needs its link; BIRD refuses its whole configuration without."""
    endpoint = endpoint_of(spec_of(tree).get("peerIP"))
    named = [path for path in TEXT_MAPS if _INTERFACE in text_map(tree, path)]
    of_link = endpoint is not None and ip_address(endpoint.address) in _LINK_LOCAL
    of_link = of_link or _listens_on_links(tree)
    if of_link and endpoint and not named:
        yield Violation(
            ("spec", "peerIP"),
            "link-local",
            f"{spec_of(tree)['peerIP']} is link-local: {_INTERFACE} has to say on which interface",
        )
    for path in named if not of_link else ():
        yield Violation(
            (*path, _INTERFACE), "link-local", f"{_INTERFACE} is for a link-local peerIP only"
        )


def _listens_on_links(tree: Mapping[str, Any]) -> bool:
    """Tell whether peers are accepted from link-local addresses, and from no others."""
    texts = [text for path in TEXT_MAPS if (text := text_map(tree, path).get(_LISTEN_RANGE))]
    try:
        ranges = parse_listen_range(texts[-1]) if texts else ()
    except ScalarError:
        return False
    return bool(ranges) and all(
        isinstance(each, IPv6Network) and each.subnet_of(_LINK_LOCAL) for each in ranges
    )


def bfd_over_hops(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: no router passes on what comes from a link-local address (RFC 4291 §2.5.6)."""
    endpoint = endpoint_of(spec_of(tree).get("peerIP"))
    of_link = endpoint is not None and ip_address(endpoint.address) in _LINK_LOCAL
    if not (of_link or _listens_on_links(tree)):
        return
    for path in TEXT_MAPS:
        if "multihop" in str(text_map(tree, path).get(_BFD, "")).lower():
            yield Violation(
                (*path, _BFD), "link-local", f"{_BFD}: a link-local peer is never hops away; use on"
            )


def one_id_with_peer_selector(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: selected nodes may run the same BGPPeer, and what one sends the other receives."""
    if not spec_of(tree).get("peerSelector"):
        return
    for path in TEXT_MAPS:
        try:
            keys = parse_tcp_ao(text_map(tree, path)[_TCP_AO])
        except (KeyError, ScalarError):
            continue
        for key in keys:
            if key.send_id != key.receive_id:
                yield Violation(
                    (*path, _TCP_AO),
                    "exclusive",
                    f"{_TCP_AO}: {key.ids} cannot be with peerSelector; both ends would send"
                    f" {key.send_id} and await {key.receive_id}: give one id",
                )


def signed_once(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a TCP connection has a password or keys of TCP-AO; no system signs by both."""
    if not spec_of(tree).get("password"):
        return
    for path in TEXT_MAPS:
        if _TCP_AO in text_map(tree, path):
            yield Violation(
                (*path, _TCP_AO), "exclusive", f"password and {_TCP_AO} cannot both be given"
            )


def no_target(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: Calico accepts a BGPPeer without target and then skips it."""
    spec = spec_of(tree)
    if any(_LISTEN_RANGE in text_map(tree, path) for path in TEXT_MAPS):
        return
    if not any(spec.get(name) for name in ("peerIP", "peerSelector", "localWorkloadSelector")):
        yield Violation(
            ("spec",),
            "no-target",
            "neither peerIP nor peerSelector: there is nobody to peer with",
        )


def no_asn(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Ours: a peerIP without AS, or with AS 0, validates in Calico and is skipped at run time."""
    spec = spec_of(tree)
    by_address = spec.get("peerIP") and not spec.get("peerSelector")
    if by_address and given_asn(spec.get("asNumber")) == 0:
        yield Violation(("spec", "asNumber"), "no-as", "no asNumber: the peer will be skipped")


def old_next_hop_field(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Calico 3.31 deprecates keepOriginalNextHop."""
    if spec_of(tree).get("keepOriginalNextHop") is True:
        yield Violation(
            ("spec", "keepOriginalNextHop"), "deprecated", "deprecated; write nextHopMode: Keep"
        )


def long_restart_time(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """RFC 4724 §3: the restart time has twelve bits."""
    spec = spec_of(tree)
    fields = ("maxRestartTime", "nodeMeshMaxRestartTime")
    for field in fields:
        try:
            seconds = parse_duration(spec.get(field))
        except ScalarError:
            continue
        if seconds > MAX_RESTART_TIME and spec.get("restartMode") != "LongLivedGracefulRestart":
            yield Violation(
                ("spec", field), "range", f"more than {MAX_RESTART_TIME} s cannot be announced"
            )
