"""Solve the ``pip:`` lists of an environment.yml with uv: package indexes, Requires-Python, wheels for a lockfile."""
