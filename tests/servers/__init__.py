"""Real servers for tests and benchmarks, each started on free ports with a throwaway data folder.

A server is a plain synchronous object around a child process: it belongs to no event loop, so one
started for a whole test session serves tests that each run a loop of their own. `guard` sees to it
that nothing outlives the Python process that started it, however that one ends; `install` brings
what is missing.
"""
