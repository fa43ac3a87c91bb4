"""The process itself: small, and gone when its speaker is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from speaker.bfd.loop import Loop
from speaker.bfd.words import encode_line

ROOT = Path(__file__).parents[3]


def test_the_process_loads_nothing_but_the_standard_library_and_bfd() -> None:
    probe = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import speaker.bfd.loop, json\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-I", "-S", "-c", probe], capture_output=True, text=True, check=True
    )
    loaded = json.loads(out.stdout)
    tops = {name.partition(".")[0] for name in loaded}
    assert {top for top in tops if top not in sys.stdlib_module_names} <= {
        *("fsm", "speaker", "__main__", "__mp_main__")
    }
    assert not tops & {"asyncio", "logging", "threading", "uvloop", "pydantic", "pyroute2"}
    assert {name for name in loaded if name.startswith("speaker")} == {
        *("speaker", "speaker.bfd", "speaker.bfd.loop", "speaker.bfd.watching"),
        *("speaker.bfd.words", "speaker.bfd.datagrams", "speaker.bfd.ears", "speaker.bfd.sorting"),
        *("speaker.bfd.words", "speaker.bfd.datagrams", "speaker.bfd.door", "speaker.bfd.line"),
        *("speaker.bfd.watched", "speaker.bfd.echo"),
    }


def test_it_answers_and_ends_with_its_speaker() -> None:
    ours, theirs = socket.socketpair()
    # In a thread: nobody is to be given another priority here.
    loop = Loop(theirs)
    served = threading.Thread(target=loop.serve)
    served.start()
    with ours, ours.makefile("rb") as answers:
        ours.sendall(encode_line("show"))
        shown = json.loads(answers.readline())
        assert shown["word"] == "sessions"
        assert shown["sessions"] == []
        assert shown["process"]["trouble"] == ""
    served.join(10)
    assert not served.is_alive()


def test_half_a_line_waits_for_its_end() -> None:
    ours, theirs = socket.socketpair()
    loop = Loop(theirs)
    served = threading.Thread(target=loop.serve)
    served.start()
    with ours, ours.makefile("rb") as answers:
        line = encode_line("show")
        ours.sendall(line[:5])
        ours.sendall(line[5:] + line)
        assert [json.loads(answers.readline())["word"] for _ in range(2)] == ["sessions"] * 2
    served.join(10)
