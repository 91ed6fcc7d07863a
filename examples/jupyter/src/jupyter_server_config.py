"""Read by Jupyter Server at its start. The token comes as JUPYTER_TOKEN, which it knows by itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

notebooks = Path(os.environ["STATE_DIRECTORY"], "notebooks")
notebooks.mkdir(exist_ok=True)

c = get_config()  # noqa: F821 -- Jupyter's own, given to this file
c.ServerApp.ip = os.environ.get("HOST", "127.0.0.1")
c.ServerApp.port = int(os.environ.get("PORT", "8888"))
c.ServerApp.port_retries = 0  # the port is what the health check asks and a proxy is told: this one or none
c.ServerApp.open_browser = False
c.ServerApp.root_dir = str(notebooks)
c.KernelManager.transport = "ipc"  # kernels are nobody else's to connect to: no ports, sockets in a directory of ours
# A login shell, as terminals have by default, reads /etc/profile, which sets PATH anew: without the release's python.
c.ServerApp.terminado_settings = {"shell_command": [shutil.which("bash") or "/bin/sh"]}
