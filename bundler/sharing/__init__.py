"""Paths that several packages have: whose file is used, what is refused, and how the prefix is made to agree."""
