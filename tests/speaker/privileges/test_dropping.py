"""Becoming what was asked for: seen from the sets of every thread, and of children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from speaker.privileges.capabilities import Capability, mask_of
from speaker.privileges.needs import may_bind_device
from tests.support import exposing
from tests.support.unprivileged import (
    NOBODY,
    PLACES,
    PROJECT,
    as_nobody,
    common_place,
    exposed,
    needs_root,
)

pytestmark = [pytest.mark.netns, needs_root]

PROGRAM = """
import json, os, subprocess, sys
from dataclasses import asdict
from pathlib import Path
from speaker.errors import SpeakerError
from speaker.privileges.capabilities import Rights
from speaker.privileges.dropping import Wanted, settle
from speaker.privileges.nursery import spawn

run_dir, kernel, user, group = json.loads(sys.argv[1])
try:
    standing = settle(Wanted(Path(run_dir), "wren.sock", kernel, user, group))
except SpeakerError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
show = [sys.executable, "-c", '''
import json, os
from dataclasses import asdict
from speaker.privileges.capabilities import Rights
print(json.dumps([asdict(Rights.read()), os.sched_getscheduler(0) == os.SCHED_RR]))
''']
print(json.dumps({
    "user": standing.user,
    "kept": sorted(map(str, standing.kept)),
    "threads": [asdict(each) for each in Rights.of_process()],
    "child": json.loads(subprocess.run(show, capture_output=True, check=True).stdout),
    "bfd": json.loads(spawn(show, stdout=subprocess.PIPE).communicate()[0]),
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "home": os.environ.get("HOME"),
}))
"""

ADMIN, BIND = Capability.CAP_NET_ADMIN, Capability.CAP_NET_BIND_SERVICE
RAW, NICE = Capability.CAP_NET_RAW, Capability.CAP_SYS_NICE
OF_LINKS = set() if may_bind_device() else {RAW}
SETS = ("inheritable", "permitted", "effective", "ambient")


def settled(
    run_dir: Path,
    *,
    kernel: bool = True,
    user: str | None = None,
    group: int | None = None,
    start: Any = exposed,
) -> Any:
    """Settle in a process of its own; give what it says of itself."""
    words = json.dumps([str(run_dir), kernel, user, group])
    argv = start([sys.executable, "-c", PROGRAM, words])
    done = subprocess.run(
        ["unshare", "--net", *argv], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def check_rights(rights: dict[str, Any], capabilities: set[Capability], *, bounded: bool) -> None:
    assert {name: rights[name] for name in SETS} == dict.fromkeys(SETS, mask_of(capabilities))
    assert rights["no_new_privs"] is True
    if bounded:
        assert rights["bounding"] == mask_of(capabilities)


@pytest.mark.parametrize("user", [None, "nobody"])
@pytest.mark.parametrize("kernel", [True, False])
def test_root_keeps_what_the_options_need_in_every_thread_and_child(
    user: str | None, kernel: bool
) -> None:
    with common_place() as place:
        found = settled(place / "run", kernel=kernel, user=user)
    of_bfd = OF_LINKS | ({ADMIN} if kernel else set())
    kept = {BIND, *of_bfd}
    assert found["kept"] == sorted(map(str, kept))
    # The nursery keeps what the BFD process begins with, and no more.
    first, second = found["threads"]
    check_rights(first, kept, bounded=True)
    check_rights(second, of_bfd, bounded=True)
    check_rights(found["child"][0], kept, bounded=True)
    check_rights(found["bfd"][0], of_bfd, bounded=True)
    if user is None:
        assert found["ids"][0] == [0, 0, 0]
        assert found["user"] == "root (0)"
    else:
        # Who it was is nowhere to go back to.
        assert found["ids"] == [[NOBODY] * 3, [NOBODY] * 3, [NOBODY]]
        assert found["user"] == f"nobody ({NOBODY})"
        assert found["home"] != "/root"


def test_who_was_given_three_keeps_these_and_gives_up_a_fourth() -> None:
    given = (ADMIN, BIND, RAW, NICE)
    with common_place() as place:
        found = settled(place, start=lambda argv: as_nobody(argv, *given))
    kept = {ADMIN, BIND, *OF_LINKS}
    check_rights(found["threads"][0], kept, bounded=False)
    check_rights(found["threads"][1], {ADMIN, *OF_LINKS}, bounded=False)
    check_rights(found["child"][0], kept, bounded=False)


def test_priority_is_taken_before_the_right_to_it_is_given_up() -> None:
    with common_place() as place:
        hurried = settled(place, start=lambda argv: as_nobody(argv, ADMIN, NICE))
        usual = settled(place, start=lambda argv: as_nobody(argv, ADMIN))
    may = _may_hurry()
    assert [hurried["bfd"][1], hurried["child"][1]] == [may, False]
    assert [usual["bfd"][1], usual["child"][1]] == [False, False]


def _may_hurry() -> bool:
    """Find out whether anybody gets real-time priority here; a group of processes may not."""
    program = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))"
    argv = [sys.executable, "-I", "-c", program]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def test_a_group_is_joined_for_the_control_socket() -> None:
    with common_place() as place:
        found = settled(place / "run", group=7, user="nobody")
        assert found["ids"][2] == [7, NOBODY]
        refused = settled(place, group=7, start=lambda argv: as_nobody(argv, ADMIN))
    assert refused["refused"].startswith(f"nobody ({NOBODY}) is not in the group lp, which")
    assert "SupplementaryGroups=" in refused["refused"]


def test_only_root_becomes_somebody_else() -> None:
    with common_place() as place:
        refused = settled(place, user="daemon", start=lambda argv: as_nobody(argv, ADMIN))
        assert refused["refused"] == (
            f"nobody ({NOBODY}) may not become daemon (1); start as root (CAP_SETUID, CAP_SETGID),"
            " or as that user and without --user"
        )
        same = settled(place, user="nobody", start=lambda argv: as_nobody(argv, ADMIN))
        assert same["user"] == f"nobody ({NOBODY})"
        unknown = settled(place, user="no-such-user")
    assert unknown["refused"].startswith("there is no user no-such-user; make it with 'useradd")


@pytest.mark.skipif(
    all(exposing.hidden(each) is None for each in PLACES), reason="everybody can read all of it"
)
def test_a_program_that_the_user_cannot_read_is_said_so() -> None:
    with common_place() as place:
        refused = settled(place / "run", user="nobody", start=list)
    assert "which is a part of the program; install Wren" in refused["refused"]
