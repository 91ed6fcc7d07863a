"""Smoke tests: installing a bundle on a throwaway machine and checking its services."""
