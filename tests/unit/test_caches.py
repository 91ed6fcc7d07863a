"""Where packages keep what they could make again: below whatever anybody says."""

from __future__ import annotations

import pytest

from bundler.installer.activation import Activation
from bundler.units.caches import cache_variables


@pytest.mark.parametrize(
    ("package", "variables"),
    [
        ("numpy", {}),
        ("numba", {"NUMBA_CACHE_DIR": "/var/cache/api/numba"}),
        ("triton", {"TRITON_CACHE_DIR": "/var/cache/api/triton"}),
        ("matplotlib-base", {"MPLCONFIGDIR": "/var/cache/api/matplotlib"}),
        ("cupy", {"CUPY_CACHE_DIR": "/var/cache/api/cupy", "CUDA_CACHE_PATH": "/var/cache/api/cuda"}),
        ("tensorflow-hub", {"TFHUB_CACHE_DIR": "/var/lib/api/.cache/tfhub"}),
        ("fontconfig", {"XDG_CACHE_HOME": "/var/cache/api"}),
        ("huggingface-hub", {"HF_HUB_OFFLINE": "1", "HF_HOME": "/var/lib/api/.cache/huggingface"}),
        ("huggingface_hub", {"HF_HUB_OFFLINE": "1", "HF_HOME": "/var/lib/api/.cache/huggingface"}),
    ],
)
def test_what_a_package_is_told(package: str, variables: dict[str, str]) -> None:
    assert dict(cache_variables(frozenset({"python", package}), "api")) == variables


def test_torch_keeps_what_it_compiles() -> None:
    for name in ("torch", "pytorch"):
        found = dict(cache_variables({name}, "api"))
        made = {"TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"}
        assert found.pop("TORCH_HOME") == "/var/lib/api/.cache/torch"
        assert found.keys() == made
        assert all(value.startswith("/var/cache/api/") for value in found.values())


def test_activation_has_the_last_word() -> None:
    said = Activation(variables=(("A", "set"), ("HF_HUB_OFFLINE", "0")), unset=("MPLCONFIGDIR",), scripts=())
    found = said.below(cache_variables({"huggingface-hub", "matplotlib", "numba"}, "api"))
    assert found.variables == (
        ("HF_HOME", "/var/lib/api/.cache/huggingface"),
        ("NUMBA_CACHE_DIR", "/var/cache/api/numba"),
        ("A", "set"),
        ("HF_HUB_OFFLINE", "0"),
    )
    assert found.unset == ("MPLCONFIGDIR",)
