"""A guestbook: entries in SQLite, a form to add one, and words that no entry may have."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, abort, flash, redirect, render_template, request
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

STATE = Path(os.environ.get("STATE_DIRECTORY", "."))
SPAM = STATE / "spam.txt"
"""A word a line. Each worker reads it once, as it starts."""

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
spam = frozenset(SPAM.read_text(encoding="utf-8").split()) if SPAM.is_file() else frozenset()


def database() -> closing[sqlite3.Connection]:
    """A connection that closes itself; one that finds the database in use waits for ten seconds."""
    return closing(sqlite3.connect(STATE / "guestbook.sqlite", timeout=10, isolation_level=None))


with database() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, author TEXT, text TEXT)")


@app.get("/")
def index() -> str:
    with database() as connection:
        entries = connection.execute("SELECT author, text FROM entry ORDER BY id DESC LIMIT 50").fetchall()
    return render_template("index.html", entries=entries)


@app.post("/")
def add() -> Response:
    """Back to the list with the new entry in it."""
    text = request.form["text"].strip()
    if not text or spam & set(text.lower().split()):
        abort(400)
    with database() as connection:
        connection.execute("INSERT INTO entry (author, text) VALUES (?, ?)", (request.remote_addr, text))
    flash("Thank you.")
    return redirect("/")


@app.get("/healthz")
def healthz() -> str:
    with database() as connection:
        connection.execute("SELECT count(*) FROM entry")
    return "ok\n"
