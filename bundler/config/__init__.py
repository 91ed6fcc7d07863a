"""What bundle.toml and the command line say, checked: :class:`~bundler.config.project.BundleConfig`."""
