"""Settings of property tests: no verdict of theirs depends on how fast the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support import mutants

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
if mutants.UNDER_WAY:
    # `make mutants` runs these tests thousands of times, and two runs of it are to find the same.
    PATIENT = settings(PATIENT, max_examples=40, derandomize=True, database=None)
settings.register_profile("patient", PATIENT)
settings.load_profile("patient")
