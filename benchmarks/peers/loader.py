"""A loader written by hand: each file by `yaml.safe_load`, an ORM session and `add_job`.

`python -m benchmarks.peers.loader URL FOLDER` ends once everything stands and is scheduled.
"""

import asyncio
import logging
import sys
from datetime import UTC
from pathlib import Path
from typing import Any

import yaml
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.peers.models import Base, TaskManage, make_engine
from benchmarks.work import nothing


def _read(path: Path) -> dict[str, Any]:
    declared: dict[str, Any] = yaml.safe_load(path.read_text())
    return {"id": path.stem, **declared}


async def _load(
    sessions: async_sessionmaker[AsyncSession], scheduler: Any, declared: dict[str, Any]
) -> None:
    task_id = declared["id"]
    async with sessions() as session:
        task = await session.get(TaskManage, task_id)
        if task is None:
            task = TaskManage(id=task_id)
            session.add(task)
        for name, value in declared.items():
            setattr(task, name, value)
        job = scheduler.add_job(
            nothing, declared["trigger_type"], id=task_id, replace_existing=True,
            **declared["trigger_args"],
        )  # fmt: skip
        if job.next_run_time:
            task.next_run_time = job.next_run_time.astimezone(UTC).replace(tzinfo=None)
        await session.commit()


async def _serve(url: str, paths: list[Path]) -> None:
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start(paused=True)
    for path in paths:
        await _load(sessions, scheduler, _read(path))
    scheduler.resume()
    scheduler.shutdown(wait=False)
    await engine.dispose()


if __name__ == "__main__":
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    asyncio.run(_serve(sys.argv[1], sorted(Path(sys.argv[2]).rglob("*.yaml"))))
