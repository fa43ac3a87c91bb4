"""Labs for tests: brought up from a few lines of YAML, and always taken down."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab
from lab.pytest_plugin import named_afresh

LINES = 60
"""Of each log that are shown of a lab in which something failed."""


@contextmanager
def lab_of(text: str, base: Path | None = None) -> Iterator[Lab]:
    """Bring a topology up for the time of a ``with`` block; what fails there shows all logs' ends.

    Args:
        text: the topology; each lab gets a name of its own.
        base: where relative datastores start.
    """
    with named_afresh(text, base) as lab:
        try:
            yield lab
        except BaseException:
            for node in lab.nodes.values():
                sys.stdout.write(f"The log of {node.name} ends:\n{node.last_words(LINES)}\n")
            raise


def two_nodes(kind: str, asn: int, *, extra: str = "") -> str:
    """Write the topology of a Wren node and one of another kind, on a link in both families.

    Args:
        kind: of the other.
        asn: of the other; 65001 is Wren's, so the same makes it iBGP.
        extra: lines of the other's node.
    """
    return f"""
nodes:
  wren:
    kind: wren
    asn: 65001
    networks: [10.1.0.0/24, "fd00:1::/64"]
    addresses: [10.1.0.1/32, "fd00:1::1/128"]
  other:
    kind: {kind}
    asn: {asn}
    networks: [10.2.0.0/24, "fd00:2::/64"]
    addresses: [10.2.0.1/32, "fd00:2::1/128"]
    {extra}
links:
  - wren: [172.31.0.1/24, "fd31::1/64"]
    other: [172.31.0.2/24, "fd31::2/64"]
bgp:
  - between: [wren, other]
    hold_time: 9
"""
