"""Records what PyPI says of the packages that uv chooses for the lists in sections.toml: ``python record.py``.

Nothing but metadata is fetched, by uv, which reads it off the end of a wheel where an index has no file of it. Of each
release that uv chooses for any Python and processor the wheels for Linux are kept, with their digests, and of its
metadata what a solver reads. Of releases that were withdrawn (PEP 592) and are newer than one of these there are the
names of the files, as pip reads them: a solver has to pass over them.

``python record.py NAME...`` records these lists alone, beside what is there.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomllib
from packaging.utils import InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link
from pip._internal.models.search_scope import SearchScope
from pip._internal.network.session import PipSession
from pip._vendor.msgpack.fallback import Unpacker

HERE = Path(__file__).parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
SIMPLE = "https://pypi.org/simple"
KEPT = re.compile(r"cp31[0-4]|py3")


def main() -> None:
    """Solve everything and write index.json.xz."""
    document = tomllib.loads((HERE / "sections.toml").read_text())
    sections: dict[str, list[str]] = document["sections"] | document["refused"]
    wanted = sys.argv[1:] or list(sections)
    goal = HERE / "index.json.xz"
    index: dict[str, dict[str, Any]] = json.loads(lzma.decompress(goal.read_bytes())) if sys.argv[1:] else {}
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "cache"
        jobs = [(name, python, machine) for name in wanted for python in PYTHONS for machine in MACHINES]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda job: _solve(sections[job[0]], job, document["until"], cache), jobs))
        _add_releases(index, answers, _metadata(cache))
    _add_pages(index, document["sources"])
    text = json.dumps(index, sort_keys=True, separators=(",", ":"))
    goal.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{goal}: {len(index)} projects, {goal.stat().st_size:,} bytes")  # noqa: T201


def _add_releases(index: dict[str, dict[str, Any]], answers: list[dict[str, Any]], said: dict[str, Any]) -> None:
    releases: dict[tuple[str, str], dict[str, Any]] = {}
    for answer in answers:
        for package in answer.get("packages", ()):
            release = releases.setdefault((package["name"], package["version"]), package)
            release["wheels"] += [one for one in package["wheels"] if one not in release["wheels"]]
    for (name, version), package in sorted(releases.items()):
        files = {unquote(urlsplit(one["url"]).path.rpartition("/")[2]): one for one in package["wheels"]}
        files = {file: one for file, one in sorted(files.items()) if _is_kept(file)}
        usual = next((said[file] for file in files if file in said), None)
        if usual is None:
            print(f"no metadata of {name} {version}: {', '.join(files)}")  # noqa: T201
            continue
        wheels = {
            file: [one["hashes"]["sha256"], *([said[file]] if said.get(file, usual) != usual else [])]
            for file, one in files.items()
        }
        index.setdefault(name, {})[version] = {"wheels": wheels, **usual}


def _add_pages(index: dict[str, dict[str, Any]], sources: list[str]) -> None:
    """What pages of PyPI have beside what uv chose.

    Of each project the withdrawn wheels that are newer than the oldest of its releases, with the reason; of ``sources``
    the newest source distribution.
    """
    collector = LinkCollector(session=PipSession(), search_scope=SearchScope.create([], [SIMPLE], no_index=False))
    pages = {name: collector.fetch_response(Link(f"{SIMPLE}/{name}/")) for name in (*index, *sources)}
    links = {name: list(parse_links(page)) for name, page in pages.items() if page}
    for name in sources:
        tars = {parse_sdist_filename(link.filename)[1]: link for link in links[name] if "tar" in link.ext}
        newest = max(tars)
        index[name] = {str(newest): {"sources": {tars[newest].filename: tars[newest].hash}}}
    for name, releases in index.items():
        releases.pop("", None)
        oldest = min(map(Version, releases))
        yanked = {link.filename: link.yanked_reason for link in links[name] if link.is_yanked}
        gone = {file: why for file, why in yanked.items() if _is_kept(file) and parse_wheel_filename(file)[1] > oldest}
        if gone:
            releases[""] = {"yanked": gone}


def _solve(pip: list[str], job: tuple[str, str, str], until: str, cache: Path) -> dict[str, Any]:
    name, python, machine = job
    words = ["uv", "pip", "compile", "-", "--quiet", "--format", "pylock.toml", "--only-binary", ":all:"]
    words += ["--python-version", python, "--python-platform", f"{machine}-manylinux_2_28"]
    words += ["--exclude-newer", until]
    environ = os.environ | {"UV_CACHE_DIR": str(cache), "PYTHONUTF8": "1"}
    finished = subprocess.run(
        words, input="\n".join(pip), text=True, capture_output=True, check=False, env=environ, timeout=1800
    )
    print(name, python, machine, finished.returncode, finished.stderr.strip()[-300:], flush=True)  # noqa: T201
    return tomllib.loads(finished.stdout) if finished.returncode == 0 else {}


def _metadata(cache: Path) -> dict[str, dict[str, Any]]:
    """What uv has kept of metadata, by the name of the wheel that it is from."""
    found = {}
    for path in cache.glob("wheels-*/**/*.msgpack"):
        data = path.read_bytes()
        reader = Unpacker(strict_map_key=False)  # type: ignore[no-untyped-call]
        reader.feed(data)  # type: ignore[no-untyped-call]
        said = next(iter(reader))
        url = re.search(rb"https?://[!-~]+?\.whl", data)
        if isinstance(said, list) and url:
            fields = {"requires": said[2], "python": said[3], "extras": said[4]}
            file = unquote(url[0].decode().rpartition("/")[2])
            found[file] = {field: value for field, value in fields.items() if value}
    return found


def _is_kept(file: str) -> bool:
    try:
        _, _, _, tags = parse_wheel_filename(file)
    except InvalidWheelFilename:  # an sdist, or an egg
        return False
    return any(
        (KEPT.match(tag.interpreter) or tag.abi == "abi3")
        and (tag.platform == "any" or re.search(r"linux.*(x86_64|aarch64)$", tag.platform))
        for tag in tags
    )


if __name__ == "__main__":
    main()
