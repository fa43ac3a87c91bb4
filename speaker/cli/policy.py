"""``wren policy``: policies as code: tested with cases, looked at for mistakes, compared."""

from __future__ import annotations

import typer

from speaker.cli.app import EPILOG
from speaker.cli.policy_cases import cases
from speaker.cli.policy_diff import diff
from speaker.cli.policy_lint import lint

app = typer.Typer(
    no_args_is_help=True, help="Test, check and compare policies.", rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Test, check and compare policies, without a running daemon."""


app.command("test", epilog=EPILOG)(cases)
app.command("lint", epilog=EPILOG)(lint)
app.command("diff", epilog=EPILOG)(diff)
