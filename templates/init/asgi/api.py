"""An ASGI application without a framework (https://asgi.readthedocs.io/). Replace ``app`` with yours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAGES: dict[str, dict[str, Any]] = {"/": {"hello": "world"}, "/healthz": {"ok": True}}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer a request; take part in start-up and shutdown."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]  # load a model at lifespan.startup
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    page = PAGES.get(scope["path"])
    body = json.dumps(page or {"error": "there is no such page"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if page else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
