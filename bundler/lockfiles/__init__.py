"""Lockfiles, whatever wrote them -> :class:`~bundler.locked.Lock`: a module a format, one grammar for all (checked)."""
