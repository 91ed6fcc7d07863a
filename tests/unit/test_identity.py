"""The build id: every key of bundle.toml is part of it, or is declared to be location or presentation only."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from bundler.bundle.identity import counted, identify
from bundler.config.fields import Model, NotInBuildId
from bundler.config.model import BundleFile
from bundler.config.platforms import PlatformTable
from bundler.config.project import BundleConfig, load_config
from bundler.inputs import Inputs
from bundler.locked import Lock
from bundler.pack.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

PLATFORM = "linux-64"
NOTHING = Inputs(environments=(), categories=(), local=(), app=())
DOCUMENT = """
[bundle]
name = "hello"
version = "1.0"
[platforms.linux-64]
[platforms.linux-aarch64]
[files]
hello = { source = "src" }
[config]
PORT = "8000"
HOST = "a"
[secrets]
TOKEN = { bytes = 32 }
[hooks]
service = "hello"
before_switch = { command = ["migrate"] }
[services.hello]
command = ["serve"]
environment = { A = "1", B = "2" }
health = { http = "http://127.0.0.1:8000/" }
[services.nightly]
command = ["report"]
schedule = { on_calendar = "daily" }
"""
VALUES: tuple[Any, ...] = (
    *(True, False, 7, 40, 300, 5000, 0.5),
    *("other", "1.9", "generic", "notify", "always", "off", "8G", "50%", "SIGINT", "0600", "15min", "{cache}"),
    *("none", "sname", "flexible", "install", "base32", "credential", "follow", "x86_64_v3", "10.0.0.7", "3d"),
    *("http://127.0.0.1:9/", "127.0.0.1:9"),
    *(["other"], ["MIT"], [443], ["linux-aarch64"], ["10.0.0.0/8"], {"OTHER": "x"}, {"lib/x": "optional"}),
    *({"LimitNOFILE": "9"}, {"After": "x"}, {"OnBootSec": "9"}, {"Alias": "x.service"}, {"Backlog": "9"}),
    *({"https://a.example": ["https://b.example"]}, {"other": {"command": ["x"]}}, {"OTHER": {"bytes": 16}}),
    *({PLATFORM: {}}, {"app": "src"}, {"on_calendar": "weekly"}, {"tcp": "127.0.0.1:9"}),
)
"""Every key of bundle.toml can have one of them, but for tables, of which each key is tried. A new kind of value is
put here."""


@pytest.fixture
def config(tmp_path: Path) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("channels: [x]\ndependencies: [python]\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "bundle.toml").write_text(DOCUMENT)
    return load_config(tmp_path)


def build_id(config: BundleConfig, platform: str = PLATFORM, **others: Any) -> str:
    lock = Lock(path=Path("conda-lock.yml"), platform=platform, packages=())
    return identify(config, lock, replace(NOTHING, **others)).build_id


@dataclass(frozen=True)
class Change:
    """A key with another value: ``whole`` is the table that the search began with."""

    key: str
    whole: Any
    marked: bool


def is_marked(metadata: list[Any]) -> bool:
    return any(isinstance(one, NotInBuildId) for one in metadata)


def changes(value: Any) -> Iterator[Change]:
    """Each key of each table in ``value`` with another value that is valid for it."""
    if isinstance(value, Model):
        for name, info in type(value).model_fields.items():
            old, marked = getattr(value, name), is_marked(info.metadata)
            for new in others(Annotated[(info.annotation, None, *info.metadata)], old):
                yield Change(f"{type(value).__name__}.{name}", value.model_copy(update={name: new}), marked)
            for one in changes(old):
                # of the platforms' tables the one of the platform that is built for counts
                own = isinstance(old, dict) and name == "platforms" and one.whole[PLATFORM] != old[PLATFORM]
                whole = value.model_copy(update={name: one.whole})
                yield Change(one.key, whole, (marked or one.marked) and not own)
    elif isinstance(value, dict):
        for key, old in value.items():
            yield from (replace(one, whole=value | {key: one.whole}) for one in changes(old))


def others(kind: Any, old: Any) -> Iterator[Any]:
    """A value of that kind that means something else, if there is one in VALUES."""
    adapter = TypeAdapter(kind)
    for value in VALUES:
        try:
            new = adapter.validate_python(value)
        except ValidationError:
            continue
        if counted(new) != counted(old):
            yield new
            return


def tables(model: type[Model] = Model) -> set[type[Model]]:
    """All models of bundle.toml."""
    return {model, *(one for below in model.__subclasses__() for one in tables(below))} - {Model}


def test_every_key_changes_the_build_id_or_is_declared_not_to(config: BundleConfig) -> None:
    before = build_id(config)
    seen: dict[str, bool] = {}
    for change in changes(config.tables):
        after = build_id(replace(config, tables=change.whole))
        assert (after == before) == change.marked, change.key
        seen[change.key] = seen.get(change.key, False) or not change.marked
    nested = {"bundle", "erlang", "channels", "lock", "licenses", "hooks", "unit"}
    every = {
        f"{model.__name__}.{name}"
        for model in tables()
        for name in model.model_fields
        if name not in nested and model.__module__.startswith("bundler.")
    }
    assert every - seen.keys() == set(), "no value in VALUES is another one for these"
    assert {key for key, counts in seen.items() if key.startswith("PlatformTable.") and not counts} == set()
    assert sum(seen.values()) > 60


def test_a_reason_is_given_for_what_does_not_count() -> None:
    marks = [info.metadata for model in tables() for info in model.model_fields.values()]
    marks += [[*one.metadata.values()] for one in fields(BundleConfig)]
    reasons = [mark.why for metadata in marks for mark in metadata if isinstance(mark, NotInBuildId)]
    assert len(reasons) > 10
    assert all(reasons)
    assert [one.name for one in fields(BundleConfig) if not is_marked([*one.metadata.values()])] == ["tables"]


def test_a_further_field_of_the_configuration_counts_or_is_refused(config: BundleConfig) -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(BundleConfig):
        made_up: Any = field(default="")

    told = {one.name: getattr(config, one.name) for one in fields(config)}
    ids = {build_id(More(**told, made_up=value)) for value in ("a", "b")}
    assert len(ids | {build_id(config)}) == 3
    with pytest.raises(TypeError, match="NotInBuildId"):
        build_id(More(**told, made_up=Path("x")))


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ('{ A = "1", B = "2" }', '{ B = "2", A = "1" }', False),
        ('PORT = "8000"\nHOST = "a"', 'HOST = "a"\nPORT = "8000"', False),
        ('version = "1.0"', 'version = "1.0"\nowners = { "a*" = "x", "b*" = "y" }', False),
        ('version = "1.0"', 'version = "1.0"\n[services.another]\ncommand = ["x"]', False),
        ("[platforms.linux-64]\n", "", True),
        ("[platforms.linux-aarch64]\n", '[platforms.linux-aarch64]\nglibc = "2.31"\n', True),
    ],
)
def test_the_order_of_what_systemd_sees_counts(
    config: BundleConfig, tmp_path: Path, before: str, after: str, same: bool
) -> None:
    assert before in DOCUMENT
    (tmp_path / "bundle.toml").write_text(DOCUMENT.replace(before, after))
    assert (build_id(load_config(tmp_path)) == build_id(config)) == same


def test_the_order_of_tables_and_names_does_not_count(tmp_path: Path, config: BundleConfig) -> None:
    head, hello, nightly = DOCUMENT.partition("[services.hello]")[0], *DOCUMENT.split("[services.")[1:]
    (tmp_path / "bundle.toml").write_text(f"{head}[services.{nightly}[services.{hello}")
    assert build_id(load_config(tmp_path)) == build_id(config)
    ids = set()
    for names in ('["a", "b"]', '["b", "a", "b"]'):
        text = DOCUMENT.replace('version = "1.0"', f'version = "1.0"\nlink_scripts = {names}')
        (tmp_path / "bundle.toml").write_text(text)
        ids.add(build_id(load_config(tmp_path)))
    assert len(ids) == 1


def test_the_platform_and_what_is_read_count(config: BundleConfig) -> None:
    member = Member(path="app/x", mode=0o644, content=b"x")
    ids = [
        build_id(config),
        build_id(config, "linux-aarch64"),
        build_id(config, environments=((Path("environment.yml"), b"variables: {A: b}"),)),
        build_id(config, app=(member,)),
        build_id(config, app=(replace(member, mode=0o755),)),
        build_id(config, app=(replace(member, content=b"y"),)),
    ]
    assert len(set(ids)) == len(ids)
    assert BundleFile.model_validate({"bundle": {"name": "x"}}).platforms.get(PLATFORM, PlatformTable()).cuda is None
