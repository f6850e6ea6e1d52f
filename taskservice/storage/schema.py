"""Brings the database to the tables that this version works with, or says why it can't."""

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from taskservice.domain.errors import StartError
from taskservice.storage.database import Database
from taskservice.storage.dialects.dialect import LockKept

HEAD = "0014"
"""The revision of the newest migration."""

LOCK_SECONDS = 30
"""How long another process may take to change the tables before a start gives up."""

_BROKEN = (SQLAlchemyError, OSError, EOFError, RuntimeError)


async def prepare(database: Database, *, lock_seconds: int = LOCK_SECONDS) -> None:
    """Create the tables, migrate older ones, and leave current ones as they are.

    Raises `StartError` where the database can't be reached, is of a newer version, or refuses
    the change. Of several processes that start at once, one does the work, and the others wait for
    it, at most `lock_seconds`.
    """
    try:
        current = await _is_current(database.engine)
    except _BROKEN as error:
        raise StartError(
            f"no database at {_place(database)}: {_cause(error)}; check TASKSERVICE_DATABASE_URL"
        ) from error
    if current:
        return
    try:
        async with database.connections.migrating(lock_seconds) as connection:
            await connection.run_sync(_migrate, _place(database))
            await connection.commit()
    except LockKept:
        raise StartError(
            f"another process has been changing the tables in {_place(database)} for more than "
            f"{lock_seconds} seconds; start again when it is done"
        ) from None
    except _BROKEN as error:
        raise StartError(
            f"can't bring the tables in {_place(database)} to revision {HEAD}: {_cause(error)}; "
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


def _place(database: Database) -> str:
    """The URL without what may be secret in it: the password and the options."""
    return database.url.set(query={}).render_as_string(hide_password=True)


def _cause(error: BaseException) -> str:
    """One line of what the driver said, which names no password."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    said: Any = cause.args[-1] if cause.args else ""
    return (str(said) or type(cause).__name__).splitlines()[0][:300]
