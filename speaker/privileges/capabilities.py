"""The capabilities of a process: which it has, and having fewer of them.

The sets are those of capabilities(7). What the kernel shows of them is read from ``/proc``; they
are changed by three calls of the C library (capset(2), prctl(2)), and only ever made smaller.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Self


class Capability(IntEnum):
    """Those that matter here, by number (linux/capability.h)."""

    CAP_CHOWN = 0
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_SETPCAP = 8
    CAP_NET_BIND_SERVICE = 10
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_SYS_NICE = 23

    def __str__(self) -> str:
        return self.name


NOTHING: frozenset[Capability] = frozenset()

_VERSION_3 = 0x20080522
_CAPBSET_READ, _CAPBSET_DROP = 23, 24
_GET_KEEPCAPS, _SET_KEEPCAPS = 7, 8
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 47, 2, 4
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_FEWEST_IDS = 4


@dataclass(frozen=True, slots=True)
class Rights:
    """What a thread may do, as ``/proc`` shows it.

    Attributes:
        inheritable, permitted, effective, bounding, ambient: masks of capabilities.
        no_new_privs: whether it may gain none by starting a program.
    """

    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int
    no_new_privs: bool

    @classmethod
    def read(cls, place: Path = Path("/proc/thread-self/status")) -> Self:
        """Read those of a thread, by default this one's.

        Raises:
            OSError: there is no such thread.
        """
        lines = place.read_text(encoding="utf-8", errors="replace").splitlines()
        words = dict(line.split(":", 1) for line in lines if ":" in line)
        inheritable, permitted, effective, bounding, ambient = (
            int(words.get(name, "0"), 16) for name in _SETS
        )
        is_final = words.get("NoNewPrivs", "0").strip() == "1"
        return cls(inheritable, permitted, effective, bounding, ambient, is_final)

    @classmethod
    def of_process(cls, pid: int | str = "self") -> Iterator[Self]:
        """Read those of every thread of a process.

        Raises:
            OSError: there is no such process.
        """
        for task in sorted(Path("/proc", str(pid), "task").iterdir()):
            yield cls.read(task / "status")


def held() -> frozenset[Capability]:
    """Give the capabilities that this thread may use, of those that matter here."""
    return named(Rights.read().effective)


def named(mask: int) -> frozenset[Capability]:
    """Give the capabilities of a mask, of those that matter here."""
    return frozenset(each for each in Capability if mask >> each & 1)


def mask_of(capabilities: Iterable[Capability]) -> int:
    """Give the mask of capabilities."""
    return sum(1 << each for each in set(capabilities))


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int) -> int:
    words = (*arguments, 0, 0, 0, 0)[:_FEWEST_IDS]
    return _checked(_libc().prctl(option, *map(ctypes.c_ulong, words)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _set(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread. capset(2)."""
    low = (effective & 0xFFFFFFFF, permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF)
    high = (effective >> 32, permitted >> 32, inheritable >> 32)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", *low, *high))
    _checked(_libc().capset(header, data))


def use_all() -> None:
    """Use everything that is permitted; a change of user leaves it unused."""
    now = Rights.read()
    _set(now.permitted, now.permitted, now.inheritable)


@contextmanager
def kept_over_change_of_user() -> Iterator[None]:
    """Keep what is permitted although the user is no longer root after the block."""
    _prctl(_SET_KEEPCAPS, 1)
    try:
        yield
    finally:
        _prctl(_SET_KEEPCAPS, 0)


def works_without(capability: Capability, attempt: Callable[[], object]) -> bool:
    """Find out whether the kernel lets this thread do something without a capability.

    Args:
        capability: laid aside meanwhile, if it is there.
        attempt: raises `OSError` where it is refused.
    """
    now = Rights.read()
    _set(now.effective & ~(1 << capability), now.permitted, now.inheritable)
    try:
        attempt()
    except OSError:
        return False
    finally:
        _set(now.effective, now.permitted, now.inheritable)
    return True


def keep_only(capabilities: Iterable[Capability]) -> None:
    """Give up all capabilities but these, for ever and for whatever is started; in this thread.

    Those that are not there are not gained. Programs that are started have what is left, as they
    have under ``AmbientCapabilities=`` of systemd. Nothing is asked of the kernel that is so
    already: a filter of system calls may forbid these calls to who needs them no more.

    Raises:
        OSError: the kernel refuses.
    """
    now = Rights.read()
    keep = mask_of(capabilities) & now.permitted
    if now.effective >> Capability.CAP_SETPCAP & 1:
        for number in _members(now.bounding & ~keep):
            _prctl(_CAPBSET_DROP, number)
    if now.ambient & ~keep:
        _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    if (now.effective, now.permitted, now.inheritable) != (keep, keep, keep):
        _set(keep, keep, keep)
    for number in _members(keep & ~Rights.read().ambient):
        _prctl(_CAP_AMBIENT, _AMBIENT_RAISE, number)
    if not now.no_new_privs:
        _prctl(_SET_NO_NEW_PRIVS, 1)


def _members(mask: int) -> list[int]:
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
