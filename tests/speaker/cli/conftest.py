"""Fixtures of the commands' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stores import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty datastore."""
    return Store(tmp_path / "etc")
