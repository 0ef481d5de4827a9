"""Profiles of the property tests: the same examples on every run, or, to look for new ones, many others.

`HYPOTHESIS_PROFILE=search pytest tests/property` draws fresh examples, ten times as many.
"""

import os

from hypothesis import HealthCheck, settings

# A shared machine is slow at times, so no test has a deadline and none is failed for drawing slowly.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("ci", _PATIENT, derandomize=True, database=None, max_examples=100)
settings.register_profile("search", _PATIENT, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
