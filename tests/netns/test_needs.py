"""The table of privileges, row by row, on this kernel: what fails without and works with them."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys

import pytest

from speaker.privileges.capabilities import Capability
from speaker.privileges.needs import NEEDS, Need
from tests.support import attempts
from tests.support.unprivileged import as_nobody, needs_root

pytestmark = [pytest.mark.netns, needs_root]

BIND_FREELY = (5, 7)
"""The kernel from which on a socket is tied to a link without CAP_NET_RAW."""


def tried(*capabilities: Capability) -> dict[str, bool]:
    """Try everything in an empty network namespace, as nobody with some capabilities."""
    argv = as_nobody([sys.executable, "-I", attempts.__file__], *capabilities)
    done = subprocess.run(["unshare", "--net", *argv], capture_output=True, text=True, check=True)
    found: dict[str, bool] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def without() -> dict[str, bool]:
    return tried()


@pytest.fixture(scope="module")
def with_all() -> dict[str, bool]:
    return tried(*{row.capability for row in NEEDS if row.capability is not None})


def test_every_row_is_tried() -> None:
    assert attempts.ATTEMPTS.keys() == {row.key for row in NEEDS}


@pytest.mark.parametrize("row", NEEDS, ids=lambda row: row.key)
def test_a_row_is_so(row: Need, without: dict[str, bool], with_all: dict[str, bool]) -> None:
    if row.key == "compat" and not os.path.exists(attempts.NEXTHOP_COMPAT):
        pytest.skip("the kernel has no next-hop objects")
    if row.key == "priority" and resource.getrlimit(resource.RLIMIT_RTPRIO)[1]:
        pytest.skip("everybody may have real-time priority here")
    numbers = platform.release().split("-")[0].split(".")
    is_free = row.key == "device" and tuple(map(int, numbers[:2])) >= BIND_FREELY
    assert without[row.key] is (row.capability is None or is_free)
    # Real-time priority may be refused to everybody, by the group that the process is in.
    assert with_all[row.key] or row.key == "priority"


@pytest.mark.parametrize("key", ["routes", "port"])
def test_it_is_that_capability_and_no_other(key: str) -> None:
    [row] = [row for row in NEEDS if row.key == key]
    assert row.capability is not None
    others = {each for each in Capability if each is not row.capability}
    assert tried(row.capability)[key]
    assert not tried(*others)[key]
