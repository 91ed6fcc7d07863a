"""Who made a bundle: statements (the digest of every file), and SSH signatures of them."""
