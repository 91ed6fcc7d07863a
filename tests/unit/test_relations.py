"""Channels that name others: whom they may name, and who goes before whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bundler.lock.recorded import recorded, with_recorded
from bundler.lock.solver.relations import (
    MAX_DEPTH,
    Followed,
    Relations,
    RelationsError,
    relations_record,
    resolve_reference,
    says_relations,
)

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://conda.example"
BIO, FORGE, MINE, RC = f"{HOST}/bio", f"{HOST}/forge", f"{HOST}/mine", f"{HOST}/forge/label/rc"


@pytest.mark.parametrize(
    ("channel", "reference", "url"),
    [
        (BIO, "../forge", FORGE),
        (BIO, "../forge/", FORGE),
        (RC, "../..", FORGE),
        (RC, "../../../bio", BIO),
        (f"{BIO}/", "../forge", FORGE),
        ("s3://bucket/a", "../b", "s3://bucket/b"),
    ],
)
def test_a_reference_is_a_path_on_the_same_server(channel: str, reference: str, url: str) -> None:
    assert resolve_reference(channel, reference) == url


@pytest.mark.parametrize(
    "reference",
    [
        "https://evil.example/x", "//evil.example/x", "..//evil.example/x", "/x", "x", "", "..", "../..", "../../x",
        "../x?y", "../x#y", "../%2e%2e/x", "../x%2fy", "..\\x", "../x\\..", "../${TOKEN}", "../t/../../x", "../x y",
        "../x\n", "../me@evil.example", "../file:///etc", "../-x", "./../x", "../.hidden",
    ],
)  # fmt: skip
def test_anything_else_is_refused(reference: str) -> None:
    with pytest.raises(RelationsError, match="which is not a path on its server"):
        resolve_reference(BIO, reference)


def test_a_base_goes_before_and_what_is_overridden_behind() -> None:
    relations = Relations(named=(MINE, BIO))
    relations.add(BIO, "../forge", "../last")
    relations.add(FORGE, "../root", None)
    assert relations.order() == [MINE, f"{HOST}/root", FORGE, BIO, f"{HOST}/last"]
    assert [(one.channel, one.relation, one.of) for one in relations.followed()] == [
        (FORGE, "base", BIO),
        (f"{HOST}/last", "overrides", BIO),
        (f"{HOST}/root", "base", FORGE),
    ]


def test_what_is_overridden_comes_right_behind() -> None:
    relations = Relations(named=(RC, BIO))
    relations.add(RC, None, "../..")
    assert relations.order() == [RC, FORGE, BIO]


@pytest.mark.parametrize("named", [(FORGE, BIO), (BIO, FORGE), (BIO, MINE, FORGE)])
def test_the_order_of_the_environment_stands(named: tuple[str, ...]) -> None:
    relations = Relations(named=named)
    relations.add(BIO, "../forge", None)
    assert relations.order() == list(named)
    assert relations.followed() == ()


def test_two_subdirs_and_two_channels_may_name_the_same() -> None:
    relations = Relations(named=(MINE, BIO))
    for channel in (BIO, BIO, MINE):
        relations.add(channel, "../forge", None)
    assert relations.order() == [FORGE, MINE, BIO]
    assert len(relations.followed()) == 1


def test_a_base_may_override_what_it_is_the_base_of() -> None:
    relations = Relations(named=(BIO,))
    relations.add(BIO, "../forge", None)
    relations.add(FORGE, None, "../mine")
    relations.add(MINE, "../bio", None)
    assert relations.order() == [FORGE, BIO, MINE]


def test_circles_are_refused() -> None:
    relations = Relations(named=(BIO,))
    relations.add(BIO, "../forge", None)
    relations.add(FORGE, "../mine", None)
    relations.add(MINE, "../forge", None)
    with pytest.raises(RelationsError, match=r"form a cycle: .*forge -> .*"):
        relations.order()


@pytest.mark.parametrize(
    ("base", "overrides", "said"),
    [
        ("../bio", None, "refers to itself"),
        (None, "../bio", "refers to itself"),
        ("../forge", "../forge/", "both as a base and as an override"),
    ],
)
def test_relations_to_itself_and_both_ways_are_refused(base: str | None, overrides: str | None, said: str) -> None:
    with pytest.raises(RelationsError, match=said):
        Relations(named=(BIO,)).add(BIO, base, overrides)


def test_a_chain_has_an_end() -> None:
    relations = Relations(named=(f"{HOST}/0",))
    for number in range(MAX_DEPTH):
        relations.add(f"{HOST}/{number}", f"../{number + 1}", None)
    with pytest.raises(RelationsError, match=re.escape(f"more than {MAX_DEPTH} channels")):
        relations.add(f"{HOST}/{MAX_DEPTH}", "../beyond", None)


def test_a_directory_names_nobody_that_the_environment_does_not() -> None:
    relations = Relations(named=("file:///srv/a", "file:///srv/b"))
    relations.add("file:///srv/a", "../b", None)
    assert relations.order() == ["file:///srv/a", "file:///srv/b"]
    with pytest.raises(RelationsError, match="channels are not followed"):
        relations.add("file:///srv/a", "../../etc", None)


def test_the_lockfile_says_what_was_followed_for_each_platform(tmp_path: Path) -> None:
    lockfile = tmp_path / "conda-lock.yml"
    lockfile.write_bytes(b"metadata: {platforms: [linux-64]}\npackage: []\n")
    assert not says_relations(recorded(lockfile))
    one = Followed(channel=FORGE, relation="base", of=BIO)
    both: tuple[dict[str, list[Followed]], ...] = ({"linux-64": [one]}, {"linux-aarch64": []})
    for followed in both:
        lockfile.write_bytes(with_recorded(lockfile.read_bytes(), relations_record(followed, recorded(lockfile))))
    assert says_relations(recorded(lockfile))
    assert f"{FORGE} (before {BIO}, which names it)" in recorded(lockfile).values()
    assert len(recorded(lockfile)) == 2
    lockfile.write_bytes(with_recorded(lockfile.read_bytes(), relations_record(None, recorded(lockfile))))
    assert recorded(lockfile) == {}
