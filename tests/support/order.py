"""The order in which test files are distributed to the workers.

End-to-end tests wait for systemd half of the time, integration tests compute: so they alternate. The longest of each
kind come first, so that no long one runs alone at the end. Unit tests, which are fast, come last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MINUTES", "in_order"]

# The minutes that a file's tests occupy a worker while others run, if that is more than one and a half. An outdated
# number only costs a little time at the end of a run.
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
    """The scopes, which are files or single tests, in the order in which to start them.

    Those of ``tests/e2e`` and of ``tests/integration`` alternate; all others follow as given.
    """
    rooms = [
        sorted((scope for scope in scopes if scope.startswith(room)), key=lambda scope: -_minutes(scope))
        for room in ("tests/e2e/", "tests/integration/")
    ]
    # The two kinds are interleaved so that they begin and end together.
    placed = [(place / len(room), scope) for room in rooms for place, scope in enumerate(room)]
    first = [scope for _, scope in sorted(placed, key=lambda one: one[0])]
    return first + [scope for scope in scopes if scope not in set(first)]


def _minutes(scope: str) -> int:
    return MINUTES.get(scope.partition("::")[0], 0)
