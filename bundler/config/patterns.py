"""What names and versions look like in bundle.toml, for the models and for who reads it without them."""

__all__ = ["KERNEL", "NAME", "NUMBER", "VERSION"]

NAME = r"^[a-z][a-z0-9-]{0,30}$"
VERSION = r"^[0-9A-Za-z][0-9A-Za-z._+~-]{0,39}$"
NUMBER = r"^[0-9]+\.[0-9]+$"
"""A version of glibc or CUDA, a compute capability."""
KERNEL = r"^[0-9]+\.[0-9]+(\.[0-9]+)?$"
