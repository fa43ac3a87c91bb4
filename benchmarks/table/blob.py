"""A full table as it goes over the wire: made once, kept in a file, sent as any peer would.

`draw` makes a `Table`, the same for the same arguments on every machine. A `Blob` is a table in
files: its UPDATEs one after another (without End-of-RIB), those that withdraw everything, and what
there is of it as JSON. `retarget` turns the octets into those that another peer would send.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from benchmarks.table import attributes, prefixes
from benchmarks.table.messages import announcements, withdrawals

VERSION = 4
"""Of what is drawn: another one, other tables."""

SETS_AT_ONCE = 5000
"""Attribute sets whose prefixes are withdrawn together."""


@dataclass(frozen=True, slots=True)
class Table:
    """What one peer announces.

    Attributes:
        family: 4 or 6.
        groups: attribute sets, each with its packed prefixes.
    """

    family: int
    groups: tuple[tuple[bytes, tuple[bytes, ...]], ...]

    @property
    def prefixes(self) -> list[bytes]:
        """All prefixes, in the order in which they are announced."""
        return [prefix for _, group in self.groups for prefix in group]

    def announcements(self) -> Iterator[bytes]:
        """Make the UPDATEs that announce everything."""
        for octets, group in self.groups:
            yield from announcements(octets, group, self.family)

    def withdrawals(self) -> Iterator[bytes]:
        """Make the UPDATEs that withdraw everything."""
        for start in range(0, len(self.groups), SETS_AT_ONCE):
            part = self.groups[start : start + SETS_AT_ONCE]
            yield from withdrawals([prefix for _, group in part for prefix in group], self.family)


def draw(count: int, family: int = 4, *, seed: int = 1, attribute_seed: int | None = None) -> Table:
    """Draw a table.

    Args:
        count: of prefixes.
        family: 4 or 6.
        seed: another one, other prefixes.
        attribute_seed: another one, other attributes of the same prefixes.
    """
    for_prefixes = random.Random(f"prefixes-{family}-{seed}")
    chosen = seed if attribute_seed is None else attribute_seed
    sets = attributes.AttributeSets(random.Random(f"attrs-{family}-{chosen}"), family)
    groups = prefixes.draw(count, family, for_prefixes)
    for_prefixes.shuffle(groups)
    return Table(family, tuple((sets.draw(), tuple(group)) for group in groups))


def retarget(octets: bytes, family: int, asn: int, next_hop: str) -> bytes:
    """Turn a template's UPDATEs into those of a peer with its own AS and next hop."""
    octets = octets.replace(attributes.ASN_OCTETS, asn.to_bytes(4, "big"))
    template = attributes.NEXT_HOP_4 if family == 4 else attributes.NEXT_HOP_6
    packed = ip_address(next_hop).packed
    return octets.replace(template, template[: -len(packed)] + packed)


@dataclass(frozen=True, slots=True)
class Blob:
    """A table in files.

    Attributes:
        path: of the UPDATEs; beside it lie those that withdraw, ending in ``.wd``.
        family: 4 or 6.
        prefixes: how many.
    """

    path: Path
    family: int
    prefixes: int

    @property
    def withdrawals(self) -> Path:
        """Where the UPDATEs lie that withdraw everything."""
        return self.path.with_name(self.path.name + ".wd")

    @classmethod
    def read(cls, path: Path) -> Blob:
        """Find a blob by the path of its UPDATEs."""
        facts = json.loads(_facts(path).read_text())
        return cls(path, int(facts["family"]), int(facts["prefixes"]))


def write(table: Table, path: Path) -> Blob:
    """Put a table into files.

    Raises:
        ValueError: what stands for a peer also stands elsewhere, so that it cannot be replaced.
    """
    updates = list(table.announcements())
    octets = b"".join(updates)
    next_hop = attributes.NEXT_HOP_4 if table.family == 4 else attributes.NEXT_HOP_6
    for template in (attributes.ASN_OCTETS, next_hop):
        if octets.count(template) != len(updates):
            raise ValueError(f"{template.hex()} stands elsewhere too; take another seed")
    blob = Blob(path, table.family, len(table.prefixes))
    path.parent.mkdir(parents=True, exist_ok=True)
    _put(path, octets)
    _put(blob.withdrawals, b"".join(table.withdrawals()))
    facts = {
        "family": table.family,
        "prefixes": blob.prefixes,
        "sets": len(table.groups),
        "updates": len(updates),
    }
    _put(_facts(path), json.dumps(facts).encode())
    return blob


def ensure(
    count: int, family: int = 4, *, seed: int = 1, attribute_seed: int | None = None
) -> Blob:
    """Give the files of a table; make them if they are not there."""
    other = "" if attribute_seed is None else f"-a{attribute_seed}"
    path = _cache() / f"v{VERSION}-ip{family}-{count}-s{seed}{other}.upd"
    if not _facts(path).exists():
        return write(draw(count, family, seed=seed, attribute_seed=attribute_seed), path)
    return Blob.read(path)


def _cache() -> Path:
    chosen = os.environ.get("WREN_BENCH_CACHE")
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / "wren-bench"


def _facts(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _put(path: Path, octets: bytes) -> None:
    """Write a file as a whole or not at all: others may be making the same one."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(octets)
    unfinished.replace(path)
