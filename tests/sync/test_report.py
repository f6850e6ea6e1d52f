"""The report of a sync: bounded, logged in part, and in no sync's way."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from taskservice.domain.errors import Fault
from taskservice.domain.plan import Held
from taskservice.storage.database import Database
from taskservice.storage.rows import to_json
from taskservice.sync.report import LOGGED, SMALL_BYTES, Report, last_report
from tests.databases import MariaDB

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def faults(number: int) -> tuple[Fault, ...]:
    return tuple(
        Fault(reason="'\"\\" * 300, path=f"{n}.yaml", line=1, column=1, field="x")
        for n in range(number)
    )


async def test_few_of_many_new_faults_are_logged_and_the_rest_is_counted(empty_url: str) -> None:
    database = Database(empty_url)
    report = Report(database)
    report.faults = faults(100)
    with capture_logs() as lines:
        await report.save(None, NOW)
        await report.save(None, NOW + timedelta(seconds=30))
    assert len([line for line in lines if line["event"] == "task_file_refused"]) == LOGGED
    (counted,) = (line for line in lines if line["event"] == "task_files_refused")
    assert counted["more"] == 100 - LOGGED
    async with database.read() as connection:
        stored = await last_report(connection)
    assert len(stored["errors"]) == 100
    assert {error["since"] for error in stored["errors"]} == {NOW.isoformat()}
    assert stored["files_at_fault"] == 100
    await database.close()


async def test_a_report_of_faults_without_end_fits_a_small_packet(empty_url: str) -> None:
    database = Database(empty_url)
    report = Report(database)
    report.faults = faults(20_000)
    await report.save("abc", NOW)
    async with database.read() as connection:
        stored = await last_report(connection)
    assert len(to_json(stored)) < 400 * 1024
    assert stored["files_at_fault"] == 20_000
    assert stored["errors"][-1]["reason"].endswith("more faults in all files together")
    await database.close()


@pytest.fixture
def narrow_url(mariadb_server: MariaDB, mariadb_tables: str) -> Iterator[str]:
    """A database whose server takes packets of 64 KiB."""
    with mariadb_server.packets_up_to(64 * 1024):
        yield mariadb_tables


async def test_a_report_that_cant_be_stored_is_reduced(narrow_url: str) -> None:
    database = Database(narrow_url)
    report = Report(database)
    report.faults = faults(300)
    report.held = Held(reason="most", task_ids=tuple(f"task-{n}" for n in range(300)))
    with capture_logs() as lines:
        await report.save("abc", NOW)
    assert lines[-1]["event"] == "sync_report_reduced"
    async with database.read() as connection:
        stored = await last_report(connection)
    (error,) = stored["errors"]
    assert error["reason"].endswith("faults were found, but can't be kept: see the log")
    assert (stored["files_at_fault"], stored["revision"]) == (300, "abc")
    assert stored["held"]["task_ids"] == [f"task-{n}" for n in range(100)]
    assert len(to_json(stored)) < SMALL_BYTES
    # It is the stored one alone that is reduced.
    assert len(report.held.task_ids) == 300
    report.faults, report.held = (), None
    await report.save("abd", NOW)
    async with database.read() as connection:
        assert (await last_report(connection))["errors"] == []
    await database.close()


def test_a_name_that_no_encoding_has_is_stored_all_the_same(empty_url: str) -> None:
    async def work() -> None:
        database = Database(empty_url)
        report = Report(database)
        report.faults = (Fault(reason="x\udc80", path="\udcff.yaml", field="\ud800"),)
        await report.save(None, NOW)
        await database.close()

    asyncio.run(work())
