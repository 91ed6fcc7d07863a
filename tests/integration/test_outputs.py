"""What `--json` prints follows the schema that `conda-bundler schema COMMAND` prints, and says all that is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fastjsonschema
import pytest
from smallbundle import command, make_channel, make_project

from bundler.outputs import OUTPUTS, output_schema
from bundler.smoke.report import Health, HttpAnswer, Install, ServiceReport, SmokeReport

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")


def closed(schema: Any) -> Any:
    """Without room for a key that the schema does not name: what is printed is published."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def check(name: str, document: Any) -> None:
    fastjsonschema.compile(closed(output_schema(name)))(document)


def answer(name: str, *words: str | Path, status: int = 0, schema: str = "") -> Any:
    done = command(name, *words, "--json")
    assert done.returncode == status, done.stderr
    document = json.loads(done.stdout)
    check(schema or name, document)
    return document


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("outputs")
    make_channel(room / "channel")
    make_project(room / "project")
    return room


def test_a_project_from_lock_to_diff(room: Path) -> None:
    project = room / "project"
    channel = ("--channel", (room / "channel").as_uri())
    answer("lock", project, *channel, "--check", status=4, schema="error")
    locked = answer("lock", project, *channel)
    assert locked["packages"] == {"linux-64": 3}
    assert answer("lock", project, *channel, "--check")["fresh"] is True

    words = ("build", project, *channel, "--output-dir", room / "dist")
    done = command(*words, "--json", "--progress", "json")
    (built,) = json.loads(done.stdout)["bundles"]
    check("build", json.loads(done.stdout))
    told = [json.loads(line) for line in done.stderr.splitlines()]
    for event in told:
        check("progress", event)
    assert {"step", "begin", "end"} <= {event["event"] for event in told}
    tar = built["path"]

    done = command(*words, "--format", "run")
    first, *rest = done.stdout.splitlines()
    assert first.split()[0].endswith("/small-1.0-linux-64.run")
    assert first.split()[-1] == built["release"]
    assert [line.split()[0] for line in rest] == ["contains", "services", "try", "on"]
    assert "3 packages" in rest[0]
    assert rest[1].split(maxsplit=1)[1] == "other, small"
    assert rest[2].endswith(f"conda-bundler smoke {first.split()[0]}")
    assert "sh small-1.0-linux-64.run" in rest[3]

    assert answer("inspect", tar)["$schema"] == "urn:conda-bundler:output:inspect:1"
    assert answer("verify", tar)["verified"] is True
    assert answer("sbom", tar)["sbom"]["bomFormat"] == "CycloneDX"
    assert answer("provenance", tar)["provenance"]["_type"].startswith("https://in-toto.io/")
    affected = {"package": {"ecosystem": "PyPI", "name": "x"}, "versions": ["1"]}
    (room / "x.json").write_text(json.dumps({"id": "X-1", "affected": [affected]}))
    audit = answer("audit", tar, "--db", room / "x.json", "--require-coverage", status=7)
    assert {one["component"] for one in audit["uncovered"]} == {"library", "tool", "twin"}
    assert answer("diff", tar, tar)["different"] is False
    config = (project / "bundle.toml").read_text()
    other = make_project(room / "newer", environment="tool >=2", config=config.replace("fast", "slow"))
    newer = answer("build", other, *channel, "--output-dir", room / "newer-dist")["bundles"][0]["path"]
    difference = answer("diff", tar, newer, "--exit-code", status=1)
    assert difference["packages"]
    assert difference["config"]


def test_commands_that_need_no_bundle(tmp_path: Path) -> None:
    answer("init", tmp_path / "hello")
    answer("completion", "bash")
    answer("inspect", tmp_path / "hello" / "bundle.toml", status=7, schema="error")


def test_an_error_is_an_event_with_progress_as_json(tmp_path: Path) -> None:
    done = command("build", tmp_path, "--progress", "json")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    check("progress", json.loads(line))
    assert json.loads(line)["event"] == "error"
    assert json.loads(line)["exit_code"] == 2


def test_a_smoke_report() -> None:
    service = ServiceReport(
        unit="hello.service", load_state="loaded", active_state="active", sub_state="running", kind="exec",
        result="success", main_pid=1, restarts=0, health=Health(unit="hello-health.service", status=0, seconds=0.1),
        http=HttpAnswer(url="http://127.0.0.1/", status=200, body="ok"), journal=("line",),
    )  # fmt: skip
    report = SmokeReport(
        bundle="x.tar", name="hello", release="1", system="Debian", systemd=252, boot_seconds=1.0,
        install=Install(status=0, seconds=1.0, output=""), services=(service,),
    )  # fmt: skip
    document = json.loads(json.dumps(report.document()))
    check("smoke", {"$schema": "urn:conda-bundler:output:smoke:1"} | document)


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_schema_is_printed_and_takes_no_other_output(name: str) -> None:
    done = command("schema", name)
    assert done.returncode == 0, done.stderr
    schema = json.loads(done.stdout)
    assert schema["$id"] == f"urn:conda-bundler:output:{name}:1"
    with pytest.raises(fastjsonschema.JsonSchemaException):
        fastjsonschema.compile(schema)({"$schema": "urn:conda-bundler:output:other:1"})
