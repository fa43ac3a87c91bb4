"""Disturbing a laboratory, for as long as a ``with`` block lasts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from lab.lab import RunningNode


@contextmanager
def killed(node: RunningNode, *names: str) -> Iterator[None]:
    """Kill a node's programs, or those of these names, without a warning; start them afterwards."""
    node.kill(*names)
    try:
        yield
    finally:
        node.start(*names)


@contextmanager
def frozen(node: RunningNode) -> Iterator[None]:
    """Stop a node's daemon where it stands, with its children; let it go on afterwards."""
    node.signal(signal.SIGSTOP, children=True)
    try:
        yield
    finally:
        node.signal(signal.SIGCONT, children=True)


@contextmanager
def link_down(node: RunningNode, interface: str = "eth0") -> Iterator[None]:
    """Take an interface of a node down; bring it up afterwards, with its default routes."""
    node.execute(["ip", "link", "set", interface, "down"])
    try:
        yield
    finally:
        node.execute(["ip", "link", "set", interface, "up"])
        for gateway in node.node.gateways:
            node.execute(["ip", "route", "replace", "default", "via", str(gateway)])
