"""Reading, resolving and checking configurations. Imports only ``coracle.api`` of Coracle."""
