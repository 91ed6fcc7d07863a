"""What a package's archive says of where it comes from: its license, its makers, the projects that it repackages."""
