"""Settings of property tests: no verdict of theirs depends on how fast the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", PATIENT)
settings.load_profile("patient")
