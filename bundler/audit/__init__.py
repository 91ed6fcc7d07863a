"""Known vulnerabilities: an SBOM against a dump of OSV's database that was carried in, without a network."""
