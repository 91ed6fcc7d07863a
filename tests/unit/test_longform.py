"""Specs with keys in brackets: what conda-lock is shown, what our solver gets, and what is refused."""

from __future__ import annotations

import pytest

from bundler.lock.environment.longform import MalformedSpecError, read_spec

MD5, SHA256 = "d" * 32, "e" * 64


@pytest.mark.parametrize(
    "text",
    [
        "python",
        "python >=3.10,<4",
        "python=3.10=*_cpython",
        "conda-forge::numpy",
        "https://h/some/channel::numpy 1.2",
        "python[version='>=3.10,<4']",
        'python[build="*_cpython",version=3.10]',
        "numpy[channel=conda-forge]",
        "x[]",
    ],
)
def test_what_conda_lock_passes_on_is_left_to_it(text: str) -> None:
    spec = read_spec(text)
    assert (spec.shown, spec.whole, spec.unseen) == (text if text != "x[]" else "x", None, ())


@pytest.mark.parametrize(
    ("text", "shown", "whole", "unseen"),
    [
        (
            'a[version=">=1", build_number=">=3"]',
            'a[version=">=1"]',
            'a[version=">=1",build_number=">=3"]',
            ("build_number",),
        ),
        (f"a >=1[md5={MD5}]", "a >=1", f"a >=1[md5={MD5}]", ("md5",)),
        (f"a=1[ sha256='{SHA256}' ]", "a=1", f"a=1[sha256='{SHA256}']", ("sha256",)),
        ("a[extras=[b, c], version=1]", "a[version=1]", "a[extras=[b, c],version=1]", ("extras",)),
        ("a[flags=['cuda', \"x\"]]", "a", "a[flags=['cuda', \"x\"]]", ("flags",)),
        ('a[when="__cuda >=12, python"]', "a", 'a[when="__cuda >=12, python"]', ("when",)),
        (
            "a[license=MIT,license_family='MIT']",
            "a",
            "a[license=MIT,license_family='MIT']",
            ("license", "license_family"),
        ),
        ("a[track_features=x]", "a", "a[track_features=x]", ("track_features",)),
        ("a[subdir=noarch,channel=c]", "a[channel=c]", "c::a[subdir=noarch]", ("subdir",)),
        ("c/linux-64::a >=1", "c/linux-64::a >=1", "c::a >=1[subdir=linux-64]", ("subdir",)),
        ("c/linux-64::a[md5=x]", "c/linux-64::a", "c::a[md5=x,subdir=linux-64]", ("md5", "subdir")),
        ("a[fn=a-1.0-h1_0.conda]", "a", 'a[version="==1.0",build="h1_0",fn=a-1.0-h1_0.conda]', ("fn",)),
        ("pkgs/main::a 1", "pkgs/main::a 1", "https://repo.anaconda.com/pkgs/main::a 1", ("channel",)),
        ("a[channel='pkgs/r']", "a[channel='pkgs/r']", "https://repo.anaconda.com/pkgs/r::a", ("channel",)),
        (
            "https://h/c/linux-64/a-b-1.0-h1_0.tar.bz2",
            "https://h/c/linux-64/a-b-1.0-h1_0.tar.bz2",
            'https://h/c::a-b[version="==1.0",build="h1_0",subdir=linux-64]',
            ("url",),
        ),
        (
            f"https://h/c/noarch/a-1-0.conda#{MD5}",
            "https://h/c/noarch/a-1-0.conda",
            f'https://h/c::a[version="==1",build="0",subdir=noarch,md5={MD5}]',
            ("url", "md5"),
        ),
        (
            f"a[url='https://h/c/noarch/a-1-0.conda',sha256={SHA256}]",
            "a",
            f'https://h/c::a[version="==1",build="0",subdir=noarch,sha256={SHA256}]',
            ("url", "sha256"),
        ),
    ],
)
def test_what_it_drops_goes_past_it(text: str, shown: str, whole: str, unseen: tuple[str, ...]) -> None:
    spec = read_spec(text)
    assert (spec.shown, spec.whole, spec.unseen) == (shown, whole, unseen)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a[namespace=x]", "has the key `namespace`, which is not supported; supported keys: build, build_number,"),
        ("a[verison='>=1']", "has the key `verison`"),
        ("a[version=1, version=2]", "has `version` twice"),
        ("a >=1[version=2]", "has `version` before and inside the brackets; remove"),
        ("a 1 b[build=c]", "has `build` before and inside the brackets; remove"),
        ("c::a[channel=d]", "has `channel` before and inside the brackets; remove"),
        ("c/noarch::a[subdir=noarch]", "has `subdir` before and inside the brackets; remove"),
        ("a[version=>=1,<2]", "has a syntax error at `<2`"),
        ("a[md5=]", "has a syntax error at `md5=`"),
        ("requests[socks]", "belongs below `- pip:`, one of a conda package is `[extras=[socks]]`"),
        ("requests[socks, tls] >=2", "bracket"),
        ("[version=1]", "does not start with"),
        ("a[version=1", "bracket"),
        ("a (>=1)", "has parentheses"),
        ("a (optional)", "has parentheses"),
        ("a; if __unix", "has a condition; write it as `name[when='…']`"),
        ("a if __unix", "has a condition"),
        ("a; python_version < '3'", "is for pip"),
        ("a @ https://h/a.whl", "is for pip"),
        ("git+https://u:secret@h/a", "is for pip"),
        ("defaults::a >=1", "`defaults`, which stands for two channels; write `pkgs/main::a >=1`, or `pkgs/r::a >=1`"),
        ("a[channel=defaults]", "`defaults`, which stands for two"),
        ("a[fn=b-1-0.conda]", "`fn` is not a file of a"),
        ("a 1[fn=a-1-0.conda]", "has `fn`, which already implies its version"),
        ("./a.conda", "is a file; name the file in [bundle] inject"),
        ("../pkgs/a-1-0.tar.bz2", "is a file"),
        ("https://h/a.conda", "is no URL of a package in a channel"),
        ("https://h/noarch/a.conda", "is no URL of a conda package"),
        ("https://u:secret@h/c/noarch/a-1-0.conda", "has a credential; write `a ==1 0`"),
        ("b[url='https://h/c/noarch/a-1-0.conda']", "is no URL of a conda package b"),
        (
            "a[url='https://h/c/noarch/a-1-0.conda',version=1]",
            "has `url`, which makes `version` redundant",
        ),
        ("https://h/c/noarch/a-1-0.conda#abc", "neither an MD5 nor a SHA-256"),
    ],
)
def test_what_means_nothing_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(MalformedSpecError) as refused:
        read_spec(text)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)
