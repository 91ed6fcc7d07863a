"""Tars, written (write) and read (read) in one form."""
