"""Whose sessions are up, in a small file of the run directory that outlasts the process.

A start that finds it knows for whom it has to wait before it chooses routes (`speaker.recovery`):
for those peers alone, not for any that never was there. The run directory is emptied when the
machine starts, and so are the kernel's tables. A file that cannot be read is no reason not to
start: then nothing is known, and the start goes on as if there were none.

Standards: RFC 4724 §4.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fsm.family import Family, parse_family
from speaker.datastore.files import OWNERS_ONLY, FileChange, write_files
from speaker.errors import ConfigError

STATE_FILE = "sessions.json"


def load(run_dir: Path) -> dict[str, dict[Family, bool]] | None:
    """Read whose sessions were up; None if there is no file.

    Returns:
        by the peers' names their families, and whether they say when they have told all of them.

    Raises:
        ConfigError: the file cannot be read or made sense of.
    """
    file = run_dir / STATE_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return {
            str(name): {parse_family(word): bool(ended) for word, ended in words.items()}
            for name, words in data["sessions"].items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"cannot read {file}, which says whose sessions were up: {error}",
            "routes are chosen when every peer has told all it has; the file is written anew",
        ) from None


def save(run_dir: Path, sessions: Mapping[str, Mapping[Family, bool]]) -> None:
    """Write whose sessions are up.

    Raises:
        ConfigError: the file cannot be written.
    """
    words = {
        name: {str(family): ended for family, ended in sorted(told.items())}
        for name, told in sorted(sessions.items())
    }
    text = json.dumps({"sessions": words}, indent=1)
    write_files([FileChange(run_dir / STATE_FILE, None, text, OWNERS_ONLY)])


def forget(run_dir: Path) -> None:
    """Nobody is to be waited for."""
    (run_dir / STATE_FILE).unlink(missing_ok=True)
