"""Hypothesis as all of these tests use it: the same examples every time, without a stopwatch.

``HYPOTHESIS_PROFILE=search`` looks for new ones instead, thousands for each test; what it finds it prints.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", deadline=None, derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", settings.get_profile("same"), derandomize=False, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
