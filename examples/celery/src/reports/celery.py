"""The application: ``celery --app reports``."""

from __future__ import annotations

import os

from celery import Celery

_REDIS = os.environ["REDIS_URL"]

app = Celery("reports", broker=_REDIS, backend=_REDIS, include=["reports.tasks"])
app.conf.update(
    # A task counts as done when it is, not when it is begun: after a power cut another worker does it again.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    # redis may be there later than we are: it is waited for, however long it takes.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    result_expires=86400,
    beat_schedule={"tidy": {"task": "reports.tasks.tidy", "schedule": float(os.environ["TIDY_EVERY"])}},
)
