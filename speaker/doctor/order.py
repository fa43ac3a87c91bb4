"""What is about to be done, and is asked about beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Order:
    """What is about to be done; the names are those of ``wren run``.

    Attributes:
        datastore: directory of the resources.
        node: which Node we shall be.
        run_dir: of the daemon.
        kernel: routes are to be installed.
        table: the kernel's routing table.
        protocol: the number that marks routes as ours.
        takeover: whoever runs now is to be replaced: another speaker is stopped before, or a Wren
            hands over.
        strict_secrets: hold sessions down whose password is missing.
        user: that the daemon becomes, by name or number; None to stay who starts it.
    """

    datastore: Path
    node: str
    run_dir: Path
    kernel: bool = True
    table: int = 254
    protocol: int = 12
    takeover: bool = False
    strict_secrets: bool = False
    user: str | None = None
