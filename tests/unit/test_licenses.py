"""What packages say of their licenses, as SPDX expressions; and what `[licenses]` means for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from bundler.config.licenses import LicensesTable
from bundler.licenses.expression import NO_LICENSE, normalize, single
from bundler.licenses.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("BSD 3-Clause", "BSD-3-Clause"),
        ("BSD-3-Clause, MIT", "BSD-3-Clause AND MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache 2.0 OR MIT", "Apache-2.0 OR MIT"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPL (>= 2)", "GPL-2.0-or-later"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("GPL-3.0-only WITH GCC-exception-3.1", "GPL-3.0-only WITH GCC-exception-3.1"),
        ("LGPL (>=2)", "LGPL-2.0-or-later"),
        ("LGPL-2.1-or-later & MPL 2.0", "LGPL-2.1-or-later AND MPL-2.0"),
        ("MIT | Apache-2.0", "MIT OR Apache-2.0"),
        ("MIT and (GPLv3 or ISC)", "MIT AND (GPL-3.0-only OR ISC)"),
        ("MIT/X11", "MIT"),
        ("ISC License (ISCL)", "ISC"),
        ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
        ("Public-Domain", "LicenseRef-scancode-public-domain"),
    ],
)
def test_loose_names_that_have_one_meaning(said: str, expression: str) -> None:
    found = normalize(said)
    assert (found.expression, found.unknown) == (expression, ())


@pytest.mark.parametrize(
    ("said", "expression", "unknown"),
    [
        ("BSD", "LicenseRef-BSD", ("BSD",)),
        ("Apache Software License", "LicenseRef-Apache-Software-License", ("Apache Software License",)),
        ("MIT OR Weird", "MIT OR LicenseRef-Weird", ("Weird",)),
        ("((", "LicenseRef-unknown", ("((",)),
        ("MIT AND", "LicenseRef-MIT-AND", ("MIT AND",)),
        ("MIT OR (; BSD)", "LicenseRef-MIT-OR-BSD", ("MIT OR (; BSD)",)),
        ("Permission is hereby granted " * 30, "LicenseRef-Permission-is-hereby-granted-Permission", None),
    ],
)
def test_what_may_mean_several_is_unknown(said: str, expression: str, unknown: tuple[str, ...] | None) -> None:
    found = normalize(said)
    assert found.expression.startswith(expression)
    assert found.unknown
    assert unknown is None or found.unknown == unknown


def test_nothing_said_is_no_license() -> None:
    assert normalize(" \n") == NO_LICENSE


AGPL = ("AGPL-3.0-only",)


@pytest.mark.parametrize(
    ("said", "deny", "allow", "verdict"),
    [
        ("MIT", AGPL, (), "allowed"),
        ("AGPL-3.0-only", AGPL, (), "denied"),
        ("AGPL-3.0", AGPL, (), "denied"),
        ("AGPL-3.0-or-later", AGPL, (), "denied"),
        ("AGPL-1.0-or-later", AGPL, (), "allowed"),
        ("MIT OR AGPL-3.0-only", AGPL, (), "allowed"),
        ("MIT AND AGPL-3.0-only", AGPL, (), "denied"),
        ("(MIT OR ISC) AND AGPL-3.0-or-later", AGPL, (), "denied"),
        ("GPL-2.0-or-later", ("GPL-3.0-only",), (), "allowed"),
        ("GPL-2.0-or-later", ("GPL-2.0-only",), (), "allowed"),
        ("GPL-2.0-or-later", ("GPL-2.0-only", "GPL-3.0-only"), (), "denied"),
        ("GPL-3.0-only", ("GPL-2.0-or-later",), (), "denied"),
        ("GPL-2.0-or-later", ("GPL-2.0-or-later",), (), "denied"),
        ("GPL-3.0-only WITH GCC-exception-3.1", ("GPL-3.0-only",), (), "allowed"),
        ("GPL-3.0-only WITH GCC-exception-3.1", ("GPL-3.0-only WITH GCC-exception-3.1",), (), "denied"),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", ("GPL-3.0-only WITH GCC-exception-3.1",), (), "denied"),
        ("GPL-3.0-only WITH GCC-exception-3.1", (), ("GPL-3.0-only",), "allowed"),
        ("GPL-3.0-only", (), ("GPL-3.0-only WITH GCC-exception-3.1",), "not allowed"),
        ("GPL-2.0-or-later", (), ("GPL-3.0-only",), "allowed"),
        ("GPL-2.0-or-later", ("GPL-3.0-only",), ("GPL-3.0-only",), "not allowed"),
        ("GPL-3.0-only", (), ("GPL-2.0-or-later",), "allowed"),
        ("GPL-2.0-only", (), ("GPL-3.0-only",), "not allowed"),
        ("MIT OR GPL-3.0-only", (), ("MIT",), "allowed"),
        ("MIT AND GPL-3.0-only", (), ("MIT",), "not allowed"),
        ("Weird", (), ("MIT",), "not allowed"),
        ("MIT OR Weird", (), ("MIT",), "allowed"),
        ("Weird", (), ("LicenseRef-Weird",), "allowed"),
        ("Weird", AGPL, (), "unknown"),
        ("Weird AND AGPL-3.0-only", AGPL, (), "denied"),
        ("", AGPL, (), "unknown"),
        ("", (), ("MIT",), "not allowed"),
    ],
)
def test_what_an_expression_means_for_a_policy(
    said: str, deny: Sequence[str], allow: Sequence[str], verdict: str
) -> None:
    policy = Policy(deny=tuple(deny), allow=tuple(allow))
    assert policy.judge(normalize(said), ("x",)).verdict == verdict


def test_an_exception_is_for_what_is_refused_alone() -> None:
    policy = Policy(deny=AGPL, exceptions={"conda:x": "we have a contract"})
    found = policy.judge(normalize("AGPL-3.0-only"), ("conda:x", "x"))
    assert (found.verdict, found.reason, found.refused) == ("excepted", "we have a contract", False)
    assert policy.judge(normalize("MIT"), ("conda:x", "x")).verdict == "allowed"
    assert policy.judge(normalize("AGPL-3.0-only"), ("pip:x", "x")).verdict == "denied"


def test_a_table_names_licenses_as_spdx_has_them() -> None:
    table = LicensesTable.model_validate({"deny": ["gpl-3.0"], "allow": ["MIT", "LicenseRef-Ours"]})
    assert table.deny == ("GPL-3.0-only",)
    assert table.allow == ("MIT", "LicenseRef-Ours")


@pytest.mark.parametrize(
    "table",
    [
        {"deny": ["GPL-9"]},
        {"allow": ["MIT OR ISC"]},
        {"deny": [""]},
        {"exceptions": {"x": ""}},
        {"exceptions": {"/": "y"}},
    ],
)
def test_a_table_that_means_nothing_is_a_mistake(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LicensesTable.model_validate(table)


def test_one_license_is_one_license() -> None:
    assert single("MIT") == "MIT"
    assert single("MIT AND ISC") is None
    assert single("LicenseRef-a b") is None
