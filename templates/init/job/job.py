"""A minimal job, run by a systemd timer. Put your code in main()."""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
from pathlib import Path

log = logging.getLogger("job")


def main() -> None:
    """One run. An exception fails it: systemctl --failed lists it, and the journal has the traceback."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    report = Path(os.environ.get("REPORT", "report.txt"))  # in the job's state directory
    report.write_text(f"ran at {dt.datetime.now().astimezone().isoformat(timespec='seconds')}\n")
    log.info("wrote %s", report.resolve())


if __name__ == "__main__":
    main()
