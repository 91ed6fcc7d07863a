"""A job to start from: it waits until RUN_AT, runs, and waits again. Put yours into run()."""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
import time
from pathlib import Path

log = logging.getLogger("job")


def run() -> None:
    """Once a day. An error that is raised here ends the program; systemd writes it down and starts it anew."""
    report = Path("report.txt")  # in the job's state directory
    report.write_text(f"ran at {dt.datetime.now().astimezone().isoformat(timespec='seconds')}\n")
    log.info("wrote %s", report.resolve())


def next_time(now: dt.datetime, run_at: dt.time) -> dt.datetime:
    """The first moment after ``now`` at which the clock shows ``run_at``."""
    today = dt.datetime.combine(now, run_at)
    return today if today > now else today + dt.timedelta(days=1)


def main() -> None:
    """Until it is told to stop."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
    run_at = dt.time.fromisoformat(os.environ.get("RUN_AT", "02:30"))
    while True:
        due = next_time(dt.datetime.now(), run_at)  # noqa: DTZ005 -- the server's own time is meant
        log.info("next run at %s", due)
        while (left := (due - dt.datetime.now()).total_seconds()) > 0:  # noqa: DTZ005
            time.sleep(min(left, 60))  # the clock may be set meanwhile
        run()


if __name__ == "__main__":
    main()
