"""The application, plain ASGI: ``uvicorn inference.app:app``.

``POST /predict`` takes ``{"samples": [[5.1, 3.5, 1.4, 0.2]]}``; ``GET /about`` says with which libraries it predicts.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn

from inference.model import FEATURES, Model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LARGEST = 1 << 20  # bytes of a request

model = Model()


class BadRequest(Exception):  # noqa: N818 -- an answer, not a fault
    """What was sent is not what can be predicted from."""


def about() -> dict[str, Any]:
    return {"numpy": np.__version__, "scikit-learn": sklearn.__version__}


def predict(body: bytes) -> dict[str, Any]:
    return {"kinds": model.predict(samples(body))}


def samples(body: bytes) -> list[list[float]]:
    try:
        found = json.loads(body)["samples"]
        rows = [[float(value) for value in row] for row in found]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest('expected {"samples": [[…], …]}') from error
    if not rows or any(len(row) != FEATURES for row in rows):
        raise BadRequest(f"expected at least one sample, each of {FEATURES} numbers")
    return rows


async def respond(method: str, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
    """Status and document for a request; a ``body`` of None was too large to be read."""
    if body is None:
        return 413, {"error": f"at most {_LARGEST} bytes"}
    if (method, path) == ("GET", "/healthz"):
        return 200, {"status": "ok"}
    if (method, path) == ("GET", "/about"):
        return 200, about()
    if (method, path) == ("POST", "/predict"):
        try:
            # In a thread: a large request must not keep the health check waiting.
            return 200, await asyncio.to_thread(predict, body)
        except BadRequest as error:
            return 400, {"error": str(error)}
    return 404, {"error": "there is no such page"}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        raise RuntimeError(f"only HTTP is served, not {scope['type']}")
    status, document = await respond(scope["method"], scope["path"], await received(receive))
    text = json.dumps(document).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def received(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes | None:
    """The request's body; None if it is too large."""
    body = b""
    while len(body) <= _LARGEST:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
    return None
