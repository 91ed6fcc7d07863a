"""What a build reads of the project, once: what is changed meanwhile is another build's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundler.bundle.identity import identify
from bundler.config.project import load_config
from bundler.errors import ConfigError
from bundler.inputs import read_inputs
from bundler.lock.environment.userurls import user_urls
from bundler.lock.request import checked_environment, lock_request
from bundler.locked import Lock
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from bundler.config.project import BundleConfig

CONFIG = '[bundle]\nname = "a"\nversion = "1"\n[services.a]\ncommand = ["x"]\n'
SPEC = "channels: [https://one.example/c]\ndependencies: [python]\nvariables: {A: one}\n"


@pytest.fixture
def config(tmp_path: Path) -> BundleConfig:
    (tmp_path / "bundle.toml").write_text(CONFIG)
    (tmp_path / "environment.yml").write_text(SPEC)
    return load_config(tmp_path)


@pytest.mark.parametrize("then", [SPEC.replace("one", "two").replace("python", "ruby"), None])
def test_an_environment_file_that_changes_meanwhile(config: BundleConfig, then: str | None) -> None:
    inputs = read_inputs(config, QuietProgress())
    (path,) = config.environments
    if then is None:
        path.unlink()
    else:
        path.write_text(then)
    request = lock_request(config, "rattler", texts=inputs.environments, injected=inputs.injected)
    assert checked_environment(request).files == ((path, SPEC.encode()),)
    assert user_urls(inputs.environments, ()) == ("https://one.example/c",)
    assert inputs.variables == {"A": "one"}
    identity = identify(config, Lock(path=Path("x"), platform="linux-64", packages=()), inputs)
    path.write_text(SPEC)
    again = read_inputs(config, QuietProgress())
    assert identify(config, Lock(path=Path("x"), platform="linux-64", packages=()), again) == identity


def test_without_what_was_read_the_file_is(config: BundleConfig) -> None:
    config.environments[0].write_text(SPEC.replace("one", "two"))
    assert b"two" in checked_environment(lock_request(config, "rattler")).files[0][1]


def test_a_file_that_cannot_be_read(config: BundleConfig, tmp_path: Path) -> None:
    config.environments[0].unlink()
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_inputs(config, QuietProgress())
    assert caught.value.where == str(tmp_path / "environment.yml")
    shutil.rmtree(tmp_path)
