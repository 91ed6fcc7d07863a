"""``python -m hello``: read the configuration from the environment and serve."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from hello.app import app


def port(text: str) -> int:
    """A TCP port from its digits; leaves with one line on standard error if it is none."""
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    sys.exit(f"hello: PORT must be a number from 1 to 65535, not {text!r}")


def main() -> None:
    """Serve until SIGTERM or SIGINT; requests that are under way are answered first."""
    config = uvicorn.Config(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=port(os.environ.get("PORT", "8000")),
        http="httptools",
        ws="none",
        lifespan="off",
        server_header=False,
        log_config=None,  # ours: everything to standard output, where the journal takes it
        timeout_graceful_shutdown=10,
    )
    # No times: the journal has them.
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
