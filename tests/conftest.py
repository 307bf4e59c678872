"""What holds for every property test: the same examples each time, and no verdict on how busy the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("laws", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")
