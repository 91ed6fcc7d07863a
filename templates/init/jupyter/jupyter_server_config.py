"""Jupyter Server's own settings; what differs between servers is in bundle.toml's [config]."""

c = get_config()  # noqa: F821 -- Jupyter runs this file with that name defined

c.ServerApp.open_browser = False
c.ServerApp.root_dir = "."  # the service's state directory
c.ServerApp.terminals_enabled = False
c.ServerApp.quit_button = False  # systemd starts and stops it
# Shut down idle kernels to free their memory.
c.MappingKernelManager.cull_idle_timeout = 12 * 3600
