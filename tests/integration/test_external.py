"""`--solver`: what another solver, or conda-lock itself, has to say reaches the user.

No conda, mamba or micromamba can be had from a package index, so these print what the real ones do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from prefixkit import Steps
from tinychannel import index, make_package

from bundler.errors import LockError
from bundler.lock import runner
from bundler.lock.condalock import LockRequest, write_lockfile

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache")]

URL = "https://conda.example/forge/linux-64/repodata.json"
CONDA = json.dumps(
    {
        "caused_by": "ConnectionError(\"HTTPSConnectionPool(host='conda.example', port=443): Max retries exceeded\")",
        "exception_name": "CondaHTTPError",
        "message": f"HTTP 000 CONNECTION FAILED for url <{URL}>\nElapsed: -\n\nAn HTTP error occurred.\n",
    }
)
MAMBA = f"critical libmamba Multiple errors occured:\n    Download error (6) Could not resolve host [{URL}.zst]"


def request_for(tmp_path: Path, channel: str, **options: str) -> LockRequest:
    environment = tmp_path / "environment.yml"
    environment.write_text(yaml.safe_dump({"channels": [channel], "dependencies": ["leaf"]}))
    return LockRequest(
        environments=(environment,),
        lockfile=tmp_path / "conda-lock.yml",
        platforms=("linux-64",),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("name", "version", "output", "said"),
    [
        (
            "conda",
            "conda 26.7.0",
            CONDA,
            "conda received nothing from https://conda.example/forge: it cannot be reached",
        ),
        ("mamba", "2.5.0", MAMBA, "mamba received nothing from https://conda.example/forge: Could not resolve host"),
    ],
)
def test_a_host_that_is_out_of_reach(tmp_path: Path, name: str, version: str, output: str, said: str) -> None:
    program, text = tmp_path / name, tmp_path / "text"
    text.write_text(output)
    where = "" if name == "conda" else ">&2"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo {version}; exit 0; }}\ncat {text} {where}\nexit 1\n'
    )
    program.chmod(0o755)
    with pytest.raises(LockError) as raised:
        write_lockfile(request_for(tmp_path, "https://conda.example/forge", solver=str(program)))
    assert said in raised.value.message
    assert "Relax" not in raised.value.format_message()
    assert "Traceback" not in raised.value.format_message()


def test_what_conda_lock_warns_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_package(tmp_path / "channel", "leaf", "1.0")
    index(tmp_path / "channel")
    warning = tmp_path / "conda-lock"
    real = Path(sys.executable).with_name("conda-lock")
    warning.write_text(f'#!/bin/sh\necho WARNING:conda_lock.conda_solver:mind the gap >&2\nexec {real} "$@"\n')
    warning.chmod(0o755)
    monkeypatch.setattr(runner, "conda_lock_command", lambda: [str(warning)])
    steps = Steps()
    write_lockfile(request_for(tmp_path, (tmp_path / "channel").as_uri()), steps)
    assert "note: conda-lock warns: mind the gap" in steps.told
