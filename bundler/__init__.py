"""From an environment.yml to a running service on a server without a network."""

__version__ = "0.1.0"
