"""How many tasks and overrides there are."""

from taskservice.domain.overlay import Override
from taskservice.storage.database import Database
from taskservice.storage.overrides import save_overrides
from taskservice.storage.totals import Totals, totals
from tests.storage.samples import NOW, make_state, save


async def counted(database: Database) -> Totals:
    async with database.read() as connection:
        return await connection.run_sync(totals)


async def test_an_empty_database_has_none(database: Database) -> None:
    assert await counted(database) == Totals(retired=0, overrides=0)


async def test_retired_tasks_are_counted_apart(database: Database) -> None:
    await save(
        database,
        make_state("a", drift="conflict"),
        make_state("b", status="failed"),
        make_state("c", status="failed", source="api"),
        make_state("d", status="paused", retired_at=NOW),
    )
    field = Override(
        field="description", value="x", declared_when_set=None, set_at=NOW, set_by="ann"
    )
    deleted = Override(field="deleted", value=True, declared_when_set=None, set_at=NOW, set_by="a")
    overrides = {"a": [field], "d": [field], "gone": [field, deleted]}
    await database.write(lambda connection: save_overrides(connection, overrides))
    found = await counted(database)
    assert found.by_status == {"pending": 1, "failed": 2}
    assert found.by_drift == {"conflict": 1, "in_sync": 1}
    assert (found.retired, found.overrides) == (1, 3)
