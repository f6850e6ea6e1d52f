"""Databases to measure on: SQLite files, and a private MariaDB server on a real disk.

Everything about the server is as MariaDB's defaults have it, durability above all: a commit
is on the disk (`innodb_flush_log_at_trx_commit=1`) before it is answered.
"""

import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from benchmarks.errors import Failed, Missing
from benchmarks.processes import ROOT, Process, free_port, listens

_SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ACCOUNT = "'taskservice'@'127.0.0.1'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An empty database: its URL for SQLAlchemy's asyncio, and how to look into it."""

    url: str
    connection: Mapping[str, Any]

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite's."""
        return Path(self.connection["path"]) if "path" in self.connection else None

    def connect(self) -> Any:
        """A DB-API connection, where each statement sees what is committed."""
        if self.path:
            return sqlite3.connect(self.path, isolation_level=None, timeout=30)
        return pymysql.connect(**self.connection, autocommit=True)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


class Databases:
    """Fresh databases below a folder; the MariaDB server is started when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: _Server | None = None
        self._count = 0

    @contextmanager
    def fresh(self, kind: str) -> Iterator[Database]:
        """An empty database, `sqlite` or `mariadb`, that is dropped at the end."""
        self._count += 1
        if kind == "sqlite":
            folder = self._folder / f"sqlite-{self._count}"
            folder.mkdir()
            path = folder / "taskservice.db"
            try:
                url = f"sqlite+aiosqlite:///{path}"
                yield Database(url=url, connection={"path": str(path)})
            finally:
                shutil.rmtree(folder)
            return
        self._server = self._server or _Server(self._folder / "mariadb")
        name = f"bench_{self._count}"
        yield self._server.create(name)
        self._server.run(f"DROP DATABASE {name}")

    def processor_time(self) -> float:
        """Seconds of processor time that the MariaDB server has used so far."""
        return self._server.process.processor_time() if self._server else 0.0

    def close(self) -> None:
        """End the server."""
        if self._server:
            self._server.stop()


class _Server:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._socket = folder / "socket"
        self._password = secrets.token_hex(12)
        self._port = free_port()
        common = [f"--datadir={folder / 'data'}", f"--tmpdir={folder}"]
        if os.geteuid() == 0:
            common.append("--user=root")
        _install(common)
        self.process = Process(
            [
                server_program(),
                "--no-defaults",
                *common,
                f"--port={self._port}",
                f"--socket={self._socket}",
                f"--pid-file={folder / 'pid'}",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
            ],
            folder / "log",
        )
        try:
            self.process.wait_until(lambda: listens(self._port), seconds=60)
            self.run(f"CREATE USER {_ACCOUNT} IDENTIFIED BY '{self._password}'")
        except BaseException:
            self.stop()
            raise

    def create(self, name: str) -> Database:
        self.run(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
            f"GRANT ALL ON {name}.* TO {_ACCOUNT}",
        )
        account = f"taskservice:{self._password}"
        return Database(
            url=f"mysql+asyncmy://{account}@127.0.0.1:{self._port}/{name}",
            connection={
                "host": "127.0.0.1", "port": self._port, "database": name,
                "user": "taskservice", "password": self._password,
            },
        )  # fmt: skip

    def run(self, *statements: str) -> None:
        with (
            pymysql.connect(unix_socket=str(self._socket), user="root") as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    def stop(self) -> None:
        self.process.terminate()


def _install(arguments: list[str]) -> None:
    done = subprocess.run(
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            *arguments,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")


def server_program() -> str:
    """The path of the MariaDB server; raises `Missing`."""
    return _program("mariadbd")


def _program(name: str) -> str:
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise Missing(
            f"{name} is not installed: apt-get install mariadb-server-core mariadb-client-core"
        )
    return found


@contextmanager
def disk_folder() -> Iterator[Path]:
    """A temporary folder on a real disk: memory would make every commit look free."""
    usual = Path(tempfile.gettempdir())
    if _file_system(usual) in ("tmpfs", "ramfs"):
        usual = ROOT / "build"
        usual.mkdir(exist_ok=True)
    # A short name: a socket's path has room for some 100 letters only.
    with tempfile.TemporaryDirectory(prefix="tsbench-", dir=usual) as folder:
        yield Path(folder)


def _file_system(path: Path) -> str:
    """The kind of file system that a folder is on."""
    kind, longest = "", -1
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place, found = line.split()[1:3]
        if path.resolve().is_relative_to(place) and len(place) > longest:
            kind, longest = found, len(place)
    return kind
