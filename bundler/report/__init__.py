"""Reports on a bundle, or on the changes between two, as a self-contained page for decision makers."""
