"""Connectors, each in a package of its own. They never import each other."""
