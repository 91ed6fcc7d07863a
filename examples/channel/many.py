"""``many-000`` and on: as many packages as a large environment has, with sizes spread as conda-forge's are.

Half of them are below 100 KB and a few above 10 MB. ``many-300`` depends on all, 50,000 files together; ``many-100`` on
every third, a third as much.
"""

from __future__ import annotations

import random
from functools import partial

from model import Member, Package, Recipe

__all__ = ["recipes"]

_COUNT = 300
_FILES = 50_000
_MEGABYTES = 600  # of content; a third of that as archives
_VERSION = "1.0"


def recipes() -> tuple[Recipe, ...]:
    made = [
        Recipe(key=_name(number), inputs=_VERSION, make=partial(_package, number, files, size))
        for number, (files, size) in enumerate(_shares())
    ]
    for count in (100, 300):
        made.append(Recipe(key=f"many-{count}", inputs=_VERSION, make=partial(_all_of, count)))
    return tuple(made)


def _name(number: int) -> str:
    return f"many-of-{number:03}"


def _shares() -> list[tuple[int, int]]:
    """Files and bytes of each package: three in a row have the same, so that every third makes a third."""
    numbers = random.Random(0)
    weights = [(numbers.lognormvariate(0, 1.2), numbers.lognormvariate(0, 1.8)) for _ in range(_COUNT // 3)]
    files, size = (sum(column) for column in zip(*weights, strict=True))
    shares = [(max(1, round(f / files * _FILES / 3)), round(s / size * _MEGABYTES / 3 * 1e6)) for f, s in weights]
    return [share for share in shares for _ in range(3)]


def _package(number: int, files: int, size: int) -> Package:
    """A third of each file is text of few words, a third is random, a third is zeros."""
    numbers = random.Random(number)
    words = b" ".join(b"%x" % numbers.getrandbits(32) for _ in range(2000))
    weights = [numbers.lognormvariate(0, 1.5) for _ in range(files)]
    members = []
    for position, weight in enumerate(weights):
        third = max(1, round(weight / sum(weights) * size / 3))
        text = (words * (third // len(words) + 1))[:third]
        content = b"%d\n" % position + text + numbers.randbytes(third) + bytes(third)
        members.append(
            Member(path=f"lib/{_name(number)}/{position // 100:03}/{position % 100:02}.bin", content=content)
        )
    return _made(_name(number), tuple(members))


def _all_of(count: int) -> Package:
    step = _COUNT // count
    program = Member(path="bin/many", content=b"#!/bin/sh\n", executable=True)
    return _made(f"many-{count}", (program,), tuple(_name(number) for number in range(0, _COUNT, step)))


def _made(name: str, members: tuple[Member, ...], depends: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        version=_VERSION,
        license="BSD-3-Clause",
        summary="One of many to measure with",
        subdir="noarch",
        noarch="generic",
        depends=depends,
        members=members,
        quick=True,
    )
