"""Pages -> HTML, through templates/report. Whatever a bundle says is text there: nothing of it becomes markup.

A page has its style and its script in it, and a policy (CSP) that lets a browser load and run nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from bundler.printable import counted, printable, printable_lines
from bundler.reader.telling import difference, size
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """A page of templates/report."""
    return _templates().get_template(f"{template}.html.j2").render(values).encode()


@cache
def _templates() -> jinja2.Environment:
    directory = templates_dir() / "report"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directory),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    own = {name: f"\n{(directory / name).read_text(encoding='utf-8')}" for name in ("style.css", "script.js")}
    policy = f"style-src '{_hash(own['style.css'])}'; script-src '{_hash(own['script.js'])}'"
    environment.globals |= {
        "style": Markup(own["style.css"]),  # noqa: S704 -- ours
        "script": Markup(own["script.js"]),  # noqa: S704 -- ours
        "policy": f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'",
        "counted": counted,
        "difference": difference,
    }
    environment.filters |= {"size": size, "lines": _lines, "number": lambda value: f"{value:.1f}".removesuffix(".0")}
    return environment


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: Any) -> Any:
    """Nothing hidden: what turns the direction of a text, say, is written out."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """A text of several lines."""
    return escape(printable_lines(text))
