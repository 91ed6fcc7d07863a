"""A conda package: what it says of itself, checked before anything acts on it, and its unpacked copy."""
