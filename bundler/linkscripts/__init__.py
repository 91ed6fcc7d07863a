"""Packages' link scripts (CEP 34), run in a sandbox during the build: which may run, and the files that they change."""
