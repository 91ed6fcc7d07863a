"""environment.yml: read, and checked before conda-lock sees it; what conda-lock is shown of it."""
