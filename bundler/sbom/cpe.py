"""CPE names of well-known programs and libraries (their names in the NVD), by their conda packages' names.

They are in no package index that scanners know, so scanners can match them only by CPE.
"""

from __future__ import annotations

import re

__all__ = ["cpe_of"]

_PRODUCTS = {
    "bzip2": "bzip:bzip2",
    "c-ares": "c-ares:c-ares",
    "cairo": "cairographics:cairo",
    "curl": "haxx:curl",
    "dbus": "freedesktop:dbus",
    "elixir": "elixir-lang:elixir",
    "erlang": r"erlang:erlang\/otp",
    "expat": "libexpat_project:libexpat",
    "ffmpeg": "ffmpeg:ffmpeg",
    "fontconfig": "fontconfig_project:fontconfig",
    "freetype": "freetype:freetype",
    "git": "git-scm:git",
    "giflib": "giflib_project:giflib",
    "glib": "gnome:glib",
    "gmp": "gmplib:gmp",
    "gnutls": "gnu:gnutls",
    "graphviz": "graphviz:graphviz",
    "harfbuzz": "harfbuzz_project:harfbuzz",
    "hdf5": "hdfgroup:hdf5",
    "icu": "icu-project:international_components_for_unicode",
    "imagemagick": "imagemagick:imagemagick",
    "krb5": "mit:kerberos_5",
    "lcms2": "littlecms:little_cms",
    "libarchive": "libarchive:libarchive",
    "libcurl": "haxx:libcurl",
    "libexpat": "libexpat_project:libexpat",
    "libffi": "libffi_project:libffi",
    "libgcrypt": "gnupg:libgcrypt",
    "libgit2": "libgit2:libgit2",
    "libglib": "gnome:glib",
    "libjpeg-turbo": "libjpeg-turbo:libjpeg-turbo",
    "libnghttp2": "nghttp2:nghttp2",
    "libpng": "libpng:libpng",
    "libpq": "postgresql:postgresql",
    "libprotobuf": "google:protobuf",
    "libsndfile": "libsndfile_project:libsndfile",
    "libsodium": "libsodium:libsodium",
    "libsqlite": "sqlite:sqlite",
    "libssh2": "libssh2:libssh2",
    "libtiff": "libtiff:libtiff",
    "libuv": "libuv:libuv",
    "libwebp": "webmproject:libwebp",
    "libwebp-base": "webmproject:libwebp",
    "libxml2": "xmlsoft:libxml2",
    "libxslt": "xmlsoft:libxslt",
    "libzlib": "zlib:zlib",
    "lz4-c": "lz4_project:lz4",
    "mariadb": "mariadb:mariadb",
    "mysql": "oracle:mysql",
    "ncurses": "gnu:ncurses",
    "nginx": "f5:nginx",
    "nodejs": r"nodejs:node.js",
    "openblas": "openblas_project:openblas",
    "openjdk": "oracle:openjdk",
    "openjpeg": "uclouvain:openjpeg",
    "openldap": "openldap:openldap",
    "openmpi": "open-mpi:open_mpi",
    "openssh": "openbsd:openssh",
    "openssl": "openssl:openssl",
    "pcre2": "pcre:pcre2",
    "perl": "perl:perl",
    "poppler": "freedesktop:poppler",
    "postgresql": "postgresql:postgresql",
    "python": "python:python",
    "r-base": "r_project:r",
    "readline": "gnu:readline",
    "redis": "redis:redis",
    "redis-server": "redis:redis",
    "ruby": "ruby-lang:ruby",
    "snappy": "google:snappy",
    "sqlite": "sqlite:sqlite",
    "tar": "gnu:tar",
    "tk": "tcl:tcl",
    "unixodbc": "unixodbc:unixodbc",
    "unzip": "info-zip:unzip",
    "wget": "gnu:wget",
    "xerces-c": r"apache:xerces-c\+\+",
    "xz": "tukaani:xz",
    "yaml": "pyyaml:libyaml",
    "zeromq": "zeromq:libzmq",
    "zlib": "zlib:zlib",
    "zstd": "facebook:zstandard",
}
"""``vendor:product``."""


def cpe_of(name: str, version: str) -> str:
    """The CPE 2.3 name (NISTIR 7695, formatted string) of a conda package; empty if it is not well known."""
    product = _PRODUCTS.get(name)
    if product is None:
        return ""
    quoted = re.sub(r"([^A-Za-z0-9._-])", r"\\\1", version.lower())
    return f"cpe:2.3:a:{product}:{quoted}:*:*:*:*:*:*:*"
