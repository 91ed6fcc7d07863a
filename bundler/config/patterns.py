"""Patterns for names and versions in bundle.toml."""

__all__ = ["KERNEL", "NAME", "NUMBER", "VERSION"]

NAME = r"^[a-z][a-z0-9-]{0,30}$"
VERSION = r"^[0-9A-Za-z][0-9A-Za-z._+~-]{0,39}$"
NUMBER = r"^[0-9]+\.[0-9]+$"
"""A version of glibc or CUDA, or a compute capability."""
KERNEL = r"^[0-9]+\.[0-9]+(\.[0-9]+)?$"
