"""Coverage-guided fuzzing of the way in: `make fuzz`, or python -m tests.fuzz.fuzz_update.

The first octet chooses the kind of session and whether the rest is a whole stream or the body of an
UPDATE. Seeds are real messages; what reaches new code is kept beside them in `build/fuzz`, for the
next run to go on from. A finding is any exception but those of the protocol; it stops the run, and
its octets are left in a file. Options are those of libFuzzer.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).parents[2] / "build" / "fuzz"
HEADER = 19
SEVERAL, STREAM, NARROW, INTERNAL = 8, 4, 2, 1


def main(arguments: list[str]) -> None:
    """Fuzz until a finding, or as long as the options say."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(
        include=["fsm", "policy", "speaker.wire", "speaker.rib"], enable_loader_override=False
    ):
        fuzzing = importlib.import_module("tests.support.fuzzing")
    targets = [
        fuzzing.Target(
            internal=bool(kind & INTERNAL),
            four_octet_as=not kind & NARROW,
            several=bool(kind & SEVERAL),
        )
        for kind in range(2 * SEVERAL)
    ]

    def one(octets: bytes) -> None:
        if not octets:
            return
        kind, rest = octets[0], octets[1:]
        target = targets[kind % len(targets)]
        target.take(rest if kind & STREAM else fuzzing.updates(rest))

    SEEDS.mkdir(parents=True, exist_ok=True)
    write_seeds(SEEDS, fuzzing.corpus(several=True))
    atheris.Setup([sys.argv[0], *arguments, str(SEEDS)], one)
    atheris.Fuzz()


def write_seeds(directory: Path, messages: list[bytes]) -> None:
    """Write each message once as a body of each kind of session, and once as a stream."""
    for number, message in enumerate(messages):
        for kind in (*range(4), SEVERAL):
            seed = bytes((kind,)) + message[HEADER:]
            (directory / f"{number}-{kind}").write_bytes(seed)
        (directory / f"{number}-stream").write_bytes(bytes((STREAM,)) + message)


if __name__ == "__main__":
    main(sys.argv[1:])
