"""install.sh: what it is rendered from, what it checks of a server, what activation would set there."""
