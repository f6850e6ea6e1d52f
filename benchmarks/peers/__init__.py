"""What a user would write or pick instead: each module is a process of its own."""

FLASK_JOBS_VARIABLE = "BENCHMARKS_JOBS"
"""The environment variable that tells Flask-APScheduler how many jobs there are."""

CELERY_ENTRIES_VARIABLE = "BENCHMARKS_ENTRIES"
"""The environment variable that tells Celery how many entries its beat has."""

REDIS_PORT_VARIABLE = "BENCHMARKS_REDIS_PORT"
"""The environment variable that tells Celery where Redis listens."""

BROKER_VARIABLE = "BENCHMARKS_BROKER"
"""The environment variable that tells Celery the URL of its broker."""
