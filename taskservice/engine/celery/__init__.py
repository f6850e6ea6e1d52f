"""Executions on Celery's workers; nothing else imports Celery, which is an extra."""
