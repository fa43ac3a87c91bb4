"""The command ``wren``, also as ``python -m speaker``.

Only the question for the version is answered here, because nothing has to be loaded for it; all
else is `speaker.cli.app`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from speaker import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        sys.stdout.write(f"wren {__version__}\n")
        return 0
    # What is imported stays; to look for garbage in it meanwhile takes a tenth of the start.
    gc.set_threshold(100_000)
    # Imported here: typer takes longer to load than the answer above takes to give.
    from speaker.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
