"""Licenses: what packages say of theirs -> SPDX expressions, and what bundle.toml says of these."""
