"""``[bundle] inject``: wheels and conda packages of this very build, which no channel and no index has."""
