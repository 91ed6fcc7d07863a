"""The nightly job, ``python -m inference.nightly``: how good is the model? The answer goes to the state directory."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import sklearn
from sklearn.model_selection import cross_val_score

from inference.model import data, untrained

_LEAST = 0.9


def main() -> int:
    """Write report.json beside what was there and rename it; 1 if the model is worse than it should be."""
    flowers = data()
    accuracy = float(cross_val_score(untrained(), flowers.data, flowers.target, cv=5).mean())
    report = {
        "accuracy": round(accuracy, 4),
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "scikit-learn": sklearn.__version__,
    }
    goal = Path(os.environ.get("STATE_DIRECTORY", "."), "report.json")
    partial = goal.with_suffix(".partial")
    partial.write_text(json.dumps(report) + "\n", encoding="utf-8")
    partial.replace(goal)
    print(f"accuracy {accuracy:.4f} with scikit-learn {sklearn.__version__}")
    return 0 if accuracy >= _LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
