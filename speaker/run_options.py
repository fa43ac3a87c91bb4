"""How the daemon is run: what the options of ``wren run`` come to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from speaker.bfd.bfdd import Bfdd
from speaker.control.access import RESTRICTED, Access
from speaker.control.protocol import SOCKET_NAME
from speaker.forwarding_plane import KernelOptions
from speaker.privileges.dropping import Wanted
from speaker.succession import Marks
from speaker.watches import MakeBfd


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the daemon is run.

    Attributes:
        datastore: directory of the resources.
        node: which Node we are.
        log_format: ``text`` or ``json``.
        log_level: ``debug`` to ``error``; None follows the resources.
        kernel: whether routes are installed.
        table: the kernel's routing table.
        protocol: the number that marks routes as ours.
        nexthop_objects: whether routes may name next-hop objects.
        nexthop_compat: leave net.ipv4.nexthop_compat_mode alone; else it is set to 0.
        run_dir: where the control socket is.
        withdraw_on_exit: take our routes out of the kernel at the end.
        strict_secrets: hold sessions down whose password is missing.
        bfd: the control socket of the bfdd of FRR that watches peers; None is a process of our own.
        hook: a program that is run for each change of a session and of BFD; None for none.
        loop: ``uvloop`` or ``asyncio``.
        user: that the daemon becomes, by name or number; None to stay who starts it.
        access: who may do what at the control socket.
        takeover: take the place of the daemon that runs with the same run directory, if one does.
    """

    datastore: Path
    node: str
    run_dir: Path
    log_format: str = "text"
    log_level: str | None = None
    kernel: bool = True
    table: int = 254
    protocol: int = 12
    nexthop_objects: bool = True
    nexthop_compat: bool = True
    withdraw_on_exit: bool = False
    strict_secrets: bool = False
    bfd: Path | None = None
    hook: Path | None = None
    loop: str = "uvloop"
    takeover: bool = False
    user: str | None = None
    access: Access = RESTRICTED

    @property
    def wanted(self) -> Wanted:
        """What the process is to become."""
        return Wanted(self.run_dir, SOCKET_NAME, self.kernel, self.user, self.access.group)

    @property
    def kernel_options(self) -> KernelOptions | None:
        """Where routes are installed; None for nowhere."""
        if not self.kernel:
            return None
        return KernelOptions(self.table, self.protocol, self.nexthop_objects, self.nexthop_compat)

    @property
    def make_bfd(self) -> MakeBfd | None:
        """Who watches peers by BFD; None for a process of our own."""
        return None if self.bfd is None else partial(Bfdd, path=str(self.bfd))

    @property
    def marks(self) -> Marks:
        """What a daemon must have in common with one whose place it takes."""
        table, protocol = (self.table, self.protocol) if self.kernel else (None, None)
        return Marks(self.node, table, protocol)
