"""A scheduler written by hand: AsyncIOScheduler, and an ORM session for each execution.

`python -m benchmarks.peers.by_hand URL FILE`; FILE holds the triggers as JSON.
"""

import asyncio
import logging
import sys
import time
from datetime import UTC
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.peers.models import Base, TaskExecutionLog, TaskManage, make_engine, utc_now
from benchmarks.peers.timer import make_scheduler, triggers_of
from benchmarks.peers.told import scheduled
from benchmarks.record import Writer, from_environment


class HandWritten:
    """Runs the jobs of a scheduler, with a row before each and an update after it."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], writer: Writer) -> None:
        self._sessions = sessions
        self._writer = writer
        self.scheduler = make_scheduler()

    async def add(self, triggers: list[tuple[str, dict[str, Any]]]) -> None:
        """Store a task for each trigger, and schedule it."""
        async with self._sessions() as session:
            for index, (kind, args) in enumerate(triggers):
                task = TaskManage(
                    id=f"task-{index:05}", name=f"Task {index}", task_type="benchmark",
                    trigger_type=kind, trigger_args=args, func_path="noop", func_args={},
                )  # fmt: skip
                session.add(task)
                self.scheduler.add_job(
                    partial(self.execute, task.id), kind, id=task.id, **args
                )  # fmt: skip
            await session.commit()

    async def noop(self) -> object:
        """The function that tasks call."""
        called = time.time()
        self._writer.note(scheduled.get().timestamp(), called)
        return None

    async def execute(self, task_id: str) -> None:
        """One execution: a committed row, the function, and how it ended."""
        due = scheduled.get().astimezone(UTC).replace(tzinfo=None)
        async with self._sessions() as session:
            execution = TaskExecutionLog(
                task_id=task_id, scheduled_time=due, start_time=utc_now(), status="running"
            )
            session.add(execution)
            await session.commit()
            try:
                result = await self.noop()
            except Exception as error:
                execution.status, execution.error = "failed", str(error)
            else:
                execution.status, execution.result = "completed", str(result)
            execution.end_time = utc_now()
            task = await session.get_one(TaskManage, task_id)
            job = self.scheduler.get_job(task_id)
            task.status = "pending" if execution.status == "completed" else "failed"
            task.next_run_time = job.next_run_time.astimezone(UTC).replace(tzinfo=None)
            await session.commit()


async def _serve(url: str, path: str, writer: Writer) -> None:
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    hand_written = HandWritten(async_sessionmaker(engine, expire_on_commit=False), writer)
    await hand_written.add(triggers_of(path))
    hand_written.scheduler.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    found = from_environment()
    assert found, "the record is missing"
    asyncio.run(_serve(sys.argv[1], sys.argv[2], found))
