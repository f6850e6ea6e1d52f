"""Private message brokers on a disk, by name: `redis` and `rabbitmq`."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import Missing
from benchmarks.processes import Process, free_port
from benchmarks.redis import redis_process

_SCRIPTS = "/usr/lib/rabbitmq/lib"
_SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A broker that runs: its URL for Celery, and how much processor time it has used."""

    url: str
    processor_time: Callable[[], float]


@contextmanager
def _redis(scratch: Path) -> Iterator[Broker]:
    with redis_process(scratch) as (process, port):
        yield Broker(url=f"redis://127.0.0.1:{port}/0", processor_time=process.processor_time)


@contextmanager
def _rabbitmq(scratch: Path) -> Iterator[Broker]:
    """A RabbitMQ of Debian's with no plugin but what it can't do without, as it is by default.

    Its node's name is known to a daemon of its own (epmd), and its scripts ask for no user.
    """
    found = _rabbitmq_folder()
    names = shutil.which("epmd", path=_SEARCH_PATH)
    if found is None or names is None:
        raise Missing("rabbitmq-server is not installed: apt-get install rabbitmq-server")
    folder = scratch / "rabbitmq"
    (folder / "plugins").mkdir(parents=True)
    for plugin in (found / "plugins").iterdir():
        if not plugin.name.startswith("rabbitmq_") or "prelaunch" in plugin.name:
            (folder / "plugins" / plugin.name).symlink_to(plugin)
    (folder / "enabled_plugins").write_text("[].\n")
    port, names_port, node_port = free_port(), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.local = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n"
    )
    environ = _environ(folder, names_port, node_port)
    with (
        Process([names, "-port", str(names_port), "-address", "127.0.0.1"], scratch / "epmd.log"),
        Process(
            [str(found / "sbin" / "rabbitmq-server")], scratch / "rabbitmq.log", environ
        ) as process,
    ):
        process.wait_until(lambda: _speaks(port), seconds=120)
        yield Broker(
            url=f"amqp://guest:guest@127.0.0.1:{port}//", processor_time=process.processor_time
        )
        process.terminate()


def _rabbitmq_folder() -> Path | None:
    return max(Path(_SCRIPTS).glob("rabbitmq_server-*"), default=None)


def rabbitmq_version() -> str | None:
    """The version that is installed, if one is."""
    folder = _rabbitmq_folder()
    return folder.name.partition("-")[2] if folder else None


def _environ(folder: Path, names_port: int, node_port: int) -> Mapping[str, str]:
    return {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_NODENAME": f"benchmarks-{node_port}@localhost",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_PLUGINS_DIR": str(folder / "plugins"),
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
        # It would keep a core busy while it waits, and count that as its own.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none"
        " -kernel inet_dist_use_interface {127,0,0,1}",
    }


def _speaks(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(100).startswith(b"\x01\x00\x00")
    except OSError:
        return False


BROKERS: Mapping[str, Callable[[Path], AbstractContextManager[Broker]]] = {
    "redis": _redis,
    "rabbitmq": _rabbitmq,
}
"""By name, a broker that lives as long as the block, in a folder; raises `Missing`."""
