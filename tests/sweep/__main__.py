"""``python -m sweep [--groups a,b] [--projects c,d]``: 1 if something works by hand and not as a service."""

from __future__ import annotations

import argparse
import sys

from examplekit import CHECKOUT

from sweep.report import RESULTS, faults, merged, page, read_results, write_results
from sweep.run import ROOM, sweep
from sweep.table import groups


def main() -> int:
    known = {group.name: group for group in groups()}
    parser = argparse.ArgumentParser(prog="make sweep")
    parser.add_argument("--groups", default=",".join(known), help=f"some of {', '.join(known)}")
    parser.add_argument("--projects", help="of these groups, only these projects")
    arguments = parser.parse_args()
    names = arguments.groups.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such group: {', '.join(unknown)}")
    chosen = [known[name].only(arguments.projects.split(",") if arguments.projects else None) for name in names]
    ROOM.mkdir(parents=True, exist_ok=True)
    results = read_results(RESULTS)
    failed = []
    for group in chosen:
        found = sweep(group)
        failed += faults(found)
        results = merged(results, found, known.values())
        write_results(results, RESULTS)
        for one in found:
            told = f"by hand {_word(well=one.by_hand)}, as a service {_word(well=one.as_service)}"
            print(f"{one.group} {one.project} (systemd {one.systemd}): {told} {one.said}", flush=True)  # noqa: T201
    docs = CHECKOUT / "docs"
    docs.mkdir(exist_ok=True)
    (docs / "sweep.md").write_text(page(results), "utf-8")
    return 1 if failed else 0


def _word(*, well: bool) -> str:
    return "works" if well else "FAILS"


sys.exit(main())
