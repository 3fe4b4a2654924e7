"""Settings of property tests: no verdict of theirs depends on how fast the machine is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "MUTANT_UNDER_TEST" in os.environ:
    # `make mutants` runs these tests thousands of times, and two runs of it are to find the same.
    PATIENT = settings(PATIENT, max_examples=40, derandomize=True, database=None)
settings.register_profile("patient", PATIENT)
settings.load_profile("patient")
