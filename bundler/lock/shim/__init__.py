"""The executable that conda-lock runs as its solver, and how the two talk."""
