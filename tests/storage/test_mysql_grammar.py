"""What the service sends is read as MySQL 8 would read it, by a parser of MySQL's own grammar.

`make test` reads every statement that any test sends so; these are seen alone too.
"""

from collections.abc import Callable

from tests.statements import listen, refused
from tests.storage.test_schema import SCHEMA_SQL, make_seed, prepared

OF_MARIADB_ALONE = [
    "INSERT INTO t (a) VALUES (%s) RETURNING a",
    "DELETE FROM t WHERE a = 1 RETURNING a",
    "CREATE OR REPLACE TABLE t (a int)",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int",
    "ALTER TABLE t MODIFY IF EXISTS a int",
    "DROP INDEX IF EXISTS i ON t",
    "CREATE TABLE t (a uuid)",
    "CREATE SEQUENCE s",
    "SELECT a FROM t FOR UPDATE WAIT 5",
    "SELECT a FROM t LIMIT ROWS EXAMINED 5",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "SELECT a AS rank FROM t",
    "SELECT a AS groups FROM t",
    "CREATE TABLE t (lateral int)",
    "SELECT JSON_NORMALIZE(a) FROM t",
    "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUE(a)",
    "SELECT nonsense nonsense nonsense",
]


def test_what_mariadb_alone_takes_is_refused() -> None:
    assert sorted(refused([*OF_MARIADB_ALONE, "SELECT 1"])) == sorted(OF_MARIADB_ALONE)


def test_what_mysql_8_alone_takes_is_read() -> None:
    statements = [
        "SELECT a AS `rank` FROM t FOR UPDATE SKIP LOCKED",
        "SELECT a FROM t FORCE INDEX (i) WHERE a IN (%s, %s) AND b LIKE '%%' FOR UPDATE NOWAIT",
        "INSERT INTO t (a) VALUES (%s) AS new ON DUPLICATE KEY UPDATE a = new.a",
        "CREATE TABLE t (a json DEFAULT ('{}'), b int CHECK (b > 1))",
    ]
    assert refused(statements) == {}


def test_schema_sql_is_read() -> None:
    lines = [line for line in SCHEMA_SQL.read_text().splitlines() if not line.startswith("--")]
    statements = [one.strip() for one in "\n".join(lines).split(";\n") if one.strip()]
    assert len(statements) > 10
    assert refused(statements) == {}


async def test_the_migrations_are_read(new_database: Callable[[], str]) -> None:
    sent = listen()
    fresh, grown = new_database(), new_database()
    await make_seed(grown)
    await prepared(fresh)
    await prepared(grown)
    for word in ("CREATE TABLE", "ALTER TABLE", "CREATE INDEX", "INSERT INTO", "UPDATE"):
        assert any(word in one for one in sent), word
    assert refused(sent) == {}
