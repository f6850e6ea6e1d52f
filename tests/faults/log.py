"""The service's tables as anybody may read them: with the drivers that block, in plain SQL."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pymysql

from tests.faults.oracle import to_moment

CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of `task_execution_log`; times are microseconds since 1970."""

    id: str
    task_id: str
    fire: int | None
    attempt: int
    folded: int
    status: str
    start: int
    end: int | None
    error: str | None
    result: str | None
    queue: str | None = None
    queued: int | None = None
    worker: str | None = None

    @property
    def claimed(self) -> int:
        """Since when it fills an instance: the beginning of what was queued is later."""
        return self.start if self.queued is None else self.queued

    @property
    def word(self) -> str | None:
        """The word with which the error begins."""
        return self.error.partition(":")[0] if self.error else None


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement on the database that the service has under this URL."""
    connection = _sqlite(url) if url.startswith("sqlite") else _mysql(url)
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        found = list(cursor.fetchall())
        connection.commit()
        return found


def _sqlite(url: str) -> Any:
    return sqlite3.connect(url.partition(":///")[2], timeout=CONNECT_SECONDS)


def _mysql(url: str) -> Any:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.lstrip("/"),
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=CONNECT_SECONDS,
    )


def read_log(url: str) -> list[Row]:
    """Every row of the log."""
    found = query(
        url,
        "SELECT id, task_id, scheduled_time, attempt, folded, status, start_time, end_time, error,"
        " result, queue, queued_at, worker FROM task_execution_log ORDER BY start_time, id",
    )
    return [
        Row(
            id=one[0],
            task_id=one[1],
            fire=_moment(one[2]),
            attempt=one[3],
            folded=one[4],
            status=one[5],
            start=_moment(one[6]) or 0,
            end=_moment(one[7]),
            error=one[8],
            result=one[9],
            queue=one[10],
            queued=_moment(one[11]),
            worker=one[12],
        )
        for one in found
    ]


def next_fire(url: str) -> int | None:
    """The earliest next fire of all tasks that are not paused, in microseconds since 1970."""
    ((found,),) = query(
        url,
        "SELECT MIN(next_run_time) FROM task_manage"
        " WHERE next_run_time IS NOT NULL AND status <> 'paused'",
    )
    return _moment(found)


def _moment(value: datetime | str | None) -> int | None:
    if value is None:
        return None
    return to_moment(datetime.fromisoformat(value) if isinstance(value, str) else value)
