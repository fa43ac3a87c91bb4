"""StayRTR from Debian, a cache of the RPKI-to-Router protocol, in a node of a lab.

It reads its VRPs from a file, in the form that rpki-client writes, and again at a SIGHUP.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from lab import RunningNode
from lab.errors import LabError

PORT = 8282

Said: TypeAlias = tuple[str, int, int]
"""A prefix, the longest length inside, and the AS."""


class StayRtr:
    """One daemon; it stands still until it is started.

    Args:
        node: a host, in whose network namespace it runs.
        directory: for its file and its log.
        version: the newest that it speaks.
    """

    def __init__(self, node: RunningNode, directory: Path, *, version: int = 1) -> None:
        self._node = node
        self._file = directory / "vrps.json"
        self._log = directory / "stayrtr.log"
        self._version = version
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, *said: Said) -> None:
        """Put VRPs into its file."""
        roas = [
            {"prefix": prefix, "maxLength": longest, "asn": f"AS{asn}", "ta": "lab"}
            for prefix, longest, asn in said
        ]
        text = json.dumps({"metadata": {"counts": len(roas)}, "roas": roas})
        fresh = self._file.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self._file)

    def say(self, *said: Said) -> None:
        """Have it say these from now on, and no others."""
        self.write(*said)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Start it.

        Raises:
            LabError: it is not installed.
        """
        program = shutil.which("stayrtr")
        if program is None:
            raise LabError("stayrtr is not installed: apt-get install stayrtr")
        argv = [program, "-bind", f":{PORT}", "-cache", str(self._file), "-checktime=false"]
        # The file is read again when we say so, not each hour.
        argv += ["-refresh", "3600", "-metrics.addr", "", "-protocol", str(self._version)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._node.inside(argv), stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def stayrtr(node: RunningNode, directory: Path, *said: Said, version: int = 1) -> Iterator[StayRtr]:
    """Run one for the time of a ``with`` block."""
    cache = StayRtr(node, directory, version=version)
    cache.write(*said)
    cache.start()
    try:
        yield cache
    finally:
        cache.stop()
