"""Steps of a migration that pass over what is there already.

MySQL commits each change of a table at once. A migration that was cut off in the middle is
therefore run again from its beginning, and must find its own half done work in order.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import SchemaItem

_MYSQL = ("mysql", "mariadb")

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), *_MYSQL)
"""A time with its microseconds."""


def exact(length: int) -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    variant = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(variant, *_MYSQL)


ID = exact(36)


def on_mysql() -> bool:
    """Whether the database is MySQL or MariaDB."""
    return op.get_bind().dialect.name in _MYSQL


def create_table(name: str, *items: SchemaItem, comment: str) -> None:
    """Creates a table unless there is one of this name."""
    options: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *items, comment=comment, **options)


def add_columns(table: str, columns: Sequence[sa.Column[Any]]) -> None:
    """Adds those of the columns that the table lacks."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in there:
            op.add_column(table, column)


def create_index(name: str, table: str, *columns: str) -> None:
    """Creates an index unless the table has one of this name."""
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in there:
        op.create_index(name, table, list(columns))
