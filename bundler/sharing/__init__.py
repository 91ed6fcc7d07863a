"""Paths that several packages provide: which file is used, and which conflicts are errors."""
