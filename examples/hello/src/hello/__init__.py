"""Hello over HTTP: the smallest service that is worth shipping."""

__version__ = "0.1.0"
