"""The model: which iris is it? Small enough to be trained at each start, and by any version of the libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES = 4


def data() -> Any:
    """150 flowers, shipped with scikit-learn."""
    return load_iris()


def untrained() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


class Model:
    """A trained classifier."""

    def __init__(self) -> None:
        flowers = data()
        self._names = [str(name) for name in flowers.target_names]
        self._classifier = untrained().fit(flowers.data, flowers.target)

    def predict(self, samples: Sequence[Sequence[float]]) -> list[str]:
        """The name of the kind of each sample, which is four lengths in centimetres."""
        return [self._names[int(kind)] for kind in self._classifier.predict(samples)]
