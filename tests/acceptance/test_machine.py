"""File edits, API edits, pauses, reverts and restarts in any order, against a small model."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from taskservice.domain.errors import Conflict, NotFound
from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.storage.database import Database
from taskservice.storage.schema import prepare
from taskservice.storage.tables import metadata
from tests.databases import MariaDB, in_memory
from tests.service.conftest import AT_ONCE

RUNS = 500 if os.environ.get("FAULTS_LENGTH") == "long" else 40
"""`make soak` has the long form."""

IDS = ("a", "b", "c")
T = TypeVar("T")

ids = st.sampled_from(IDS)
words = st.sampled_from(("one", "two"))
values: dict[str, st.SearchStrategy[Any]] = {
    "description": words,
    "timeout": st.sampled_from((10, 20)),
    "paused": st.booleans(),
    "trigger_args": st.sampled_from(({"hours": 1}, {"hours": 2})),
    "func_args": st.fixed_dictionaries({"user_id": words, "message": words, "channel": words}),
}
declared_fields = st.fixed_dictionaries({}, optional=values).map(
    lambda given: {"func_args": {"user_id": "x", "message": "x", "channel": "x"}, **given}
)


class Model:
    """What the contract says, of one task. Fields are those that can be overridden."""

    def __init__(self) -> None:
        self.declared: dict[str, Any] | None = None
        self.overrides: dict[str, tuple[Any, Any]] = {}  # field: (value, declared when set)
        self.deleted = self.retired = False

    def declare(self, fields: dict[str, Any]) -> None:
        self.declared, self.retired = flat(fields), False
        self.overrides = {
            field: one for field, one in self.overrides.items() if one[0] != self.declared[field]
        }

    def disappear(self) -> None:
        if self.deleted:
            self.__init__()  # type: ignore[misc]
        elif self.declared:
            self.retired = True

    def override(self, fields: dict[str, Any]) -> None:
        for field, value in flat(fields, {}).items():
            self.overrides.pop(field, None)
            if value != self.said(field):
                self.overrides[field] = (value, self.said(field))

    def said(self, field: str) -> Any:
        assert self.declared is not None
        return self.declared[field]

    def effective(self) -> dict[str, Any]:
        assert self.declared is not None
        return {**self.declared, **{field: one[0] for field, one in self.overrides.items()}}

    def drift(self) -> str:
        if any(one[1] != self.said(field) for field, one in self.overrides.items()):
            return "conflict"
        return "overridden" if self.overrides else "in_sync"

    @property
    def live(self) -> bool:
        return self.declared is not None and not self.deleted and not self.retired


NAMES = {"trigger_args": "trigger"}
DEFAULTS = {"description": None, "timeout": None, "paused": False, "trigger_args": {"hours": 1}}


def flat(fields: dict[str, Any], defaults: dict[str, Any] = DEFAULTS) -> dict[str, Any]:
    found = {**defaults, **fields}
    found.update({f"func_args.{k}": v for k, v in found.pop("func_args", {}).items()})
    return found


class Machine(RuleBasedStateMachine):
    """One run: a service in this process, a folder, and a model of each task."""

    url: Any

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp(dir=in_memory()))
        self.folder = self.home / "tasks.d"
        self.folder.mkdir()
        self.models = {task_id: Model() for task_id in IDS}
        self.settings = Settings(database_url=self.url(self.home), tasks_dir=self.folder)
        self.service = Service(self.settings, syncing=AT_ONCE)
        self.run(self.service.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def teardown(self) -> None:
        self.run(self.service.stop())
        self.loop.close()
        shutil.rmtree(self.home)

    def _save(self, task_id: str, text: str, *, hinted: bool = False) -> None:
        path = self.folder / f"{task_id}.yaml"
        path.write_text(text, encoding="utf-8")
        # Long settled, as far as the clock goes; the time of change tells it from the one before.
        os.utime(path, (time.time() - 60, time.time() - 60))
        self._sync(task_id, hinted=hinted)

    def _sync(self, task_id: str, *, hinted: bool) -> None:
        if hinted:
            self.run(self.service.syncs.syncer.sync_hinted(frozenset({f"{task_id}.yaml"})))
        else:
            self.run(self.service.syncs.sync(prune=False, by="me"))

    @rule(task_id=ids, fields=declared_fields, hinted=st.booleans())
    def edit_file(self, task_id: str, fields: dict[str, Any], hinted: bool) -> None:
        whole = {
            "name": "n", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
            "func_path": "taskservice.examples.notification_task", **fields,
        }  # fmt: skip
        self.models[task_id].declare(fields)
        self._save(task_id, yaml.safe_dump(whole), hinted=hinted)

    @rule(task_id=ids, hinted=st.booleans())
    def break_file(self, task_id: str, hinted: bool) -> None:
        if self.models[task_id].live:
            self._save(task_id, "name: [half\n", hinted=hinted)

    @rule(task_id=ids, hinted=st.booleans())
    def remove_file(self, task_id: str, hinted: bool) -> None:
        (self.folder / f"{task_id}.yaml").unlink(missing_ok=True)
        self.models[task_id].disappear()
        self._sync(task_id, hinted=hinted)

    @rule(task_id=ids, fields=st.fixed_dictionaries({}, optional=values))
    def put(self, task_id: str, fields: dict[str, Any]) -> None:
        model = self.models[task_id]
        change = self.service.changes.change(task_id, fields, by="me")
        if model.live:
            self.run(change)
            model.override(fields)
        else:
            self._refused(change)

    @rule(task_id=ids, paused=st.booleans())
    def pause_or_resume(self, task_id: str, paused: bool) -> None:
        model = self.models[task_id]
        change = self.service.changes.set_paused(task_id, paused, by="me")
        if model.live:
            self.run(change)
            model.override({"paused": paused})
        else:
            self._refused(change)

    @rule(task_id=ids, data=st.data())
    def revert(self, task_id: str, data: st.DataObject) -> None:
        model = self.models[task_id]
        field = data.draw(st.sampled_from([None, *model.overrides]))
        revert = self.service.changes.revert(task_id, field and NAMES.get(field, field), by="me")
        if model.live:
            self.run(revert)
            model.overrides = (
                {} if field is None else {k: v for k, v in model.overrides.items() if k != field}
            )
        else:
            self._refused(revert)

    @rule(task_id=ids)
    def delete(self, task_id: str) -> None:
        model = self.models[task_id]
        delete = self.service.changes.delete(task_id, by="me")
        if model.live:
            self.run(delete)
            model.deleted = True
        elif model.retired:
            self.run(delete)
            model.__init__()  # type: ignore[misc]
        else:
            self._refused(delete)

    @precondition(lambda self: any(model.deleted for model in self.models.values()))
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        gone = [task_id for task_id, model in self.models.items() if model.deleted]
        task_id = data.draw(st.sampled_from(gone))
        self.run(self.service.changes.restore(task_id, by="me"))
        self.models[task_id].deleted = False

    @rule()
    def restart(self) -> None:
        self.run(self.service.stop())
        self.service = Service(self.settings, syncing=AT_ONCE)
        self.run(self.service.start())

    def _refused(self, work: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises((NotFound, Conflict)):
            self.run(work)

    @invariant()
    def agrees(self) -> None:
        for task_id, model in self.models.items():
            if model.declared is None or model.deleted:
                with pytest.raises(NotFound):
                    self.run(self.service.tasks.get(task_id))
                continue
            state = self.run(self.service.tasks.get(task_id)).state
            assert bool(state.retired_at) == model.retired
            if model.retired:
                continue
            definition = state.task.definition()
            shown = flat({name: definition[name] for name in (*DEFAULTS, "func_args")})
            assert shown == model.effective()
            names = {NAMES.get(field, field) for field in model.overrides}
            assert set(state.overridden) == names
            assert state.drift == model.drift()
            assert (state.next_run_time is None) == model.effective()["paused"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await prepare(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB) -> Iterator[str]:
    url = mariadb_server.create_database()
    yield url
    mariadb_server.drop_database(url)


# By a thread: the exception that a signal raises would be a failure for hypothesis to look into,
# again and again, and without a limit to its time.
@pytest.mark.timeout(600, method="thread")
def test_on_sqlite(prepared: Path) -> None:
    class OnSqlite(Machine):
        def url(self, home: Path) -> str:
            shutil.copy(prepared, home / "taskservice.db")
            return f"sqlite+aiosqlite:///{home / 'taskservice.db'}"

    run_machine(OnSqlite, settings=_settings(RUNS))


@pytest.mark.timeout(600, method="thread")
def test_on_mariadb(mariadb_url: str) -> None:
    class OnMariaDB(Machine):
        def url(self, home: Path) -> str:
            asyncio.run(_empty(mariadb_url))
            return mariadb_url

    run_machine(OnMariaDB, settings=_settings(RUNS // 10))


def _settings(runs: int) -> settings:
    return settings(
        max_examples=runs,
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


async def _empty(url: str) -> None:
    """Make the tables where they lack, and empty them."""
    database = Database(url)
    await prepare(database)

    async def work(connection: Any) -> None:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(table.delete())

    await database.write(work)
    await database.close()
