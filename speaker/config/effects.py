"""What is accepted and checked, and has no effect.

Whoever asks for it gets a warning that names the place, so that nobody believes in what nobody
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.kinds import Kind
from speaker.config.problems import Violation
from speaker.config.trees import list_at, map_at, network_of, spec_of


def without_effect(kind: Kind, tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Name what a document asks for and nobody does."""
    if kind is Kind.BGP_CONFIGURATION:
        yield from _single_services(tree)


def _single_services(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """Name the ranges that stand for single Services, which nobody looks at."""
    for field in ("serviceExternalIPs", "serviceLoadBalancerIPs"):
        for number, block in enumerate(list_at(spec_of(tree), field)):
            network = network_of(map_at({"block": block}, "block").get("cidr"))
            if network is not None and network.prefixlen == network.max_prefixlen:
                yield Violation(
                    ("spec", field, number, "cidr"),
                    "no-effect",
                    f"{network} is the address of one Service, which is not advertised yet",
                )
