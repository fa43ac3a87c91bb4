"""``python -m lab`` is ``wren lab``."""

from __future__ import annotations

from lab.cli import app

if __name__ == "__main__":
    app(prog_name="python -m lab")
