"""A user's module that services have and workers have not."""

import fault_jobs  # type: ignore[import-not-found]


def work(path: str, seconds: float = 0.0) -> str:
    """See `fault_jobs.work`."""
    return str(fault_jobs.work(path, seconds))
