"""Packages' own scripts (CEP 34), run at build in a cage: who may run, what they do, what is packed of it."""
