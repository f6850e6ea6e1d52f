"""Types of columns, as each database has them: those of MySQL are finer than SQLAlchemy's own."""

from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.dialects.mysql import DATETIME, MEDIUMTEXT, VARCHAR

_MYSQL = ("mysql", "mariadb")

MOMENT = DateTime().with_variant(DATETIME(fsp=6), *_MYSQL)
"""A time with its microseconds."""

LONG_TEXT = Text().with_variant(MEDIUMTEXT(), *_MYSQL)
"""Text of up to 16 MiB."""

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database counts up: SQLite does so only for its own kind of key."""

TABLE_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
"""What every table is made with."""


def exact(length: int) -> String:
    """Text compared byte by byte."""
    variant = VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(variant, *_MYSQL)
