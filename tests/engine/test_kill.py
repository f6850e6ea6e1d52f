import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskservice.domain.errors import Unavailable
from taskservice.engine.engine import Engine
from tests.databases import MariaDB, new_server
from tests.engine.engine_process import POINTS
from tests.engine.harness import Bench, contiguous, every, grows, idle, ran_at_most_once, until

ROOT = Path(__file__).parents[2]
TIMES = (1, 2, 3)
LEAVE_ONE_OPEN = {
    "after-claim", "before-call", "during-call", "after-call", "before-end", "within-end",
}  # fmt: skip
"""The points at which one execution at least is claimed and not ended."""


async def check(bench: Bench, *task_ids: str) -> None:
    """Check that every fire has its one row, that none ran twice, and that no row is open."""
    for task_id in task_ids:
        rows = await bench.rows(task_id)
        contiguous(rows, await bench.state(task_id))
        assert {row.attempt for row in rows} <= {1}
        ran_at_most_once(rows, bench.evidence(task_id))


async def test_an_engine_killed_at_every_point(bench: Bench) -> None:
    ids = ("a", "b", "c")
    await bench.put(
        bench.noting("a", **every(0.1)),
        bench.noting("b", **every(0.15), coalesce=False, max_instances=1000),
        bench.noting("c", **every(0.2), max_instances=2),
    )
    deaths = [f"{point}:{nth}" for nth in TIMES for point in POINTS]
    script = [sys.executable, "-m", "tests.engine.engine_process", "chain", bench.url, *deaths]
    done = await asyncio.to_thread(subprocess.run, script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    engine = await bench.start()
    for task_id in ids:
        await grows(bench.counter(task_id))
    await engine.drain(10)
    await check(bench, *ids)
    rows = await bench.rows(status="failed")
    assert len(rows) >= len(LEAVE_ONE_OPEN) * len(TIMES)
    assert {(row.error or "").partition(":")[0] for row in rows} == {"interrupted"}


@pytest.fixture
def own_mariadb() -> Iterator[MariaDB]:
    with new_server() as server:
        yield server


async def only_run(engine: Engine, count: int) -> None:
    """Wait until only so many executions run."""
    await until(lambda: engine.running == count)


async def test_a_database_killed_under_load(own_mariadb: MariaDB, tmp_path: Path) -> None:
    bench = Bench(own_mariadb.create_database(), tmp_path)
    await bench.prepare()
    quick = [f"t{number}" for number in range(20)]
    ids = [*quick, "blocked"]
    await bench.put(
        *(bench.noting(task_id, **every(0.1 + 0.02 * number)) for number, task_id in
          enumerate(quick)),
        bench.noting("blocked", "wait_for", **every(0.5)),
        bench.noting("by hand"),
    )  # fmt: skip

    ran = bench.counter(*quick)
    try:
        engine = await bench.start()
        await bench.running("blocked")
        for blocked in (1, 0):
            await grows(ran, by=100)
            await asyncio.to_thread(own_mariadb.kill)
            with pytest.raises(Unavailable):
                await engine.trigger("by hand", None, by="ann")
            # What was claimed before may still run; of what comes due now nothing may.
            await only_run(engine, blocked)
            count = ran()
            bench.open_gate()
            await until(lambda: idle(engine))
            assert ran() == count
            await asyncio.to_thread(own_mariadb.start)
            await grows(ran, limit=5)
        await engine.drain(10)
        await check(bench, *ids)
        assert bench.evidence("by hand") == [row.id for row in await bench.rows("by hand")]
        statuses = {row.status for row in await bench.rows()}
        assert statuses <= {"completed", "skipped"}
    finally:
        await bench.close()
