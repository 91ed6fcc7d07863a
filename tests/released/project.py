"""The project of the bundles that are kept: a web server, a service that the next version drops, a nightly job.

It needs nothing but a shell and busybox, so that its bundles are small, and all that it is made of is neutral: any
version of conda-bundler reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinychannel import PLACEHOLDER, File, index, make_package

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "NEXT", "VERSION", "make_channel", "make_project"]

NAME, VERSION, NEXT = "hello", "1.0", "2.0"
HEAD = """
[bundle]
name = "hello"
version = "{version}"
description = "A bundle of an earlier conda-bundler"
[files]
"text" = "text"
[config]
PORT = "8000"
MARK = "{version}"
GREETING = "good morning"
[secrets]
API_TOKEN = {{ bytes = 16, format = "hex" }}
KEY = {{ bytes = 16, format = "base64url", delivery = "credential" }}
{more}
[services.hello]
command = ["serve", "{{app}}/text"]
profile = "generic"
environment = {{ RELEASE = "{{env}}" }}
health = {{ http = "http://127.0.0.1:${{PORT}}/", start_period = 1, timeout = 5 }}
[services.hello-nightly]
command = ["report"]
profile = "generic"
environment = {{ RELEASE = "{{env}}" }}
schedule = {{ on_calendar = "daily" }}
"""
FIRST = """
[services.hello-old]
command = ["idle"]
profile = "generic"
environment = { RELEASE = "{env}" }
"""
SECOND = """
[services.hello-new]
command = ["idle"]
profile = "generic"
environment = { RELEASE = "{env}" }
"""
SERVE = f"""#!/bin/sh
# {PLACEHOLDER}/bin/serve; what it does itself is busybox's alone, so that faults count no call of it
cd "$STATE_DIRECTORY" || exit 1
[ -e data ] || {{ yes | busybox head -c 65536 >.data && busybox sync && busybox mv .data data; }} || exit 1
busybox mkdir -p "$RUNTIME_DIRECTORY/www" || exit 1
{{
    echo "$MARK: $GREETING"
    echo "token $(printf %s "$API_TOKEN" | busybox sha256sum)"
    echo "key $(busybox sha256sum <"$CREDENTIALS_DIRECTORY/KEY")"
    echo "data $(busybox sha256sum <data)"
    echo "text $(busybox cat "$1")"
}} >"$RUNTIME_DIRECTORY/www/index.html"
# This shell stays, for it has the release on its command line.
busybox httpd -f -p "127.0.0.1:$PORT" -h "$RUNTIME_DIRECTORY/www"
"""
IDLE = f"#!/bin/sh\n# {PLACEHOLDER}/bin/idle\nwhile :; do /bin/sleep 1; done\n"
REPORT = f'#!/bin/sh\n# {PLACEHOLDER}/bin/report\necho "report of $MARK" >>"$STATE_DIRECTORY/reports"\n'


def make_channel(channel: Path) -> Path:
    """The one package that the project needs."""
    scripts = {"bin/serve": SERVE, "bin/idle": IDLE, "bin/report": REPORT}
    files = {path: File(content=text.encode(), mode=0o755, prefix="text") for path, text in scripts.items()}
    make_package(channel, "hello", "1.0", files=files, depends=["__glibc >=2.17,<3.0.a0"])
    index(channel)
    return channel


def make_project(project: Path, *, version: str = VERSION) -> Path:
    """The project at its first version, or at the next one: a service goes, one comes, and so does a secret."""
    first = version == VERSION
    more = "" if first else 'ADDED = { bytes = 16, format = "hex" }'
    project.mkdir(parents=True)
    (project / "bundle.toml").write_text(HEAD.format(version=version, more=more) + (FIRST if first else SECOND))
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [hello]\n")
    (project / "text").write_text(f"of {version}\n")
    return project
