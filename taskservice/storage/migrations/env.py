"""Alembic's entry: runs the migrations on the connection that `storage.schema` hands over."""

from alembic import context
from sqlalchemy import Column, MetaData, String, Table

connection = context.config.attributes["connection"]

# Alembic would make it too, but in the server's own character set, and with a warning from MySQL.
Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), primary_key=True),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
).create(connection, checkfirst=True)

context.configure(connection=connection)
context.run_migrations()
