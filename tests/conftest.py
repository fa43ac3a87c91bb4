"""Hypothesis profiles: ``quick`` for every save, ``soak`` for long runs; pytest in a test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ("pytester",)

_PATIENT = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("soak", max_examples=3000, deadline=None, suppress_health_check=_PATIENT)
settings.load_profile("quick")
