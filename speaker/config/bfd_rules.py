"""What fields of a BFDConfiguration demand of each other; see `speaker.config.rules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speaker.config.bfd_keys import LEAST, MOST
from speaker.config.problems import Violation
from speaker.config.scalars import ScalarError, parse_duration
from speaker.config.trees import list_at, spec_of


def bfd_intervals(tree: Mapping[str, Any]) -> Iterator[Violation]:
    """RFC 5880 §4.1: each interval is one that a packet can tell."""
    for number, interface in enumerate(list_at(spec_of(tree), "interfaces")):
        for name in ("minimumRecvInterval", "minimumSendInterval", "idleSendInterval"):
            value = interface.get(name) if isinstance(interface, dict) else None
            if value in (None, ""):
                continue
            try:
                seconds = parse_duration(value)
            except ScalarError:
                continue
            if not LEAST <= seconds <= MOST:
                message = "must be from 1ms to 4294s (RFC 5880)"
                yield Violation(("spec", "interfaces", number, name), "range", message)
