"""The ``pip:`` lists of an environment.yml, solved with uv: package indexes, Requires-Python, wheels for a lockfile."""
