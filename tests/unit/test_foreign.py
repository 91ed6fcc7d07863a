"""A foreign document is a model, or one line that says what is wrong."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from bundler.foreign import from_json


class Part(BaseModel):
    name: str


class Document(BaseModel):
    parts: tuple[Part, ...] = ()


def test_a_document_is_a_model() -> None:
    assert from_json(Document, b'{"parts": [{"name": "a"}]}') == Document(parts=(Part(name="a"),))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value: .*"),
        (b"\xff", ".*codec can't decode byte 0xff.*"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", "the document: .*"),
        (b'{"parts": [{"name": "a"}, {}], "other": 1}', r"parts\.1\.name: Field required"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}$"):
        from_json(Document, content)
