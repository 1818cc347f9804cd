"""Settings shared by all tests."""

from hypothesis import settings

# Machines that run tests are shared and slow at times: a slow example is not a wrong one.
settings.register_profile("coracle", deadline=None)
settings.load_profile("coracle")
