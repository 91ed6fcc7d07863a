"""Wheels: reading them, checking whether they fit an environment, and installing them without running their code."""
