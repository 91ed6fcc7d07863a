"""Known vulnerabilities: compares an SBOM with a local dump of OSV's database, without a network."""
