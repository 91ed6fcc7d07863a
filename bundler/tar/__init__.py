"""Write and read tar files, in one form only."""
