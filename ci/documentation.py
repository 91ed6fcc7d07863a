#!/usr/bin/env python3
"""`make docs`: the documentation of a checkout as a site, in build/site.

The site generator has one language a site, so it is run twice: the Chinese pages of the second site, whose language is
Chinese, take the place of those of the first. All pages, links and files are the same in both.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DESCRIPTION = "把 environment.yml 变成一个文件，它在没有网络的服务器上自己完成安装，并作为 systemd 服务运行"  # noqa: RUF001
IN_CHINESE = {
    "site_description": DESCRIPTION,
    "site_dir": "build/site-zh",
    "language": "zh",
}


def main(checkout: Path) -> None:
    build = checkout / "build"
    configuration = checkout / ".zensical.zh.toml"  # zensical wants it beside docs
    configuration.write_text(chinese((checkout / "zensical.toml").read_text(encoding="utf-8")), encoding="utf-8")
    try:
        for words in ((), ("--config-file", configuration)):
            command = [sys.executable, "-m", "zensical", "build", "--strict", *words]
            if status := subprocess.run(command, cwd=checkout, check=False).returncode:
                sys.exit(status)
    finally:
        configuration.unlink()
    shutil.rmtree(build / "site" / "zh")
    shutil.move(build / "site-zh" / "zh", build / "site")
    shutil.rmtree(build / "site-zh")


def chinese(configuration: str) -> str:
    """The same with other values."""
    for key, value in IN_CHINESE.items():
        configuration, count = re.subn(rf'^{key} = ".*"$', f'{key} = "{value}"', configuration, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"error: zensical.toml: {count} lines begin with {key}, instead of 1")
    return configuration


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else CHECKOUT)
