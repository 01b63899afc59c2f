"""Hypothesis as all of these tests use it: the same examples every time, without a stopwatch."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "hereabouts", deadline=None, derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("hereabouts")
