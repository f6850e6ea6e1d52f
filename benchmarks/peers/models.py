"""The two tables as ORM models, as users write them on the design's schema."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, DateTime, ForeignKey, String, Text, event
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_MOMENT = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")


def utc_now() -> datetime:
    """Now, in UTC and without a zone, as the columns have it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_id() -> str:
    """A key."""
    return str(uuid4())


class Base(DeclarativeBase):
    """The models' base."""


class TaskManage(Base):
    """A task."""

    __tablename__ = "task_manage"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    task_type: Mapped[str] = mapped_column(String(50))
    status: Mapped[str] = mapped_column(String(20), default="pending", index=True)
    trigger_type: Mapped[str] = mapped_column(String(20))
    trigger_args: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    func_path: Mapped[str] = mapped_column(String(255))
    func_args: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    next_run_time: Mapped[datetime | None] = mapped_column(_MOMENT, index=True)
    max_instances: Mapped[int | None] = mapped_column(default=1)
    description: Mapped[str | None] = mapped_column(Text)
    create_time: Mapped[datetime] = mapped_column(_MOMENT, default=utc_now)
    update_time: Mapped[datetime] = mapped_column(_MOMENT, default=utc_now, onupdate=utc_now)


class TaskExecutionLog(Base):
    """An execution of a task."""

    __tablename__ = "task_execution_log"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    task_id: Mapped[str] = mapped_column(ForeignKey("task_manage.id"), index=True)
    scheduled_time: Mapped[datetime | None] = mapped_column(_MOMENT)
    start_time: Mapped[datetime] = mapped_column(_MOMENT, default=utc_now, index=True)
    end_time: Mapped[datetime | None] = mapped_column(_MOMENT)
    status: Mapped[str] = mapped_column(String(20), default="running", index=True)
    result: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)


def make_engine(url: str) -> AsyncEngine:
    """An engine with SQLAlchemy's usual pool; SQLite is as durable as the service has it."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    return engine
