"""Users and groups by name, and the run directory that changes hands."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from speaker.errors import ConfigError
from speaker.privileges.users import User, group_of, hand_over, name_of_group, name_of_user
from tests.support.unprivileged import NOBODY, common_place, needs_root

WHO = (NOBODY, NOBODY)


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


def test_users_and_groups_go_by_name_or_number() -> None:
    root = User.find("root")
    assert (root.uid, root.gid, str(root)) == (0, 0, "root (0)")
    assert User.find("0") == root
    assert group_of("root") == group_of("0") == 0
    assert (name_of_user(0), name_of_group(0)) == ("root (0)", "root")
    assert (name_of_user(4242424), name_of_group(4242424)) == ("user 4242424", "4242424")


def test_a_number_needs_no_entry_and_a_group_may_be_named() -> None:
    """In a container there is hardly any."""
    found = User.find("4242424")
    assert (found.uid, found.gid, found.groups, str(found)) == (
        *(4242424, 4242424),
        (4242424,),
        "4242424 (4242424)",
    )
    assert User.find("4242424:7").gid == group_of("7") == 7
    assert (User.find("nobody:root").uid, User.find("nobody:root").gid) == (NOBODY, 0)
    with pytest.raises(ConfigError, match="there is no group no-such-one"):
        User.find("nobody:no-such-one")


@pytest.mark.parametrize("name", ["no-such-one", "", str(2**32 - 1), str(1 << 40)])
def test_who_is_not_there_is_said_so(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no user {name}"):
        User.find(name)
    with pytest.raises(ConfigError, match=f"there is no group {name}"):
        group_of(name)


@needs_root
def test_a_run_directory_is_made_and_handed_over_with_its_files(tmp_path: Path) -> None:
    place = tmp_path / "run" / "wren"
    place.mkdir(parents=True)
    place.chmod(0o777)  # as the empty directory of a pod
    hand_over(place, *WHO)
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert owner(place) == WHO
    state = place / "sessions.json"
    state.write_text("{}")
    assert owner(state) == (0, 0)
    hand_over(place, *WHO)
    assert owner(state) == WHO
    # And back.
    hand_over(place, 0, 0)
    assert (owner(place), owner(state)) == ((0, 0), (0, 0))


@needs_root
def test_a_directory_of_a_pod_is_handed_over_with_the_rights_that_are_told(tmp_path: Path) -> None:
    """Of root's rights a pod has those of the walk-through alone, and none to others' files."""
    place = tmp_path / "wren"
    place.mkdir()
    place.chmod(0o777)
    program = (
        "import sys; from pathlib import Path; from speaker.privileges.users import hand_over\n"
        "for _ in range(2): hand_over(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[2]))"
    )
    few = "-all,+chown,+setuid,+setgid,+setpcap"
    rights = ["setpriv", f"--bounding-set={few}", f"--inh-caps={few}"]
    argv = [*rights, sys.executable, "-c", program, str(place), str(NOBODY)]
    subprocess.run(argv, check=True)
    assert owner(place) == WHO
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


@needs_root
def test_nobody_else_may_write_to_the_run_directory_of_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    hand_over(tmp_path, 0, 0)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@needs_root
def test_files_of_others_in_a_directory_that_all_share_stay_theirs(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    theirs = tmp_path / "theirs"
    theirs.write_text("")
    os.chown(theirs, *WHO)
    with pytest.raises(ConfigError, match="is one that others share; name one"):
        hand_over(tmp_path, 0, 0)
    assert owner(theirs) == WHO
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


@needs_root
def test_files_of_others_that_were_put_there_are_left_alone(tmp_path: Path) -> None:
    place, precious = tmp_path / "wren", tmp_path / "precious"
    precious.write_text("root's")
    place.mkdir()
    os.chown(place, *WHO)
    (place / "link").symlink_to(precious)
    os.link(precious, place / "second-name")
    os.mkfifo(place / "fifo")
    hand_over(place, *WHO)
    assert owner(precious) == (0, 0)
    assert owner(place / "fifo") == (0, 0)


@needs_root
@pytest.mark.parametrize("kind", ["directory inside", "shared", "many files", "a file"])
def test_a_directory_with_other_uses_is_not_handed_over(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("")
    else:
        place.mkdir()
    if kind == "directory inside":
        (place / "other").mkdir()
    elif kind == "shared":
        place.chmod(0o1777)
    elif kind == "many files":
        for number in range(20):
            (place / str(number)).touch()
    with pytest.raises(ConfigError, match="--run-dir"):
        hand_over(place, *WHO)
    assert owner(place) == (0, 0)


@needs_root
@pytest.mark.parametrize("place", ["/run", "/etc", "/"])
def test_directories_of_the_system_are_not_handed_over(place: str) -> None:
    before = owner(Path(place))
    with pytest.raises(ConfigError, match="--run-dir"):
        hand_over(Path(place), *WHO)
    assert owner(Path(place)) == before


@needs_root
def test_the_directory_of_a_daemon_that_runs_stays_its_own() -> None:
    with common_place() as place:
        hand_over(place, *WHO)
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.bind(str(place / "wren.sock"))
            daemon.listen()
            hand_over(place, *WHO, socket_name="wren.sock")
            with pytest.raises(ConfigError, match=f"runs as nobody .* with --user {NOBODY}"):
                hand_over(place, 0, 0, socket_name="wren.sock")
            assert owner(place) == WHO
        # It has gone, and left its socket.
        hand_over(place, 0, 0, socket_name="wren.sock")
        assert owner(place) == (0, 0)
