# ruff: noqa: E501 -- lines as programs print them
"""What other solvers print when a channel does not answer, as the user reads it."""

from __future__ import annotations

import json
import shlex

import pytest

from bundler.errors import LockError
from bundler.lock.external.explain import explain_unreachable
from bundler.lock.translate import conda_lock_warnings, translate_conda_lock
from bundler.process import Finished, ToolFailed

REPODATA = "https://conda.example/forge/linux-64/repodata.json"


def conda_says(message: str, cause: str = "None", name: str = "CondaHTTPError") -> str:
    """A failure of `conda create --json`, as conda-lock prints it."""
    document = {"caused_by": cause, "exception_name": name, "message": message, "error": message}
    return (
        f"Could not lock the environment for platform linux-64\n{message}\n    Command: ['conda', 'create']\n"
        f"    STDOUT:\n{json.dumps(document, indent=2)}\nTraceback (most recent call last):\n"
        "subprocess.CalledProcessError: Command '['conda', 'create']' returned non-zero exit status 1.\n"
    )


def mamba_says(line: str) -> str:
    return (
        "Failed to parse json, Expecting value: line 1 column 1 (char 0)\n"
        f"Could not lock the environment for platform linux-64\n    Command: ['mamba', 'create']\n    STDERR:\n{line}\n"
        "Traceback (most recent call last):\nsubprocess.CalledProcessError: returned non-zero exit status 1.\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            conda_says(f"HTTP 000 CONNECTION FAILED for url <{REPODATA}>\nElapsed: -\n\nAn HTTP error occurred."),
            "https://conda.example/forge: it cannot be reached",
        ),
        (
            conda_says(
                f"HTTP 000 CONNECTION FAILED for url <{REPODATA}>\nElapsed: -",
                "ConnectionError(MaxRetryError(\"HTTPSConnectionPool(host='conda.example', port=443): Max retries exceeded "
                "with url: /forge (Caused by NameResolutionError(...))\"))",
            ),
            "https://conda.example/forge: unknown host name",
        ),
        (
            conda_says(f"HTTP 404 NOT FOUND for channel forge <{REPODATA[:-28]}>", name="UnavailableInvalidChannel"),
            "no such channel (404)",
        ),
        (conda_says(f"HTTP 403 FORBIDDEN for url <{REPODATA}>\nElapsed: 00:00"), "access denied (403 Forbidden)"),
        (conda_says(f"HTTP 503 SERVICE UNAVAILABLE for url <{REPODATA}>"), "the server responded with 503 Service Unavailable"),
        (
            conda_says("Encountered an SSL error.", "SSLError(MaxRetryError('HTTPSConnectionPool(host=\\\\'conda.example\\\\', "
            "port=443): Max retries exceeded with url: /forge'))", "CondaSSLError"),
            "conda.example:443: its certificate is not trusted",
        ),
        (
            conda_says(f"RuntimeError: EnforceUnusedAdapter called with url {REPODATA}\n", name="RuntimeError"),
            "https://conda.example/forge: not in the cache, and offline mode",
        ),
        (
            mamba_says(f"critical libmamba Multiple errors occured:\n    Download error (6) Could not resolve host [{REPODATA}.zst]"),
            "https://conda.example/forge: Could not resolve host (curl's error 6)",
        ),
        (
            mamba_says(f"critical libmamba Download error (28) Timeout was reached [{REPODATA}]\n    Connection timed out"),
            "https://conda.example/forge: Timeout was reached (curl's error 28)",
        ),
        (mamba_says(f"error    libmamba Transfer finalized, status: 404 [{REPODATA}.zst] 0 bytes"), "no such channel (404)"),
        (mamba_says("critical libmamba Could not resolve host: conda.example"), "conda.example: unknown host name"),
    ],
)  # fmt: skip
def test_an_unreachable_channel_is_named(text: str, said: str) -> None:
    finished = Finished(argv=tuple(shlex.split("conda-lock lock")), status=1, stdout="", stderr=text)
    error = translate_conda_lock(ToolFailed(finished), "environment.yml", None, "conda")
    assert type(error) is LockError
    assert said in error.message
    assert error.message.startswith("conda received nothing from ")
    assert "Relax" not in str(error.remedy)
    assert "the network and the proxy settings" in str(error.remedy)


def test_credentials_are_not_told() -> None:
    url = REPODATA.replace("//", "//me:pass@").replace("/forge", "/t/tk-secret/forge")
    said = str(explain_unreachable(f"HTTP 000 CONNECTION FAILED for url <{url}>", "conda"))
    assert "conda.example" in said
    assert "pass" not in said
    assert "tk-secret" not in said


@pytest.mark.parametrize(
    "text",
    [
        conda_says("The following packages are not available from current channels:\n\n  - nowhere", name="PackagesNotFoundError"),
        conda_says("LibMambaUnsatisfiableError: Encountered problems while solving:\n  - nothing provides http-parser >=9"),
        mamba_says("error    libmamba Could not solve for environment specs\n    http 404 does not exist (perhaps a typo)"),
        mamba_says(f"info     libmamba Transfer finalized, status: 200 [{REPODATA}]\nerror    libmamba Could not solve"),
    ],
)  # fmt: skip
def test_what_cannot_be_satisfied_is_not_taken_for_it(text: str) -> None:
    finished = Finished(argv=("conda-lock",), status=1, stdout="", stderr=text)
    error = translate_conda_lock(ToolFailed(finished), "environment.yml", None, "conda")
    assert "cannot be solved for linux-64" in error.message
    assert "Relax" in str(error.remedy)


def test_warnings_of_conda_lock() -> None:
    stderr = (
        "Locking dependencies for ['linux-64']...\n"
        "WARNING:conda_lock.conda_lock:Failed to parse existing lock.  Regenerating from scratch\n"
        "INFO:conda_lock.conda_solver:linux-64 using specs ['x']\n"
        "WARNING:conda_lock.conda_lock:Failed to parse existing lock.  Regenerating from scratch\n"
        "WARNING:root:WARNING: at https://me:pass@conda.example/x\n"
        "/usr/lib/conda_lock/common.py:68: UserWarning: Something is ignored.\n  warnings.warn(msg)\n"
        " - Install lock using: conda-lock install\n"
    )
    assert conda_lock_warnings(stderr) == (
        "Failed to parse existing lock.  Regenerating from scratch",
        "at https://…@conda.example/x",
        "Something is ignored.",
    )
