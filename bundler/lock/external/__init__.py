"""Solvers of the user's: conda, mamba, micromamba."""
