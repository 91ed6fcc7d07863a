"""A bundle, or what changes from one to the next, as a page for people who decide: one file that asks nobody."""
