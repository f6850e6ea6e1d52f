"""What a user would write or pick instead: each module is a process of its own."""

FLASK_JOBS_VARIABLE = "BENCHMARKS_JOBS"
"""The environment variable that tells Flask-APScheduler how many jobs there are."""
