"""The application: three pages and no framework. See https://asgi.readthedocs.io/ for the interface."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import pwd
import sys
from typing import TYPE_CHECKING, Any

from hello import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Modules with compiled code: whether they import says whether the environment arrived in one piece.
COMPILED = ("ctypes", "httptools", "sqlite3", "ssl", "zlib")


def healthz() -> tuple[str, str]:
    return "text/plain; charset=utf-8", "ok\n"


def index() -> tuple[str, str]:
    return "text/plain; charset=utf-8", f"Hello from {platform.node()}, version {__version__}.\n"


def about() -> tuple[str, str]:
    """What this process runs on. Of the secret only a digest, by which two servers can be compared."""
    cookie = os.environ.get("RELEASE_COOKIE")
    facts = {
        "version": __version__,
        "python": sys.executable,
        "python_version": platform.python_version(),
        "prefix": sys.prefix,
        "user": user(),
        "imports": {name: imports(name) for name in COMPILED},
        "cookie_sha256": hashlib.sha256(cookie.encode()).hexdigest() if cookie else None,
    }
    return "application/json", json.dumps(facts, indent=2) + "\n"


def user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # not in /etc/passwd: a container's, say
        return str(os.geteuid())


def imports(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


PAGES: dict[str, Callable[[], tuple[str, str]]] = {"/": index, "/about": about, "/healthz": healthz}


def respond(method: str, path: str) -> tuple[int, str, str]:
    """Status, content type and body for a request."""
    page = PAGES.get(path)
    if page is None:
        return 404, "text/plain; charset=utf-8", "There is no such page.\n"
    if method not in ("GET", "HEAD"):
        return 405, "text/plain; charset=utf-8", "Only GET and HEAD.\n"
    return 200, *page()


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        raise RuntimeError(f"only HTTP is served, not {scope['type']}")
    status, content_type, text = respond(scope["method"], scope["path"])
    body = text.encode()
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
