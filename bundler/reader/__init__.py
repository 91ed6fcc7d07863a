"""A bundle as it lies there: what is in it, whether it is what was built, what changes with it."""
