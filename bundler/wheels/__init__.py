"""Wheels: what is in one, whether it fits an environment, and how it gets there without running anybody's code."""
