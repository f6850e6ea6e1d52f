"""Message brokers for tests: a private Redis and a private RabbitMQ.

Each lives in a folder of its own, listens on a free port of loopback and is ended by its process:
no broker of the system is touched. Both keep what they were given over a kill.
"""

import os
import shutil
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import amqp  # type: ignore[import-untyped]
from redis import Redis as RedisClient

from tests.acceptance.process import wait_for
from tests.databases import SEARCH_PATH, in_memory
from tests.processes import Group, steady_port

START_LIMIT = 120.0
"""RabbitMQ takes ten seconds of one core; on a busy machine many more."""

STOP_LIMIT = 30.0
ANSWER_SECONDS = 10.0
DEBIANS_RABBITMQ = Path("/usr/lib/rabbitmq/lib")


class BrokerError(Exception):
    """A private broker can't be started; the text says what to do."""


class Broker(ABC):
    """A private broker; use it as a context manager.

    `kill` ends it as a power cut would, `start` brings it back on the same port and data. With
    `within`, a command that runs another one, it lives in a network of its own, where it serves
    whoever reaches it; who starts it must reach it under its port on this machine.
    """

    name: ClassVar[str]
    host = "127.0.0.1"

    def __init__(self, *, within: Sequence[str] = (), path: str = SEARCH_PATH) -> None:
        self.port = steady_port()
        self._within, self._path = within, path
        self._listens_on = "0.0.0.0" if within else self.host
        self.folder = Path(tempfile.mkdtemp(prefix=f"taskservice-{self.name}-", dir=in_memory()))
        self._group: Group | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
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
        self.kill()
        shutil.rmtree(self.folder)

    @property
    @abstractmethod
    def url(self) -> str:
        """What `TASKSERVICE_CELERY_BROKER` has to be for it."""

    @property
    def pid(self) -> int:
        """The process id of the broker, which runs."""
        assert self._group is not None
        return self._group.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._group is not None and self._group.alive

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        assert not self.alive
        self._group = Group(
            [*self._within, *self._command()],
            log=self._log,
            environ=self._environ(),
            folder=self.folder,
        )

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        wait_for(f"{self.name} answers", self._is_ready, seconds=START_LIMIT)

    def stop(self) -> None:
        """End it in good order."""
        if self._group is not None:
            self._group.thaw()
            self._group.terminate(STOP_LIMIT)

    def kill(self) -> None:
        """`kill -9`: it has no time to write anything."""
        if self._group is not None:
            self._group.kill()

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing; returns when it stands still."""
        assert self._group is not None
        self._group.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._group is not None
        self._group.thaw()

    @abstractmethod
    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue; 0 where there is none."""

    @abstractmethod
    def delete(self, queue: str) -> None:
        """Delete a queue and what waits in it."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _answers(self, connection: socket.socket) -> bool:
        """Whether it says on a new connection that it works."""

    def _environ(self) -> Mapping[str, str]:
        return {"PATH": self._path, "HOME": str(self.folder), "LANG": "C.UTF-8"}

    @property
    def _log(self) -> Path:
        return self.folder / "output"

    def _is_ready(self) -> bool:
        if not self.alive:
            raise BrokerError(f"{self.name} ended; its output:\n{self._log.read_text()[-5000:]}")
        try:
            with socket.create_connection((self.host, self.port), ANSWER_SECONDS) as connection:
                return self._answers(connection)
        except OSError:
            return False

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self._path)
        if found is None:
            raise BrokerError(
                f"{name} is not installed: run `make test`, or `apt-get install {self.name}-server`"
            )
        return found


class Redis(Broker):
    """A private Redis that writes each command down before it answers."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def client(self) -> RedisClient:
        """A client of it, to be closed."""
        return RedisClient(host=self.host, port=self.port, socket_timeout=ANSWER_SECONDS)

    def waiting(self, queue: str) -> int:
        with self.client() as client:
            return int(client.execute_command("LLEN", queue))

    def delete(self, queue: str) -> None:
        with self.client() as client:
            client.delete(queue)

    def snapshot(self) -> Path:
        """A copy of all that it holds now."""
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / "data"
        # A command at its end that is not whole yet is left out when it is read.
        shutil.copytree(self._data, copy)
        return copy

    def restore(self, snapshot: Path) -> None:
        """Kill it, and start it with what it held when the snapshot was made."""
        self.kill()
        shutil.rmtree(self._data)
        shutil.copytree(snapshot, self._data)
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "appendonlydir"

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": self._listens_on,
            "protected-mode": "no",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            # It would begin a new file, and a snapshot is a copy of one that only grows.
            "auto-aof-rewrite-percentage": "0",
        }
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [self._program("redis-server"), *given]

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"PING\r\n")
        return connection.recv(100).startswith(b"+PONG")


class RabbitMQ(Broker):
    """A private RabbitMQ, with the names of its node known to a daemon of its own (epmd)."""

    name = "rabbitmq"

    def __init__(self, *, within: Sequence[str] = (), path: str = SEARCH_PATH) -> None:
        super().__init__(within=within, path=path)
        self._names_port, self._node_port = steady_port(), steady_port()
        self._names: Group | None = None

    def __exit__(self, *given: object) -> None:
        if self._names is not None:
            self._names.kill()
        super().__exit__(None, None, None)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}//"

    def client(self) -> amqp.Connection:
        """A connection to it, to be closed."""
        connection = amqp.Connection(
            f"{self.host}:{self.port}",
            connect_timeout=ANSWER_SECONDS,
            read_timeout=ANSWER_SECONDS,
            write_timeout=ANSWER_SECONDS,
        )
        connection.connect()
        return connection

    def waiting(self, queue: str) -> int:
        with self.client() as client:
            try:
                return int(client.channel().queue_declare(queue, passive=True).message_count)
            except amqp.NotFound:
                return 0

    def delete(self, queue: str) -> None:
        with self.client() as client:
            client.channel().queue_delete(queue)

    def launch(self) -> None:
        if self._names is None:
            # The one that Erlang starts by itself would outlive it.
            command = ["epmd", "-port", str(self._names_port), "-address", "127.0.0.1"]
            command[0] = self._program("epmd")
            self._names = Group([*self._within, *command], log=self.folder / "epmd")
            self._write_files()
        super().launch()

    def _write_files(self) -> None:
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = {self._listens_on}:{self.port}\n"
            "loopback_users = none\n"
            "log.console = true\n"
            "log.file = false\n"
        )
        # It loads all that there is, used or not, which doubles its start. What is no plugin
        # (they are called rabbitmq_…) it can't do without.
        needed = self.folder / "plugins"
        needed.mkdir()
        for found in (self._installation() / "plugins").iterdir():
            if not found.name.startswith("rabbitmq_") or "prelaunch" in found.name:
                (needed / found.name).symlink_to(found)

    def _installation(self) -> Path:
        """The folder of its programs: Debian's command begins them as another user."""
        self._program("rabbitmq-server")
        return max(DEBIANS_RABBITMQ.glob("rabbitmq_server-*"))

    def _command(self) -> list[str]:
        return [str(self._installation() / "sbin" / "rabbitmq-server")]

    def _environ(self) -> Mapping[str, str]:
        return {
            **super()._environ(),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": "taskservice@localhost",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_PLUGINS_DIR": str(self.folder / "plugins"),
            # So that its script becomes the server, and does not wait for it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # Its schedulers sleep when there is nothing to do: others need the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(100).startswith(b"\x01\x00\x00")
