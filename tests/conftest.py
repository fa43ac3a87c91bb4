"""Hypothesis profiles: ``quick`` for every save, ``soak`` for long runs; the order of files."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.support.order import longest_first

pytest_plugins = ("pytester",)

_PATIENT = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("soak", max_examples=3000, deadline=None, suppress_health_check=_PATIENT)
settings.load_profile("quick")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have tests that run beside each other begin with the longest files."""
    if hasattr(config, "workerinput"):
        longest_first(items)
