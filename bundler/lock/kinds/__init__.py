"""Lockfiles of other tools, a module a format. :mod:`bundler.lock.read` is where they are asked for."""
