"""Software bills of materials: what a bundle, or a lockfile, consists of, as CycloneDX."""
