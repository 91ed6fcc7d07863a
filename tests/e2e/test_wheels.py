"""A service out of wheels: one injected, those that it needs from an index, and a conda package of the same build.

What the environment has stands in two files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bundlekit import build, install
from commandkit import conda_bundler
from examplekit import CHECKOUT, ask, healthy, main_pid
from pypikit import make_wheel, serve_index
from tinychannel import PLACEHOLDER, File, make_package

from bundler.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.network]

CONFIG = """
[bundle]
name = "demo"
version = "1.0"
environment = ["environment.yml", "native.yml"]
inject = ["dist/*.whl", "../pkgs/*.conda"]
[config]
PORT = "8000"
[services.demo]
command = ["demo-serve"]
profile = "python"
health = { http = "http://127.0.0.1:${PORT}/healthz" }
"""
APP = """
import json, os, pathlib, subprocess, sys
from importlib.metadata import distribution
from demo import words


async def app(scope, receive, send):
    import h11, httptools
    from httptools.parser import parser
    said = {
        "greeting": pathlib.Path(sys.prefix, "share/demo/greeting").read_text(),
        "words": words.__file__,
        "cached": os.path.exists(words.__cached__) and os.path.exists(h11.__cached__),
        "native": parser.__file__,
        "shell": subprocess.run(["greet-where"], capture_output=True, text=True).stdout,
        "installer": distribution("demo").read_text("INSTALLER").strip(),
        "command": sys.argv[0],
    }
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def main():
    import uvicorn
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), http="httptools", lifespan="off")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CI has just built lies in dist/ and beside the project, old and foreign files among it."""
    path = tmp_path_factory.mktemp("work") / "demo"
    path.mkdir()
    (path / "bundle.toml").write_text(CONFIG)
    files = {"demo/__init__.py": APP.encode(), "demo/words.py": b"WORDS = 1\n"}
    options: dict[str, Any] = {"files": files, "requires": ["uvicorn>=0.30", "httptools"]}
    make_wheel(path / "dist", "demo", "1.0", scripts={"demo-serve": "demo:main"}, **options)
    make_wheel(path / "dist", "demo", "1.0", tag="cp312-cp312-manylinux_2_17_aarch64", **options)
    greeting = File(content=f"made at {PLACEHOLDER}".encode(), prefix="text")
    package = make_package(path.parent, "demo-data", "1.0", files={"share/demo/greeting": greeting})
    package.parent.rename(path.parent / "pkgs")
    return path


@pytest.fixture(scope="module")
def bundle(project: Path, local_channel: Path) -> Path:
    wheels = next((CHECKOUT / "build" / "wheels").glob("cpython-*"))  # those that the channel was made of
    with serve_index(wheels) as index:
        (project / "environment.yml").write_text(
            "channels: [nowhere]\n"
            "dependencies: [python, {pip: [uvicorn]}]\n"
            f"pip-repositories: ['{index.url()}']\n"
            "allow-pypi-requests: false\n"
        )
        (project / "native.yml").write_text(
            "channels: [nowhere]\ndependencies: [greeting, {pip: ['httptools >=0.6']}]\n"
        )
        return build(project, local_channel, project / "out")


@pytest.fixture(scope="module", params=["/opt/demo", "/srv/elsewhere/demo"])
def server(request: pytest.FixtureRequest, bundle: Path, bookworm: Path) -> Iterator[tuple[Machine, str]]:
    root: str = request.param
    with Machine(bookworm) as machine:
        if root == "/opt/demo":
            install(machine, bundle)
        else:
            machine.copy_in(bundle, f"/root/{bundle.name}")
            machine.run("sh", f"/root/{bundle.name}/install.sh", "--prefix", root, check=True)
        yield machine, root


def test_it_is_served(server: tuple[Machine, str], bundle: Path) -> None:
    machine, root = server
    assert healthy(machine, "demo")
    status, answer = ask(machine, "http://127.0.0.1:8000/")
    assert status == 200
    said = json.loads(answer)
    release = json.loads((bundle / "manifest.json").read_text())["release"]
    prefix = f"{root}/releases/{release}/env"
    assert said["greeting"] == f"made at {prefix}"
    assert said["words"].startswith(f"{prefix}/lib/python3.")
    assert said["native"].endswith(".so")
    assert said["shell"].strip() == prefix, "of the second file's greeting"
    assert said["cached"], "the bytecode is there, and nobody compiles at start"
    assert said["installer"] == "conda-bundler"
    assert said["command"] == f"{prefix}/bin/demo-serve"
    assert machine.run("readlink", f"/proc/{main_pid(machine, 'demo')}/exe").stdout.startswith(f"{prefix}/bin/python")


def test_nothing_names_another_place(server: tuple[Machine, str], project: Path) -> None:
    """Every script starts the release's own Python, wherever it lies; what was recorded of the wheels is still true."""
    machine, root = server
    verified = machine.run(f"{root}/manage", "verify")
    assert verified.status == 0, verified.stderr
    heads = machine.run(
        "sh", "-c", f"head -qn1 {root}/current/env/bin/uvicorn {root}/current/env/bin/demo-serve"
    ).stdout
    assert all(line.startswith(f"#!{root}/releases/") for line in heads.splitlines())
    if root != "/opt/demo":
        assert machine.run("grep", "-rl", "/opt/demo/releases", f"{root}/current/env/bin").stdout == ""
    assert machine.run("grep", "-rlF", str(project), root).stdout == ""
    check = "import hashlib, base64, csv, pathlib, sys\n" + _CHECK
    done = machine.run(f"{root}/current/env/bin/python", "-I", "-B", "-c", check)
    assert done.stdout == "", done.stdout
    assert done.status == 0, done.stderr


_CHECK = """
site = next(p for p in map(pathlib.Path, sys.path) if p.name == "site-packages")
for record in sorted(site.glob("*.dist-info/RECORD")):
    for path, digest, size in csv.reader(record.open(newline="")):
        file = site / path
        if not file.is_file():
            print(record.parent.name, path, "is missing")
        elif digest:
            kind, _, said = digest.partition("=")
            found = base64.urlsafe_b64encode(hashlib.new(kind, file.read_bytes()).digest()).rstrip(b"=").decode()
            if found != said:
                print(record.parent.name, path, "is another")
"""


def test_the_bundle_says_what_it_is_made_of(bundle: Path, project: Path) -> None:
    done = conda_bundler("inspect", "--json", bundle)
    document = json.loads(done.stdout)
    packages = {package["name"]: package for package in document["packages"]}
    assert {name for name, package in packages.items() if package["manager"] == "pip"} == {
        "click",
        "demo",
        "h11",
        "httptools",
        "uvicorn",
    }
    assert packages["greeting"]["manager"] == "conda", "the second file's"
    assert {name for name, package in packages.items() if package["injected"]} == {"demo", "demo-data"}
    assert all(package["packed"] > 0 for package in packages.values())
    assert str(project) not in json.dumps(document | {"bundle": ""})
    assert conda_bundler("verify", bundle).returncode == 0


def test_the_same_inputs_are_the_same_bytes(
    bundle: Path, project: Path, local_channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    again = build(project, local_channel, project / "again")
    for file in sorted(path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()):
        assert (again / file).read_bytes() == (bundle / file).read_bytes(), file
