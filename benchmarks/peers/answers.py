"""How long a daemon lets those wait who ask it something, while it has other things to do.

An `Asker` asks one question after the other from a thread of its own, with a pause between, and
keeps the longest time that an answer took. Each daemon is asked what its operators ask it: Wren for
its status, BIRD for its protocols.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias

from speaker.control.client import ask

Question: TypeAlias = Callable[[], object]

PAUSE = 0.01
"""Seconds between an answer and the next question."""


def ask_wren(directory: Path) -> None:
    """Ask for what ``wren node status`` shows."""
    ask(directory / "wren-run", "status")


def ask_bird(directory: Path) -> None:
    """Ask for what ``birdc show protocols`` shows."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(directory / "bird.ctl"))
        control.sendall(b"show protocols\n")
        heard = b""
        while not heard.endswith(b"\n0000 \n"):
            more = control.recv(1 << 16)
            if not more:
                raise ConnectionResetError("BIRD closed its control socket")
            heard += more


class Asker:
    """Asks while in the ``with`` block.

    Args:
        question: asks once, and returns when the answer is there.

    Attributes:
        answers: how many came.
        slowest: seconds that the longest one took.
    """

    def __init__(self, question: Question) -> None:
        self.answers = 0
        self.slowest = 0.0
        self._question = question
        self._error: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="asker")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                begun = time.monotonic()
                self._question()
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.answers += 1
        except Exception as error:  # told by `facts`, in the thread that can do something about it
            self._error = error

    def facts(self) -> dict[str, object]:
        """Say what was found.

        Raises:
            OSError: a question was not answered.
        """
        if self._error is not None:
            raise OSError(f"asked in vain: {self._error}") from self._error
        return {"answers": self.answers, "slowest_answer_s": round(self.slowest, 3)}
