"""Signed bundles: statements (the digest of every file) and SSH signatures of them."""
