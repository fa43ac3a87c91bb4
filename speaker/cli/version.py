"""``wren version``: of the command, and of the daemon if one runs."""

from __future__ import annotations

from speaker import __version__
from speaker.cli.options import Output, OutputOption, RunDirOption
from speaker.cli.tables import facts, write_json, write_lines
from speaker.control.client import ask
from speaker.control.protocol import ControlError
from speaker.control.views import VersionView


def version(run_dir: RunDirOption, output: OutputOption = Output.TEXT) -> None:
    """Show the version of this command and of the running daemon."""
    try:
        daemon: VersionView | None = ask(run_dir, "version")
    except ControlError:
        daemon = None
    if output is Output.JSON:
        write_json({"command": __version__, "daemon": daemon})
        return
    running = daemon["version"] if daemon else "not running"
    write_lines(facts([("command", __version__), ("daemon", running)]))
