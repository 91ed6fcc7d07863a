"""In which order test files are given to the workers.

End-to-end tests wait for systemd half of their time, integration tests compute: taken in turn, they fill each other's
pauses. Of each kind the longest come first, so that no worker is left alone with one at the end. Unit tests, a moment
each, fill what remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MINUTES", "in_order"]

# What a file's tests took of a worker with others beside it, in minutes, where that is more than one and a half. An
# outdated number costs a little time at the end of a run, and nothing else.
MINUTES = {
    "tests/e2e/test_activation.py": 3,
    "tests/e2e/test_beam.py": 5,
    "tests/e2e/test_decompressor.py": 2,
    "tests/e2e/test_examples_elixir.py": 8,
    "tests/e2e/test_examples_hello.py": 3,
    "tests/e2e/test_examples_inference.py": 2,
    "tests/e2e/test_exec.py": 2,
    "tests/e2e/test_faults.py": 4,  # its longest test: they are divided
    "tests/e2e/test_foreign.py": 3,
    "tests/e2e/test_hostile.py": 2,
    "tests/e2e/test_install.py": 5,
    "tests/e2e/test_instances.py": 9,
    "tests/e2e/test_manage.py": 2,
    "tests/e2e/test_payload.py": 4,
    "tests/e2e/test_places.py": 2,
    "tests/e2e/test_reuse.py": 5,
    "tests/e2e/test_secrets.py": 4,
    "tests/e2e/test_services.py": 4,
    "tests/e2e/test_sockets.py": 4,
    "tests/e2e/test_upgrade.py": 4,
    "tests/e2e/test_upgrade_from_released.py": 4,
    "tests/integration/test_build.py": 2,
    "tests/integration/test_bytecode.py": 10,
    "tests/integration/test_channel.py": 3,
    "tests/integration/test_channels.py": 2,
    "tests/integration/test_cli.py": 2,
    "tests/integration/test_damaged_cache.py": 6,
    "tests/integration/test_decompressor.py": 2,
    "tests/integration/test_install_sh.py": 2,
    "tests/integration/test_link_scripts_build.py": 2,
    "tests/integration/test_lock.py": 5,
    "tests/integration/test_lock_replay.py": 4,
    "tests/integration/test_lockfiles.py": 2,
    "tests/integration/test_no_code_runs.py": 2,
    "tests/integration/test_release.py": 3,
    "tests/integration/test_upgrade_sh.py": 2,
    "tests/integration/test_zipapp.py": 2,
}


def in_order(scopes: Sequence[str]) -> list[str]:
    """What is one worker's, a file or a test of one, in the order to begin with.

    Those of ``tests/e2e`` and those of ``tests/integration`` in turn, then all others as given.
    """
    rooms = [
        sorted((scope for scope in scopes if scope.startswith(room)), key=lambda scope: -_minutes(scope))
        for room in ("tests/e2e/", "tests/integration/")
    ]
    # Each has its place on a way that both kinds begin and end together.
    placed = [(place / len(room), scope) for room in rooms for place, scope in enumerate(room)]
    first = [scope for _, scope in sorted(placed, key=lambda one: one[0])]
    return first + [scope for scope in scopes if scope not in set(first)]


def _minutes(scope: str) -> int:
    return MINUTES.get(scope.partition("::")[0], 0)
