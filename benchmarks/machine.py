"""What the figures were measured on."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.brokers import rabbitmq_version
from benchmarks.databases import server_program
from benchmarks.errors import Missing

LIBRARIES = (
    "taskservice", "APScheduler", "SQLAlchemy", "asyncmy", "aiosqlite", "litestar", "uvicorn",
    "uvloop", "PyYAML", "msgspec", "watchfiles", "celery", "celery-redbeat", "Flask-APScheduler",
    "gunicorn", "kombu", "redis",
)  # fmt: skip


def description() -> dict[str, str]:
    """The machine and the versions, by what they are called."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{_memory():.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "MariaDB": _mariadb(),
        "brokers": f"Redis {_redis()}, RabbitMQ {rabbitmq_version() or 'not installed'}",
        "libraries": ", ".join(filter(None, map(_library, LIBRARIES))),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "Linux"


def _mariadb() -> str:
    try:
        program = server_program()
    except Missing:
        return "not installed"
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return done.stdout.partition("Ver ")[2].split(" ")[0] or "unknown"


def _redis() -> str:
    program = shutil.which("redis-server")
    if program is None:
        return "not installed"
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return done.stdout.partition("v=")[2].split(" ")[0] or "unknown"


def _library(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""
