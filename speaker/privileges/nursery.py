"""Where the BFD process is born: a thread that has other rights and another priority than we.

A process that is started has the scheduling and the rights of the thread that starts it. So this
thread takes real-time priority while that may still be had, gives up whatever the BFD process does
not need, and waits; the process can be started anew at any time, and nobody has to keep the right
to do so. Where there is no nursery, as in somebody else's program, it is started as ever.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

Birth = Callable[[], None]

_NICE = -10


class Nursery:
    """The thread.

    Args:
        prepare: called in it, to make it what children are to be.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        self._births: queue.SimpleQueue[Birth] = queue.SimpleQueue()
        ready: Future[None] = Future()
        threading.Thread(
            target=self._live, args=(prepare, ready), name="bfd-nursery", daemon=True
        ).start()
        ready.result()

    def spawn(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program as `subprocess.Popen` does.

        Raises:
            OSError: it cannot be started.
        """
        born: Future[subprocess.Popen[bytes]] = Future()

        def bear() -> None:
            try:
                born.set_result(subprocess.Popen(argv, **options))
            except BaseException as error:
                born.set_exception(error)

        self._births.put(bear)
        return born.result()

    def _live(self, prepare: Callable[[], None], ready: Future[None]) -> None:
        try:
            hurry()
            prepare()
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        while True:
            self._births.get()()


_open: list[Nursery] = []


def open_nursery(prepare: Callable[[], None]) -> None:
    """Have children of this process born in a nursery from now on."""
    _open[:] = [Nursery(prepare)]


def spawn(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program: in the nursery, if there is one.

    Raises:
        OSError: it cannot be started.
    """
    if _open:
        return _open[0].spawn(argv, **options)
    return subprocess.Popen(argv, **options)


def hurry() -> None:
    """Ask for this thread, and what it starts, to be run before others; if may be."""
    with suppress(OSError):
        priority = os.sched_get_priority_min(os.SCHED_RR) + 1
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
