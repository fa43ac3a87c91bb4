"""Network namespaces for tests of the kernel: a thread of its own in a namespace of its own.

A namespace belongs to a thread, and threads started from it inherit it. So `run_in_namespace` runs
a function in a fresh thread that has left for a new namespace; when the last thread and socket in
it have gone the kernel removes it with all its devices, and nothing is left to clean up.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

CLONE_NEWNET = 0x40000000

T = TypeVar("T")

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0, reason="making network namespaces needs root"
)


def run_in_namespace(function: Callable[[], T]) -> T:
    """Run a function in a thread in a new network namespace, with loopback up."""
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            sh("ip link set lo up")
            result.append(function())
        except BaseException as error:  # raised again in the test
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def in_namespace(test: Callable[..., None]) -> Callable[..., None]:
    """Make a test run in a namespace of its own: `@in_namespace` above the test."""

    @pytest.mark.netns
    @needs_namespaces
    def wrapper() -> None:
        run_in_namespace(test)

    wrapper.__name__ = test.__name__
    wrapper.__doc__ = test.__doc__
    return wrapper


def sh(commands: str) -> str:
    """Run commands, one a line, in the namespace of this thread; return their output."""
    output = []
    for line in commands.strip().splitlines():
        done = subprocess.run(line.split(), check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{line.strip()}: {done.stderr.strip()}"
        output.append(done.stdout)
    return "".join(output)


def wait_until(condition: Callable[[], Any], seconds: float = 5.0, what: str = "") -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(0.005)


@contextmanager
def route_monitor() -> Iterator[list[str]]:
    """Collect the lines of `ip monitor route` while in the block."""
    lines: list[str] = []
    with subprocess.Popen(
        ["stdbuf", "-oL", "ip", "monitor", "route"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout
        reader = threading.Thread(target=lambda: lines.extend(iter(output.readline, "")))
        reader.start()
        # The monitor has begun to listen when it tells of a route made to find that out.
        while not any("198.18.255.255" in line for line in lines):
            sh("ip route add blackhole 198.18.255.255/32")
            sh("ip route del blackhole 198.18.255.255/32")
            time.sleep(0.02)
        try:
            yield lines
            sh("ip route add blackhole 198.18.255.254/32")
            wait_until(lambda: any("198.18.255.254" in line for line in lines))
            sh("ip route del blackhole 198.18.255.254/32")
        finally:
            process.terminate()
            reader.join()


def _gives_user_namespaces() -> bool:
    """Tell whether the system lets anybody make user namespaces; some containers do not."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


needs_user_namespaces = pytest.mark.skipif(
    not _gives_user_namespaces(), reason="this system lets nobody make user namespaces"
)
