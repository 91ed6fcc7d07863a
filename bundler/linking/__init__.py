"""The linker, py-rattler, in a separate process, since untrusted packages may crash it."""
