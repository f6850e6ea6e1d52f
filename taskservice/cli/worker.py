"""`taskservice worker`: Celery's own worker, which runs the executions of queues here."""

import os

import rich_click as click

from taskservice.cli.hiding import hide_variables
from taskservice.settings import Settings, SettingsError, broker
from taskservice.settings.values import entries

MOST_AT_A_TIME = 1000


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--queues", help="Names of queues, comma-separated.  [TASKSERVICE_CELERY_QUEUE]")
@click.option(
    "--concurrency",
    type=click.IntRange(1, MOST_AT_A_TIME),
    help="Executions at a time, each in a process of its own.  [as many as cores]",
)
@click.option("--functions", help="Patterns of functions that tasks may call, comma-separated.")
@click.option("--import-path", help="Folders to import functions from, separated by colons.")
@click.option("--shutdown-grace", help="For running executions at a stop.  [30s]")
@click.argument("celery_options", nargs=-1, type=click.UNPROCESSED)
def worker(
    queues: str | None,
    concurrency: int | None,
    celery_options: tuple[str, ...],
    **flags: str | None,
) -> None:
    """Execute what tasks with the executor celery send to queues.

    It needs the service's TASKSERVICE_DATABASE_URL and TASKSERVICE_CELERY_BROKER, and the modules
    of the functions. What follows -- goes to Celery's worker.

    \b
    Examples:
      taskservice worker
      taskservice worker --queues reports,mail -- --loglevel INFO
    """
    settings = Settings.from_environment(os.environ, **flags)
    if not settings.celery_broker:
        raise SettingsError("taskservice worker needs a broker: set TASKSERVICE_CELERY_BROKER")
    names = entries(queues) if queues is not None else (settings.celery_queue,)
    if not names or not all(map(broker.is_queue, names)):
        raise click.UsageError(
            f"--queues is {queues!r}: names of queues, separated by commas, each 1 to 100 letters, "
            "digits, dots, dashes and underscores"
        )
    unknown = Settings.unknown(os.environ)
    hide_variables()
    # Celery takes a second to import: no other command waits for it.
    from taskservice.cli.work import run_worker

    run_worker(
        settings,
        unknown,
        queues=tuple(dict.fromkeys(names)),
        concurrency=concurrency or os.cpu_count() or 1,
        celery_options=celery_options,
    )
