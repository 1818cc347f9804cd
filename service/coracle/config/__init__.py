"""Reading, resolving and checking configurations.

Of Coracle it imports only ``coracle.api`` and ``coracle.java``.
"""
