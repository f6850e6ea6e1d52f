"""A user's module that takes long to import, so that a worker can be frozen meanwhile."""

import time

import fault_jobs  # type: ignore[import-not-found]

IMPORT_SECONDS = 2.5

time.sleep(IMPORT_SECONDS)


def work(path: str, seconds: float = 0.0) -> str:
    """See `fault_jobs.work`."""
    return str(fault_jobs.work(path, seconds))
