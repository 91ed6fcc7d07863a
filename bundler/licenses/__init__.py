"""Licenses: packages' license fields as SPDX expressions, and the policy for them in bundle.toml."""
