"""Start a program behind the walls of a unit: its filter of system calls, families, and memory.

``python walled.py FILTER PROGRAM ARGUMENT…``; FILTER is the JSON that `walls_of` makes of a unit.
What the unit forbids is refused as systemd would have it refused; what is no business of any
service kills, so that nothing of that kind goes unnoticed. systemd itself need not run.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

_KILL_PROCESS, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_EQUAL = 4
_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1
_ANY_SERVICE = "@system-service"


class _Compared(ctypes.Structure):
    """``struct scmp_arg_cmp`` of libseccomp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Read a unit: the values of each setting, in their order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def members(name: str) -> set[str]:
    """Give the system calls of a set of systemd's, or the one of that name."""
    if not name.startswith("@"):
        return {name}
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name],
        check=True,
        capture_output=True,
        text=True,
    )
    words = [line.strip() for line in done.stdout.splitlines()[1:]]
    words = [word for word in words if word and not word.startswith("#")]
    return set().union(*map(members, words))


def walls_of(unit: Path) -> str:
    """Make the filter of a unit."""
    settings = settings_of(unit)
    allowed: set[str] = set()
    for line in settings["SystemCallFilter"]:
        calls = set().union(*map(members, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    [families] = settings["RestrictAddressFamilies"]
    walls = {
        "allowed": sorted(allowed),
        "refused": sorted(members(_ANY_SERVICE) - allowed),
        "families": [int(getattr(socket, name)) for name in families.split()],
    }
    return json.dumps(walls)


def build(walls: dict[str, Any]) -> None:
    """Put the walls up around this process and all that it becomes."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_KILL_PROCESS)))
    refused = _ERRNO | errno.EPERM

    def rule(action: int, call: str, *compared: _Compared) -> None:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        array = (_Compared * len(compared))(*compared)
        # A call of another architecture has a number below zero, or is none.
        if number >= 0:
            seccomp.seccomp_rule_add_array(
                rules, ctypes.c_uint32(action), number, len(compared), array
            )

    for call in walls["allowed"]:
        if call != "socket":
            rule(_ALLOW, call)
    for call in walls["refused"]:
        rule(refused, call)
    for family in range(64):
        action = _ALLOW if family in walls["families"] else _ERRNO | errno.EAFNOSUPPORT
        rule(action, "socket", _Compared(0, _EQUAL, family, 0))
    if seccomp.seccomp_load(rules):
        raise OSError("the filter of system calls is not taken")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_MDWE, ctypes.c_ulong(_REFUSE_EXEC_GAIN), 0, 0, 0):
        # A kernel before 6.3 cannot be told so.
        assert ctypes.get_errno() == errno.EINVAL


if __name__ == "__main__":
    build(json.loads(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
