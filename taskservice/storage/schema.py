"""Brings the database to the tables that this version works with, or says why it can't."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from taskservice.domain.errors import StartError
from taskservice.storage.database import Database, driver_arguments

HEAD = "0008"
"""The revision of the newest migration."""

LOCK = "taskservice.schema"
LOCK_SECONDS = 30
# A big table takes its time; another program that holds on to one is not waited for so long.
MIGRATE_SECONDS = 3600
TABLE_LOCK_SECONDS = 60

_BROKEN = (SQLAlchemyError, OSError, EOFError, RuntimeError)


async def prepare(database: Database) -> None:
    """Create the tables, migrate older ones, and leave current ones as they are.

    Raises `StartError` where the database can't be reached, is of a newer version, or refuses
    the change. Of several processes that start at once on MySQL, one does the work.
    """
    try:
        current = await _is_current(database.engine)
    except _BROKEN as error:
        raise StartError(
            f"no database at {_shown(database)}: {_cause(error)}; check TASKSERVICE_DATABASE_URL"
        ) from error
    if current:
        return
    try:
        async with _patient_connection(database) as connection:
            if not database.is_sqlite:
                await _lock(connection, database)
            await connection.run_sync(_migrate, _shown(database))
            await connection.commit()
    except _BROKEN as error:
        raise StartError(
            f"can't bring the tables in {_shown(database)} to revision {HEAD}: {_cause(error)}; "
            "the next start goes on from here"
        ) from error


async def _is_current(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        try:
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        except (OperationalError, ProgrammingError):
            # There is no such table, most likely; if it is worse, the migration will say so.
            return False
        return found.scalars().all() == [HEAD]


@asynccontextmanager
async def _patient_connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection to change tables with, which may take longer than a query of the service."""
    if database.is_sqlite:
        async with database.engine.connect() as connection:
            yield await connection.execution_options(writes=True)
        return
    engine = create_async_engine(
        database.url,
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        json_serializer=_dumps,
        connect_args=driver_arguments(database.url, read_seconds=MIGRATE_SECONDS)
        | {"init_command": f"SET lock_wait_timeout = {TABLE_LOCK_SECONDS}"},
    )
    # Its end gives the lock back, whatever happened.
    async with engine.connect() as connection:
        yield connection


async def _lock(connection: AsyncConnection, database: Database) -> None:
    taken = await connection.scalar(
        text("SELECT GET_LOCK(:name, :seconds)"), {"name": LOCK, "seconds": LOCK_SECONDS}
    )
    if taken != 1:
        raise StartError(
            f"another process has been changing the tables in {_shown(database)} for more than "
            f"{LOCK_SECONDS} seconds; start again when it is done"
        )


def _migrate(connection: Connection, shown: str) -> None:
    # Alembic takes longer to import than most starts need it for.
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "taskservice.storage:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    if unknown := sorted(set(found) - known):
        raise StartError(
            f"the tables in {shown} are at revision {', '.join(unknown)}, which this version of "
            f"taskservice does not know: it works with {HEAD}; run a newer version, "
            "or use another database"
        )
    command.upgrade(config, "head")


def _shown(database: Database) -> str:
    """The URL without what may be secret in it: the password and the options."""
    return database.url.set(query={}).render_as_string(hide_password=True)


def _cause(error: BaseException) -> str:
    """One line of what the driver said, which names no password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said: Any = cause.args[-1] if cause.args else ""
    return (str(said) or type(cause).__name__).splitlines()[0][:300]


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
