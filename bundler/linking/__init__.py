"""The linker, py-rattler, in a process of its own: what it crashes on is foreign, and it takes its process along."""
