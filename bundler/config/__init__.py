"""Read and validate bundle.toml and the command line: :class:`~bundler.config.bundleconfig.BundleConfig`."""
