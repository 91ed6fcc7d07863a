"""Cache directories and offline modes of well-known packages, as environment variables.

By default such packages write next to their modules, which are read-only, to ``/tmp``, which is lost on a restart, or
to the home directory, which is the service's state and is backed up. These variables come first, so that everything
else that sets one of them overrides it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.units.unitfile import fill

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["cache_variables"]

_TORCH = ("libtorch", "pytorch", "torch")
_CUDA = ("cuda-cudart", "cudatoolkit", "cupy", "jaxlib", "tensorflow")
_HUB = ("huggingface-hub", "huggingface_hub")
_VARIABLES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("fontconfig",), "XDG_CACHE_HOME", "{cache}"),
    (_HUB, "HF_HUB_OFFLINE", "1"),  # a server has no network, and waits minutes for each file that it looks up
    (_HUB, "HF_HOME", "{state}/.cache/huggingface"),  # models are no cache where they cannot be fetched again
    (("matplotlib", "matplotlib-base"), "MPLCONFIGDIR", "{cache}/matplotlib"),
    (("numba",), "NUMBA_CACHE_DIR", "{cache}/numba"),
    (_TORCH, "TORCH_HOME", "{state}/.cache/torch"),  # models, too: wherever XDG_CACHE_HOME points
    (_TORCH, "TORCHINDUCTOR_CACHE_DIR", "{cache}/torchinductor"),
    (_TORCH, "TORCH_EXTENSIONS_DIR", "{cache}/torch_extensions"),
    ((*_TORCH, "triton"), "TRITON_CACHE_DIR", "{cache}/triton"),
    (("cupy",), "CUPY_CACHE_DIR", "{cache}/cupy"),
    (("tensorflow-hub",), "TFHUB_CACHE_DIR", "{state}/.cache/tfhub"),  # in /tmp unless said
    ((*_TORCH, *_CUDA), "CUDA_CACHE_PATH", "{cache}/cuda"),
)
"""Packages by their names in conda and PyPI, a variable and its value, which may have ``{cache}`` and ``{state}``."""


def cache_variables(packages: AbstractSet[str], user: str) -> tuple[tuple[str, str], ...]:
    """The variables for the services that run as ``user``, in an environment that has ``packages``."""
    where = {"cache": f"/var/cache/{user}", "state": f"/var/lib/{user}"}
    return tuple((variable, fill(value, where)) for users, variable, value in _VARIABLES if packages & set(users))
