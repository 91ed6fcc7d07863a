"""Every key of bundle.toml, given what it does not take: plain words, the key's own path, none of pydantic's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from bundler.config.project import load_config
from bundler.config.schema import make_schema
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = '[bundle]\nname = "h"\nversion = "1"\n[services.h]\ncommand = ["python"]\n'
WRONG = ("5", "-1", "1.5", "true", '"x y"', '""', "[]", "[1]", '["x"]', '[["x"]]', "{ a = 1 }", "2026-01-01")
NOT_OURS = re.compile(
    r"Input|Value error|uple|dictionary|literal\[|function-|constrained|instance of|validation|Table\b"
)


def told(tmp_path: Path, text: str) -> str:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(text)
    try:
        load_config(tmp_path)
    except ConfigError as error:
        return error.format_message()
    return ""


def keys_of_all_tables() -> Iterator[tuple[str, str]]:
    """Table and key, of every key that the schema knows."""
    schema = make_schema()
    definitions: dict[str, Any] = schema["$defs"]

    def keys(name: str) -> list[str]:
        return list(definitions[name]["properties"])

    for table, name in (
        ("bundle", "BundleTable"),
        ("services.h", "ServiceTable"),
        ("services.h.health", "Health"),
        ("services.h.schedule", "Schedule"),
        ("services.h.unit", "UnitOverrides"),
        ("platforms.linux-64", "PlatformTable"),
        ("files.a", "FileTable"),
        ("secrets.A", "SecretForm"),
        ("erlang", "ErlangTable"),
        ("channels", "ChannelsTable"),
        ("lock", "LockTable"),
    ):
        for key in keys(name):
            yield table, key
    for key in schema["properties"]:
        yield "", key


@pytest.mark.parametrize(("table", "key"), list(keys_of_all_tables()))
def test_no_key_answers_in_pydantics_words(tmp_path: Path, table: str, key: str) -> None:
    answered = 0
    for value in WRONG:
        line = f"{key} = {value}\n"
        if table in ("bundle", "services.h"):
            head = f"[{table}]\n"
            kept = "\n".join(one for one in BASE.splitlines() if not one.startswith(f"{key} "))
            text = f"{kept}\n".replace(head, head + line)
        elif table:
            text = f"{BASE}[{table}]\n{line}"
        else:
            text = line + re.sub(rf"\[{key}(\..*)?\]\n([a-z].*\n)+", "", BASE)
        message = told(tmp_path, text)
        answered += bool(message)
        assert not NOT_OURS.search(message), message
        if message:
            assert (table or key) in message, message
    assert answered >= 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'command = "python -m x"',
            """h.command: is the text 'python -m x'; it must be a list; write command = ["python", "-m", "x"]""",
        ),
        ("command = \"serve --name 'a b' $PORT\"", 'write command = ["serve", "--name", "a b", "${PORT}"]'),
        ('command = "cd /x && python"', 'write command = ["/bin/sh", "-c", "cd /x && python"] (&&, |, >'),
        ("command = \"sh -c 'x y'\"", 'write command = ["/bin/sh", "-c", "x y"]'),
        ('command = ""', 'write command = ["python", "-m", "hello"]'),
        ('command = ["python"]\nreload = "kill -s HUP $MAINPID"', 'write the signal: reload = "SIGHUP"'),
        ("command = \"say 'x\"", 'write command = ["python", "-m", "hello"]'),
        ('command = ["python", 1]', 'services.h.command.1: is the number 1; it must be text in quotes; write it in'),
        ('command = ["python"]\nafter = "h"', 'is the text \'h\'; it must be a list; write after = ["h"]'),
        ('command = ["python"]\nmemory_max = 8', 'must be text in quotes; write it like memory_max = "8G"'),
        ('command = ["python"]\nmemory_max = "8 GB"', 'write it like "8G"'),
        ('command = ["python"]\nnofile = "many"', "is the text 'many'; it must be a whole number"),
        ('command = ["python"]\nnofile = 1', "services.h.nofile: 1 is out of range: it must be at least 16"),
        ('command = ["python"]\ngpu = "maybe"', "must be true or false"),
        ('command = ["python"]\nhealth = "http://127.0.0.1/"', 'must be a table; write it like health = { http ='),
        ('command = ["python"]\nschedule = "daily"', 'must be a table; write it like schedule = { on_cal'),
        ('command = ["python"]\nenvironment = ["A=1"]', 'must be a table; write it like environment = { NAM'),
        ('command = ["python"]\nenvironment = { A = 1 }', 'h.environment.A: is the number 1; it must be text'),
        ('command = ["python"]\nprofile = "pyhton"', 'must be "python", "beam" or "generic"'),
        ('command = ["python"]\n[files]\na = 5', "files.a: is the number 5; it must be text in quotes"),
        ('command = ["python"]\n[secrets]\nA = "x"', "secrets.A: is the text 'x'; it must be a table or false"),
        ('command = ["python"]\n[secrets.A]\nbytes = 1', "secrets.A.bytes: 1 is out of range: it must be at least 16"),
    ],
)  # fmt: skip
def test_the_line_that_would_do_is_shown(tmp_path: Path, line: str, said: str) -> None:
    assert said in told(tmp_path, BASE.replace('command = ["python"]', line))


def test_one_mistake_in_a_list_is_one_sentence(tmp_path: Path) -> None:
    text = BASE.replace('version = "1"', 'version = "1"\nenvironment = ["a.yml", 5]')
    assert told(tmp_path, text).splitlines()[0] == (
        'bundle.toml: bundle.environment.1: is the number 5; it must be text in quotes; write it in quotes: "5"'
    )
