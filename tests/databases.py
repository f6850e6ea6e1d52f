"""Databases for tests: a private MariaDB server, and a fresh database for each test.

The server lives in a folder of its own, listens on a free port of loopback and is ended by
its process: no server of the system is touched. It differs from a tidy production server on
purpose: its time zone is not UTC and its default character set is its own, so that code which
leans on either is found out.

Where the environment variable `TASKSERVICE_TEST_MYSQL` names a folder that `make test-mysql`
filled, a MySQL server stands in the place of MariaDB in every test.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql

from tests.planted_secrets import PLANTED

START_LIMIT = 60.0
STOP_LIMIT = 30.0
CLOSE_LIMIT = 5.0
SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MYSQL = os.environ.get("TASKSERVICE_TEST_MYSQL")
"""A folder with the files of Debian's package mysql-server-core and all that it depends on."""


class DatabaseServerError(Exception):
    """The private MariaDB can't be installed or started; the text says what to do."""


def in_memory() -> str | None:
    """A folder in memory for databases, where there is one with room; else None.

    The tests are not about surviving a power cut, and wait for no disk this way.
    """
    folder = "/dev/shm"
    roomy = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * 1024**3
    return folder if roomy else None


class MariaDB:
    """A private MariaDB server on a temporary folder; use it as a context manager.

    `kill` ends it as a power cut would, `start` brings it back on the same port and data. With
    `within`, a command that runs another one, it lives in a network of its own, where it serves
    whoever reaches it.
    """

    def __init__(self, search_path: str = SEARCH_PATH, *, within: Sequence[str] = ()) -> None:
        self._search_path = search_path
        self._within = within
        # Not pytest's folder: a socket's path has room for some 100 letters only.
        self.folder = Path(tempfile.mkdtemp(prefix="taskservice-mariadb-", dir=in_memory()))
        self.port = _free_port()
        self._password = secrets.token_hex(12)
        PLANTED.add(self._password)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        try:
            self._install()
            self.start()
            self.run(f"CREATE USER {self._account} IDENTIFIED BY '{self._password}'")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def pid(self) -> int:
        """The process id of the server, which runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        arguments = [
            *self._within,
            *self._server(),
            f"--port={self.port}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--bind-address={'0.0.0.0' if self._within else '127.0.0.1'}",
            "--skip-name-resolve",
            "--default-time-zone=+10:30",
            "--innodb-buffer-pool-size=32M",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Asks the server to end and waits; kills it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """`kill -9`: the server has no time to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def create_database(self) -> str:
        """The URL of a new, empty database that its own user may do anything with."""
        self._databases += 1
        name = f"taskservice_{self._databases}"
        self.run(
            f"CREATE DATABASE {name}",
            f"GRANT ALL ON {name}.* TO {self._account}",
        )
        return f"mysql+asyncmy://taskservice:{self._password}@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drops the database that `create_database` gave this URL for."""
        self.run(f"DROP DATABASE {_database_name(url)}")

    @contextmanager
    def packets_up_to(self, size: int) -> Iterator[None]:
        """Connections that are made meanwhile can send it no statement of more bytes."""
        self.run(f"SET GLOBAL max_allowed_packet = {size}")
        try:
            yield
        finally:
            self.run("SET GLOBAL max_allowed_packet = DEFAULT")

    def connections(self, url: str) -> int:
        """How many connections to this database are open."""
        return len(
            self.run(
                f"SELECT id FROM information_schema.processlist WHERE db = '{_database_name(url)}'"
            )
        )

    @property
    def _account(self) -> str:
        return "'taskservice'@'%'" if self._within else "'taskservice'@'127.0.0.1'"

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _common_arguments(self) -> list[str]:
        arguments = [f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}"]
        return [*arguments, "--user=root"] if os.geteuid() == 0 else arguments

    def _server(self) -> list[str]:
        """The command that serves the folder."""
        mariadbd = [self._program("mariadbd"), "--no-defaults", *self._common_arguments()]
        return [*mariadbd, "--innodb-log-file-size=16M"]

    def _installation(self) -> list[str]:
        """The command that fills the folder."""
        return [
            self._program("mariadb-install-db"),
            "--no-defaults",
            *self._common_arguments(),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]

    def _install(self) -> None:
        command = self._installation()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise DatabaseServerError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        limit = time.monotonic() + START_LIMIT
        while not self._listens():
            if process.poll() is not None or time.monotonic() > limit:
                self.kill()
                raise DatabaseServerError(
                    f"the server does not answer; its log:\n{self._log.read_text()}"
                )
            time.sleep(0.02)
        self.run("SELECT 1")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket))
            except OSError:
                return False
        return True

    def run(self, *statements: str, url: str | None = None) -> list[tuple[object, ...]]:
        """Runs the statements as the server's root, in a database; the rows of the last one."""
        rows: list[tuple[object, ...]] = []
        with (
            pymysql.connect(
                unix_socket=str(self._socket),
                user="root",
                database=_database_name(url) if url else None,
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self._search_path)
        if found is None:
            raise DatabaseServerError(
                f"{name} is not installed: run `make test`, or "
                "`apt-get install mariadb-server-core mariadb-client-core`"
            )
        return found


class MySQL(MariaDB):
    """The same of MySQL, whose files lie in a folder: they are of another Debian than this one."""

    def __init__(self, files: Path) -> None:
        super().__init__()
        self._files = files.resolve()

    def _server(self) -> list[str]:
        libraries = next((self._files / "usr/lib").glob("*/ld-linux-*.so.*")).parent
        loader = next(libraries.glob("ld-linux-*.so.*"))
        share = self._files / "usr/share/mysql"
        return [
            str(loader), "--library-path", str(libraries), str(self._files / "usr/sbin/mysqld"),
            "--no-defaults",
            *self._common_arguments(),
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={self._files / 'usr/lib/mysql/plugin'}",
            "--secure-file-priv=NULL",
            "--mysqlx=OFF",
            "--innodb-redo-log-capacity=16M",
        ]  # fmt: skip

    def _installation(self) -> list[str]:
        return [*self._server(), "--initialize-insecure"]


def new_server() -> MariaDB:
    """The private server of a test, not yet started."""
    return MySQL(Path(MYSQL)) if MYSQL else MariaDB()


def open_files(path: Path) -> list[str]:
    """The open files of this process whose names begin with `path`: a SQLite file and its log."""
    return [name for name in map(_link, Path("/proc/self/fd").iterdir()) if str(path) in name]


def _link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""


def _database_name(url: str) -> str:
    return url.rpartition("/")[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
