"""conda-lock's content hash of an environment, and what goes into it."""
