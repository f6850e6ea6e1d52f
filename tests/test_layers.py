"""The direction of imports: right may import left, and nothing imports right.

`domain ← storage ← {engine, sync} ← service ← web ← cli`; settings, which imports nothing of
the package, is read by service, web and cli only. Inside of sync it is
`text ← gitrepo ← folder ← the rest`. Imports inside functions and under TYPE_CHECKING count as
any other. The root, `taskservice` itself, is what users' modules import.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PACKAGE = "taskservice"
FOLDER = Path(__file__).parent.parent / PACKAGE

ROOT = "root"
RELATIVE = "."
MAY_IMPORT = {
    ROOT: set[str](),
    "examples": {ROOT},
    "examples_shell": {ROOT},
    "settings": set[str](),
    "domain": set[str](),
    "storage": {ROOT, "domain"},
    "engine": {ROOT, "domain", "storage"},
    "sync": {ROOT, "domain", "storage", "sync.text", "sync.gitrepo", "sync.folder"},
    "sync.text": {ROOT, "domain"},
    "sync.gitrepo": {ROOT, "domain", "storage", "sync.text"},
    "sync.folder": {ROOT, "domain", "storage", "sync.text", "sync.gitrepo"},
    "service": {ROOT, "domain", "storage", "engine", "sync", "settings"},
    "web": {ROOT, "domain", "storage", "engine", "sync", "settings", "service"},
    "cli": {ROOT, "domain", "storage", "engine", "sync", "settings", "service", "web"},
    "__main__": {"cli"},
}

# The longest name that fits an import decides; the rooms are those that may have it.
ONLY_IN = {
    "apscheduler": {"engine"},
    "apscheduler.triggers": {"engine", "domain"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "aiosqlite": {"storage"},
    "asyncmy": {"storage"},
    "litestar": {"web", "cli"},
    "uvicorn": {"web", "cli"},
    "yaml": {"sync.text"},
    "prometheus_client": {"service"},
    "watchfiles": {"sync.folder"},
    "click": {"cli"},
    "rich_click": {"cli"},
    "rich": {"cli"},
    "httpx": {"cli", "service", "web"},
    "authlib": {"web"},
    "joserfc": {"web"},
    "apprise": {"service"},
    "standardwebhooks": {"service"},
    "jinja2": {"web"},
    "babel": {"web"},
    "cron_descriptor": {"web"},
}

NOT_IN_DOMAIN = {
    *("time", "random", "secrets", "os", "pathlib", "io", "shutil", "tempfile", "glob"),
    *("asyncio", "threading", "subprocess", "multiprocessing", "socket", "http", "sqlite3"),
}
CLOCK_CALLS = {
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
    "datetime.date.today",
}


def faults(source: str, room: str) -> list[str]:
    """What this source, standing in this room, imports or calls against the rules."""
    tree = ast.parse(source)
    found = []
    for line, name in imports(tree):
        target = room_of_import(name)
        if name == RELATIVE:
            found.append(f"{line}: a relative import hides the room; import absolutely")
        elif target is not None and not may_import(room, target):
            found.append(f"{line}: {room} may not import {target} ({name})")
        elif target is None and room not in rooms_allowed(name):
            found.append(f"{line}: {room} may not import {name}")
        elif room == "domain" and name.partition(".")[0] in NOT_IN_DOMAIN:
            found.append(f"{line}: domain may not import {name}")
    if room == "domain":
        found += [f"{line}: domain may not call {name}" for line, name in forbidden_calls(tree)]
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, by whatever statement or call."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            case ast.ImportFrom():
                yield node.lineno, RELATIVE
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def room_of_import(name: str) -> str | None:
    """The room that an imported name belongs to; None for what is not of the package."""
    top, _, rest = name.partition(".")
    if top != PACKAGE:
        return None
    room = room_of_path(rest.split("."))
    return room if room in MAY_IMPORT or (FOLDER / f"{room}.py").is_file() else ROOT


def room_of_path(parts: Sequence[str]) -> str:
    inner = ".".join(parts[:2])
    return inner if inner in MAY_IMPORT else parts[0]


def may_import(room: str, target: str) -> bool:
    """Whether a room may import another; who may import one from outside may its inner ones."""
    return target == room or not MAY_IMPORT[room].isdisjoint({target, target.partition(".")[0]})


def rooms_allowed(name: str) -> set[str]:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        rooms = ONLY_IN.get(".".join(parts[:length]))
        if rooms is not None:
            return rooms
    return set(MAY_IMPORT)


def forbidden_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Uses of the clock, through whatever name datetime was imported by, and of `open`."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                full |= {alias.asname or alias.name: alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                full |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute():
                first, dot, rest = ast.unparse(node).partition(".")
                name = full.get(first, first) + dot + rest
                if name in CLOCK_CALLS:
                    yield node.lineno, name
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
                yield node.lineno, name


def room_of_file(path: Path) -> str:
    parts = path.relative_to(FOLDER).with_suffix("").parts
    room = room_of_path(parts)
    return ROOT if room == "__init__" else room


FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_imports_go_left_only(path: Path) -> None:
    room = room_of_file(path)
    assert room in MAY_IMPORT, f"{room} is none of the rooms"
    assert faults(path.read_text("utf-8"), room) == []


def test_the_rooms_are_there_to_be_checked() -> None:
    assert {"root", "settings", "domain", "__main__"} <= {room_of_file(path) for path in FILES}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("domain", "import taskservice.storage"),
        ("domain", "import taskservice"),
        ("domain", "from taskservice.settings import Settings"),
        ("domain", "def later():\n    from taskservice.engine.scheduler import Scheduler"),
        ("domain", "if TYPE_CHECKING:\n    from taskservice import sync"),
        ("domain", "import importlib\nimportlib.import_module('taskservice.web.app')"),
        ("domain", "import yaml"),
        ("domain", "from apscheduler.schedulers.asyncio import AsyncIOScheduler"),
        ("domain", "from apscheduler import schedulers"),
        ("domain", "import time"),
        ("domain", "from os.path import join"),
        ("domain", "from pathlib import Path"),
        ("domain", "import asyncio.tasks"),
        ("domain", "from random import choice"),
        ("domain", "import datetime\nnow = datetime.datetime.now(datetime.UTC)"),
        ("domain", "import datetime as dt\ntoday = dt.date.today()"),
        ("domain", "from datetime import datetime as D\nclock = D.now"),
        ("domain", "from datetime import datetime\ndatetime.utcnow()"),
        ("domain", "open('file')"),
        ("storage", "from taskservice.engine import scheduler"),
        ("storage", "from taskservice.sync import read"),
        ("storage", "from taskservice.settings import Settings"),
        ("storage", "from . import tables"),
        ("storage", "import apscheduler.triggers.cron"),
        ("engine", "from taskservice.sync import read"),
        ("engine", "import sqlalchemy.exc"),
        ("sync", "from taskservice.engine import scheduler"),
        ("sync", "from apscheduler.triggers.cron import CronTrigger"),
        ("sync", "from taskservice.settings import Settings"),
        ("sync", "import yaml"),
        ("sync.text", "from taskservice.sync.folder.listing import list_files"),
        ("sync.text", "from taskservice.sync.gitrepo import git"),
        ("sync.text", "from taskservice.storage import tasks"),
        ("sync.gitrepo", "from taskservice.sync.folder.listing import list_files"),
        ("sync.gitrepo", "from taskservice.sync import folder"),
        ("sync.gitrepo", "from taskservice.sync.planning import preview"),
        ("sync.folder", "from taskservice.sync.syncer import Syncer"),
        ("sync.folder", "from taskservice.sync import syncer"),
        ("sync.folder", "from taskservice.engine.scheduler import Scheduler"),
        ("service", "from taskservice.web import app"),
        ("service", "import litestar"),
        ("service", "from yaml import safe_load"),
        ("web", "from taskservice.cli import main"),
        ("web", "from sqlalchemy import select"),
        ("cli", "import alembic"),
        ("cli", "import taskservice.__main__"),
        ("settings", "import taskservice"),
        ("settings", "from taskservice.domain.errors import Fault"),
        ("root", "from taskservice.domain.task import Task"),
        ("examples", "from taskservice.service import Service"),
    ],
)
def test_a_planted_wrong_import_is_caught(room: str, source: str) -> None:
    assert len(faults(source, room)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("domain", "from taskservice.domain.errors import Fault"),
        ("domain", "from apscheduler.triggers.cron import CronTrigger"),
        ("domain", "from datetime import datetime\ndatetime.fromisoformat('2026-01-01')"),
        ("domain", "def next_fire(self, now): return self.plan.now"),
        ("storage", "import sqlalchemy.ext.asyncio\nfrom taskservice.domain import task"),
        ("engine", "from apscheduler.executors.base import BaseExecutor\nimport time"),
        ("engine", "from taskservice import current_execution"),
        ("sync", "from taskservice.sync.folder.watch import watch"),
        ("sync.text", "import yaml\nfrom taskservice.sync.text.reader import read_file"),
        ("sync.gitrepo", "from taskservice.sync.text.reader import read_file"),
        ("sync.folder", "from watchfiles import awatch\nfrom taskservice.sync.gitrepo import head"),
        ("service", "from taskservice.settings import Settings\nimport taskservice.engine"),
        ("service", "from taskservice.sync.text.dump import dump_task"),
        ("web", "import litestar.openapi\nfrom taskservice.service import Service"),
        ("cli", "import uvicorn\nfrom taskservice.web.app import create_app"),
        ("__main__", "from taskservice.cli import main"),
        ("examples", "from taskservice import task"),
    ],
)
def test_a_right_import_is_taken(room: str, source: str) -> None:
    assert faults(source, room) == []
