"""Bare Litestar handlers, on the ORM and from memory: `python -m benchmarks.peers.bare URL PORT N`.

The stack is the service's: uvicorn with uvloop and httptools, one process.
"""

import asyncio
import sys
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar, get, post
from litestar.exceptions import NotFoundException
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.peers.models import Base, TaskManage, make_engine
from benchmarks.tasks import mixed

_COLUMNS = [column.name for column in TaskManage.__table__.columns]


def _shown(task: TaskManage) -> dict[str, Any]:
    return {name: getattr(task, name) for name in _COLUMNS}


async def make_app(url: str, count: int) -> Litestar:
    """The handlers, over a new table with so many tasks."""
    engine = make_engine(url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    rows = [{"id": task.id, "func_args": {}, **task.fields()} for task in mixed(count)]
    async with sessions() as session:
        await session.execute(insert(TaskManage), rows)
        await session.commit()
        stored = (await session.scalars(select(TaskManage).order_by(TaskManage.id))).all()
    memory = {task.id: _shown(task) for task in stored}
    listed = list(memory.values())

    @get("/orm/{task_id:str}")
    async def orm_one(task_id: str) -> dict[str, Any]:
        async with sessions() as session:
            task = await session.get(TaskManage, task_id)
            if task is None:
                raise NotFoundException
            return _shown(task)

    @get("/orm")
    async def orm_page(page: int = 1, size: int = 50) -> list[dict[str, Any]]:
        query = select(TaskManage).order_by(TaskManage.id).limit(size).offset((page - 1) * size)
        async with sessions() as session:
            return [_shown(task) for task in await session.scalars(query)]

    @post("/orm")
    async def orm_insert(data: dict[str, Any]) -> dict[str, Any]:
        async with sessions() as session:
            task = TaskManage(**data)
            session.add(task)
            await session.commit()
            return _shown(task)

    @get("/memory/{task_id:str}")
    async def memory_one(task_id: str) -> dict[str, Any]:
        return memory[task_id]

    @get("/memory")
    async def memory_page(page: int = 1, size: int = 50) -> list[dict[str, Any]]:
        return listed[(page - 1) * size : page * size]

    handlers = [orm_one, orm_page, orm_insert, memory_one, memory_page]
    return Litestar(handlers, logging_config=None, openapi_config=None)


async def _serve(url: str, port: int, count: int) -> None:
    config = uvicorn.Config(
        await make_app(url, count), host="127.0.0.1", port=port, http="httptools", ws="none",
        log_config=None, access_log=False, lifespan="off",
    )  # fmt: skip
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
