"""The database's tables: made new, migrated, left alone, or refused with a clear line."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DefaultClause, Engine, event, select, text
from sqlalchemy.engine import make_url

from taskservice.domain.errors import StartError
from taskservice.domain.overlay import digest
from taskservice.storage.database import Database
from taskservice.storage.executions import retries
from taskservice.storage.schema import HEAD, prepare
from taskservice.storage.tables import metadata, task_declaration, task_execution_log, task_manage
from tests.databases import MYSQL, SEARCH_PATH, MariaDB

SCHEMA_SQL = Path(__file__).parents[2] / "schema.sql"

# The two statements of the design that started the project, letter by letter.
SEED = """
CREATE TABLE `task_manage` (
  `id` varchar(36) NOT NULL COMMENT '任务ID',
  `name` varchar(100) NOT NULL COMMENT '任务名称',
  `task_type` varchar(50) NOT NULL COMMENT '任务类型',
  `status` varchar(20) NOT NULL DEFAULT 'pending' COMMENT '任务状态：pending/running/paused/completed/failed',
  `trigger_type` varchar(20) NOT NULL COMMENT '触发器类型：date/interval/cron',
  `trigger_args` json DEFAULT NULL COMMENT '触发器参数，JSON格式',
  `func_path` varchar(255) NOT NULL COMMENT '执行函数路径',
  `func_args` json DEFAULT NULL COMMENT '函数参数，JSON格式',
  `next_run_time` datetime DEFAULT NULL COMMENT '下次运行时间',
  `max_instances` int DEFAULT 1 COMMENT '最大实例数',
  `description` text COMMENT '任务描述',
  `create_time` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP COMMENT '创建时间',
  `update_time` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP COMMENT '更新时间',
  PRIMARY KEY (`id`),
  KEY `idx_status` (`status`),
  KEY `idx_next_run_time` (`next_run_time`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='定时任务管理表';

CREATE TABLE `task_execution_log` (
  `id` varchar(36) NOT NULL COMMENT '日志ID',
  `task_id` varchar(36) NOT NULL COMMENT '任务ID',
  `start_time` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP COMMENT '开始时间',
  `end_time` datetime DEFAULT NULL COMMENT '结束时间',
  `status` varchar(20) NOT NULL DEFAULT 'running' COMMENT '状态：running/completed/failed',
  `result` text COMMENT '执行结果',
  `error` text COMMENT '错误信息',
  PRIMARY KEY (`id`),
  KEY `idx_task_id` (`task_id`),
  KEY `idx_start_time` (`start_time`),
  KEY `idx_status` (`status`),
  CONSTRAINT `fk_task_execution_log_task_id` FOREIGN KEY (`task_id`) REFERENCES `task_manage` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='任务执行日志表';
"""  # noqa: E501

ROWS = """
INSERT INTO task_manage (id, name, task_type, status, trigger_type, trigger_args, func_path,
  func_args, next_run_time, max_instances, description, create_time, update_time) VALUES
 ('notice', '定时通知任务', 'notification', 'pending', 'cron', '{"hour": "9", "minute": "0"}',
  'a.b.notice', '{"message": "你好"}', '2026-01-06 09:00:00', 2, '每天', '2026-01-05 10:00:00',
  '2026-01-05 11:00:00'),
 ('held', 'Held', 'x', 'paused', 'date', NULL, 'a.b.held', NULL, '2026-01-06 09:00:00', NULL,
  NULL, '2026-01-05 12:00:00', '2026-01-05 13:00:00'),
 ('busy', 'Busy', 'x', 'running', 'interval', '{"hours": 1}', 'a.b.busy', '{}', NULL, 1, '',
  '2026-01-05 14:00:00', '2026-01-05 15:00:00');
INSERT INTO task_execution_log (id, task_id, start_time, end_time, status, result, error) VALUES
 ('done', 'notice', '2026-01-05 09:00:00', '2026-01-05 09:00:01', 'completed', '{}', NULL),
 ('open', 'busy', '2026-01-05 14:00:00', NULL, 'running', NULL, NULL);
"""

Snapshot = dict[str, list[tuple[Any, ...]]]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def prepared(url: str) -> None:
    async with opened(url) as database:
        await prepare(database)


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", "taskservice.storage:migrations")
    return made


async def upgrade(url: str, revision: str) -> None:
    """Runs the migrations up to a revision, as somebody at a prompt would."""

    def run(connection: Connection) -> None:
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, revision)

    async with opened(url) as database, database.engine.begin() as connection:
        await connection.run_sync(run)


async def execute(url: str, statements: str) -> None:
    async with opened(url) as database, database.engine.begin() as connection:
        for statement in statements.split(";\n"):
            if statement.strip():
                await connection.exec_driver_sql(statement)


async def make_seed(url: str) -> None:
    """The design's tables with rows in them, as somebody made them by hand."""
    if url.startswith("sqlite"):
        await upgrade(url, "0001")
        await execute(url, "DROP TABLE alembic_version;\n")
    else:
        await execute(url, SEED)
    await execute(url, ROWS)


def load_schema_sql(url: str) -> None:
    parts = make_url(url)
    program = shutil.which("mariadb", path=SEARCH_PATH)
    assert program, "the mariadb client is missing: apt-get install mariadb-client-core"
    with SCHEMA_SQL.open("rb") as script:
        subprocess.run(
            [
                program, "--no-defaults", "--protocol=tcp", f"--host={parts.host}",
                f"--port={parts.port}", f"--user={parts.username}", str(parts.database),
            ],
            stdin=script,
            env={**os.environ, "MYSQL_PWD": str(parts.password), "LC_ALL": "C"},
            check=True,
        )  # fmt: skip


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    parts = make_url(url)
    with (
        pymysql.connect(
            host=parts.host, port=parts.port or 0, user=parts.username,
            password=str(parts.password), database=parts.database,
        ) as connection,
        connection.cursor() as cursor,
    ):  # fmt: skip
        cursor.execute(statement)
        return list(cursor.fetchall())


def snapshot(url: str) -> Snapshot:
    """Everything that MariaDB knows of our tables, but for alembic's own."""
    ours = "{0}schema = DATABASE() AND {1}table_name <> 'alembic_version'"
    table, constraint = ours.format("table_", ""), ours.format("constraint_", "")
    return {
        "tables": query(
            url,
            "SELECT table_name, engine, table_collation, table_comment "
            f"FROM information_schema.tables WHERE {table} ORDER BY 1",
        ),
        "columns": query(
            url,
            "SELECT table_name, ordinal_position, column_name, column_type, is_nullable, "
            "column_default, extra, column_comment, character_set_name, collation_name "
            f"FROM information_schema.columns WHERE {table} ORDER BY 1, 2",
        ),
        "indexes": query(
            url,
            "SELECT table_name, index_name, seq_in_index, column_name, non_unique, sub_part, "
            f"index_type FROM information_schema.statistics WHERE {table} ORDER BY 1, 2, 3",
        ),
        "keys": query(
            url,
            "SELECT table_name, constraint_name, referenced_table_name, unique_constraint_name, "
            "update_rule, delete_rule FROM information_schema.referential_constraints "
            f"WHERE {constraint} ORDER BY 1, 2",
        ),
        # MySQL has none: its JSON is a type of its own.
        "checks": []
        if MYSQL
        else query(
            url,
            "SELECT table_name, constraint_name, check_clause "
            f"FROM information_schema.check_constraints WHERE {constraint} ORDER BY 1, 2",
        ),
    }


async def differences(url: str) -> list[Any]:
    """What alembic would change to bring the database to tables.py."""

    def wanted(item: Any, name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
        # The index on the log's status has a name for MySQL and one for SQLite.
        absent = "idx_status" if url.startswith("sqlite") else "idx_log_status"
        return not (
            kind == "index" and not reflected and name == absent
            and item.table.name == "task_execution_log"
        )  # fmt: skip

    def default_differs(
        _context: Any, _found: Any, column: Any, default: str | None, _known: Any, _text: Any
    ) -> bool:
        given = column.server_default
        if given is None or default is None:
            return given is not default
        # tables.py says of the other columns only that there is a default.
        return isinstance(given, DefaultClause) and default.strip("()'") != given.arg

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": default_differs,
                "include_object": wanted,
            },
        )
        found: list[Any] = compare_metadata(context, metadata)
        return found

    async with opened(url) as database, database.engine.connect() as connection:
        return await connection.run_sync(compare)


async def test_schema_sql_and_the_migrations_make_the_same_tables(
    new_database: Callable[[], str],
) -> None:
    by_hand, fresh, grown = new_database(), new_database(), new_database()
    load_schema_sql(by_hand)
    await prepared(fresh)
    await make_seed(grown)
    await prepared(grown)
    assert len(snapshot(by_hand)["tables"]) == len(metadata.tables)
    assert snapshot(fresh) == snapshot(by_hand)
    assert snapshot(grown) == snapshot(by_hand)
    revision = "SELECT version_num FROM alembic_version"
    assert query(by_hand, revision) == query(fresh, revision) == query(grown, revision)


async def test_the_tables_that_sqlalchemy_knows_are_those_of_the_database(
    database_url: str,
) -> None:
    await prepared(database_url)
    assert await differences(database_url) == []


async def test_types_and_collations_are_those_that_sqlalchemy_knows(
    new_database: Callable[[], str],
) -> None:
    """Alembic's comparison overlooks collations and the fractions of times."""
    fresh, known = new_database(), new_database()
    await prepared(fresh)
    async with opened(known) as database, database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)

    def shape(url: str) -> list[tuple[Any, ...]]:
        # In which order the columns stand is the migrations' matter.
        return sorted(
            (table, name, kind, nullable, comment, collation)
            for table, _, name, kind, nullable, _, _, comment, _, collation in snapshot(url)[
                "columns"
            ]
        )

    assert shape(known) == shape(fresh)
    assert snapshot(known)["indexes"] == snapshot(fresh)["indexes"]
    assert snapshot(known)["keys"] == snapshot(fresh)["keys"]
    assert snapshot(known)["tables"] == snapshot(fresh)["tables"]


async def test_the_first_migration_is_the_design(new_database: Callable[[], str]) -> None:
    migrated, designed = new_database(), new_database()
    await upgrade(migrated, "0001")
    await execute(designed, SEED)
    assert snapshot(migrated) == snapshot(designed)


async def test_schema_sql_has_all_of_the_design(new_database: Callable[[], str]) -> None:
    by_hand, designed = new_database(), new_database()
    load_schema_sql(by_hand)
    await execute(designed, SEED)
    ours, seed = snapshot(by_hand), snapshot(designed)

    def refined(row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A column of the design with what the project allows itself: fractions, exact ids."""
        table, position, name, kind, nullable, default, extra, comment, charset, collation = row
        if kind == "datetime":
            kind = "datetime(6)"
            # MariaDB says `current_timestamp()`, MySQL `CURRENT_TIMESTAMP`.
            default = default and re.sub(r"(?i)(timestamp)(\(\))?$", r"\1(6)", default)
            extra = re.sub(r"(?i)(timestamp)(\(\))?$", r"\1(6)", extra)
        if name in ("id", "task_id"):
            collation = "utf8mb4_bin"
        return table, position, name, kind, nullable, default, extra, comment, charset, collation

    # The position is in the row: the design's columns come first, in the design's order.
    assert len(seed["columns"]) == 13 + 7
    assert set(map(refined, seed["columns"])) <= set(ours["columns"])
    assert set(seed["indexes"]) <= set(ours["indexes"])
    assert set(seed["keys"]) <= set(ours["keys"])
    assert set(seed["tables"]) <= set(ours["tables"])
    assert set(seed["checks"]) <= set(ours["checks"])
    added = set(ours["columns"]) - set(map(refined, seed["columns"]))
    assert [
        row
        for row in added
        if row[0] in ("task_manage", "task_execution_log") and row[4] == "NO" and row[5] is None
    ] == []


async def test_rows_of_the_design_become_tasks_of_the_api(database_url: str) -> None:
    await make_seed(database_url)
    await prepared(database_url)
    async with opened(database_url) as database, database.read() as connection:
        tasks = {
            row.id: dict(row._mapping) for row in await connection.execute(select(task_manage))
        }
        declared = {row.task_id: row for row in await connection.execute(select(task_declaration))}
        log = {row.id: row for row in await connection.execute(select(task_execution_log))}

    assert tasks.keys() == declared.keys() == {"notice", "held", "busy"}
    assert declared["notice"].fields == {
        "name": "定时通知任务",
        "task_type": "notification",
        "trigger_type": "cron",
        "trigger_args": {"hour": "9", "minute": "0"},
        "func_path": "a.b.notice",
        "func_args": {"message": "你好"},
        "max_instances": 2,
        "description": "每天",
    }
    assert declared["held"].fields == {
        "name": "Held",
        "task_type": "x",
        "trigger_type": "date",
        "trigger_args": {},
        "func_path": "a.b.held",
        "func_args": {},
        "max_instances": 1,
        "description": None,
        "paused": True,
    }
    for name, task in tasks.items():
        assert declared[name].source == task["source"] == "api"
        assert declared[name].digest == digest(declared[name].fields)
        assert declared[name].set_at == task["anchor"] == task["create_time"]
        assert task["etag"] == declared[name].digest[:32]
        assert (task["drift"], task["coalesce"]) == ("in_sync", True)
        assert task["misfire_grace_time"] == 3600
    assert [tasks[name]["paused"] for name in ("notice", "held", "busy")] == [False, True, False]
    assert tasks["notice"]["next_run_time"].isoformat() == "2026-01-06T09:00:00+00:00"
    assert tasks["notice"]["update_time"].isoformat() == "2026-01-05T11:00:00+00:00"
    assert tasks["notice"]["status"] == "pending"
    assert (tasks["held"]["status"], tasks["held"]["next_run_time"]) == ("paused", None)
    assert (tasks["held"]["max_instances"], tasks["held"]["func_args"]) == (1, {})
    assert (tasks["busy"]["status"], tasks["busy"]["last_outcome"]) == ("failed", "failed")

    assert (log["done"].status, log["done"].error, log["done"].attempt) == ("completed", None, 1)
    assert log["open"].status == "failed"
    assert log["open"].error == "interrupted: the service was upgraded"
    assert log["open"].end_time > log["open"].start_time
    assert log["open"].owner is None


async def test_errors_of_older_versions_get_their_kind(database_url: str) -> None:
    errors = {
        "raised": "raised: ValueError: interrupted: no",
        "timed out": "timed out: after 5 s",
        "interrupted": "interrupted: its process a:1 died",
        "skipped": "skipped: all 1 instances were busy",
        "missed": "missed: 5.0 s late, and 1 s are allowed",
        "cancelled": "cancelled: by ann",
        "unknown": "boom: what somebody wrote",
    }
    await make_seed(database_url)
    await upgrade(database_url, "0008")
    rows = ", ".join(
        f"('{kind}', 'notice', '2026-01-05 09:00:00', 'failed', '{error}')"
        for kind, error in errors.items()
    )
    await execute(
        database_url,
        f"INSERT INTO task_execution_log (id, task_id, start_time, status, error) VALUES {rows}",
    )
    await prepared(database_url)
    ids = [*errors, "done", "open"]
    due = ", ".join(f"('{key}', '2026-01-05 10:00:00')" for key in ids)
    await execute(database_url, f"INSERT INTO task_retry (execution_id, due) VALUES {due}")
    async with opened(database_url) as database, database.read() as connection:
        found = [retry.execution for retry in await connection.run_sync(retries)]
    kinds = {execution.id: execution.error_kind for execution in found}
    expected = {kind: None if kind == "unknown" else kind for kind in errors}
    assert kinds == {**expected, "done": None, "open": "interrupted"}


async def test_an_upgrade_writes_no_row_of_a_long_log(database_url: str) -> None:
    await make_seed(database_url)
    await upgrade(database_url, "0008")
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await prepared(database_url)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any(line.startswith("ALTER TABLE task_execution_log") for line in said)
    assert [line for line in said if line.startswith("UPDATE task_execution_log")] == []


async def test_a_current_database_costs_one_query(database_url: str) -> None:
    await prepared(database_url)
    said: list[str] = []
    async with opened(database_url) as database:
        # The first connection of a pool asks the server who it is.
        async with database.engine.connect():
            pass

        @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            said.append(statement)

        await prepare(database)
    assert [line for line in said if line != "BEGIN"] == ["SELECT version_num FROM alembic_version"]


async def test_a_current_database_needs_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}"
    await prepared(url)
    program = (
        "import asyncio, sys\n"
        "from taskservice.storage.database import Database\n"
        "from taskservice.storage.schema import prepare\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    await prepare(database)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "assert 'alembic' not in sys.modules\n"
    )
    # Outside the checkout, so that nothing is found beside the package by chance.
    environment = {**os.environ, "PYTHONPATH": str(SCHEMA_SQL.parent)}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, url],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == HEAD


async def test_processes_that_start_at_once_agree(database_url: str) -> None:
    await make_seed(database_url)
    await asyncio.gather(*(prepared(database_url) for _ in range(3)))
    assert await differences(database_url) == []
    async with opened(database_url) as database, database.read() as connection:
        assert len((await connection.execute(select(task_declaration))).all()) == 3


async def test_a_lock_that_somebody_keeps_is_named(new_database: Callable[[], str]) -> None:
    url = new_database()
    async with opened(url) as database, database.engine.connect() as connection:
        assert await connection.scalar(text("SELECT GET_LOCK('taskservice.schema', 0)")) == 1
        with pytest.raises(StartError, match="another process has been changing the tables in"):
            await prepare(database, lock_seconds=0)


async def test_a_migration_cut_off_anywhere_goes_on_at_the_next_start(
    database_url: str, new_database: Callable[[], str]
) -> None:
    """Each try is cut off some statements later than the one before, on the same database."""
    await make_seed(database_url)
    left = 0

    def cut(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal left
        if statement.startswith(("ALTER", "CREATE", "INSERT", "UPDATE", "DROP")):
            left -= 1
            if left < 0:
                raise OSError("cut off")

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        tries = 0
        while True:
            left = tries * 5
            try:
                await prepared(database_url)
                break
            except StartError as error:
                assert str(error).endswith("cut off; the next start goes on from here")
            tries += 1
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert tries > 3
    assert await differences(database_url) == []
    async with opened(database_url) as database, database.read() as connection:
        assert len((await connection.execute(select(task_declaration))).all()) == 3
    if not database_url.startswith("sqlite"):
        whole = new_database()
        load_schema_sql(whole)
        assert snapshot(database_url) == snapshot(whole)


async def test_a_newer_database_is_refused(database_url: str) -> None:
    await prepared(database_url)
    await execute(database_url, "UPDATE alembic_version SET version_num = '0999';\n")
    with pytest.raises(StartError) as refused:
        await prepared(database_url)
    assert "at revision 0999" in str(refused.value)
    assert f"works with {HEAD}" in str(refused.value)
    assert_clear(refused.value)


async def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "taskservice.db"
    path.write_text("This is a letter, and by far long enough for a header. " * 20)
    with pytest.raises(StartError, match=f"no database at .*{path}: file is not a database;"):
        await prepared(f"sqlite+aiosqlite:///{path}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "s3cret-wrong"}, "Access denied for user 'taskservice'"),
        ({"database": "nowhere"}, "nowhere"),
        ({"port": 1}, "Can't connect to MySQL server on '127.0.0.1'"),
        ({"host": "nowhere.invalid"}, "Can't connect to MySQL server on 'nowhere.invalid'"),
    ],
)
async def test_a_database_out_of_reach_is_named_without_its_password(
    mariadb_server: MariaDB, new_database: Callable[[], str], change: dict[str, Any], said: str
) -> None:
    url = make_url(new_database()).set(**change)
    with pytest.raises(StartError) as refused:
        await prepared(url.render_as_string(hide_password=False))
    line = str(refused.value)
    assert line.startswith(f"no database at {url.render_as_string(hide_password=True)}: ")
    assert line.endswith("; check TASKSERVICE_DATABASE_URL")
    assert said in line
    assert str(url.password) not in line
    assert_clear(refused.value)


async def test_missing_rights_are_named(
    mariadb_server: MariaDB, new_database: Callable[[], str]
) -> None:
    url = make_url(new_database())
    reader = "reader"
    socket = str(mariadb_server.folder / "socket")
    with (
        pymysql.connect(unix_socket=socket, user="root") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DROP USER IF EXISTS {reader}@127.0.0.1")
        cursor.execute(f"CREATE USER {reader}@127.0.0.1 IDENTIFIED BY 'pw'")
        cursor.execute(f"GRANT SELECT ON {url.database}.* TO {reader}@127.0.0.1")
    with pytest.raises(StartError) as refused:
        await prepared(
            url.set(username=reader, password="pw").render_as_string(hide_password=False)
        )
    assert "CREATE command denied to user 'reader'" in str(refused.value)
    assert_clear(refused.value)


def assert_clear(error: StartError) -> None:
    """One line, in a sentence's length."""
    assert "\n" not in str(error)
    assert len(str(error)) < 400
