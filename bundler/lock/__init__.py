"""From environment.yml to conda-lock.yml, and from there to a list of packages."""
