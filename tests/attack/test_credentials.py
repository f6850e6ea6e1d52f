"""Thousands of requests with credentials of every kind, over every route: none does more than its
table says, and of another team's tasks nothing is told.
"""

import json
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from taskservice.service import Service
from taskservice.settings import ROLES, Settings
from taskservice.sync.syncer import SyncOptions
from taskservice.web.app import create_app
from taskservice.web.rules import ALIKE, REFUSED, RULES, Rule
from tests.attack.surface import Route, routes
from tests.attack.two_teams import (
    FOREIGN,
    FORM,
    OWN,
    WORD,
    Answer,
    Credential,
    World,
    credentials_of,
    forged,
    set_up,
)
from tests.web.bodies import hourly
from tests.web.conftest import BASE, Client
from tests.web.streams import listening

REQUESTS = 10_000 if os.environ.get("FAULTS_LENGTH") == "long" else 2_000
SEED = int(os.environ.get("FAULTS_SEED", "7"))

PART = WORD[:7]
"""What requests ask for, so that an answer that repeats it tells nothing."""

ROUTES = routes()


@pytest.fixture
async def world(tmp_path: Path, sqlite_tables: Path) -> AsyncIterator[World]:
    """The world, set up."""
    database = shutil.copy(sqlite_tables, tmp_path / "taskservice.db")
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    tokens = ",".join(f"{role}:{role}:env-{role}-0123456789" for role in ROLES)
    settings = Settings.from_environment(
        {
            "TASKSERVICE_DATABASE_URL": f"sqlite+aiosqlite:///{database}",
            "TASKSERVICE_TASKS_DIR": str(folder),
            "TASKSERVICE_API_TOKENS": tokens,
            "TASKSERVICE_FUNCTIONS": "taskservice.examples.*,importlib.import_module",
        }
    )
    service = Service(settings, syncing=SyncOptions(settle=timedelta(0)))
    await service.start()
    try:
        async with Client(create_app(settings, service)) as client:
            made = World(client, {"authorization": "Bearer env-admin-0123456789"})
            await set_up(made, folder)
            yield made
    finally:
        await service.stop()


class Fuzz:
    """Makes requests, each by the same chance, and judges their answers."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.taken = 0

    async def request(self, route: Route, credential: Credential) -> None:
        """Ask, and check that it did no more than the table says."""
        if credential.csrf and str(route) == "POST /sign-out":
            return  # it would be over for all that follows
        task_id = self.chance.choice((*FOREIGN, *OWN, *OWN, "nowhere"))
        logs = self.world.logs
        path = route.path.format(
            task_id=task_id, digest="0", name="console.css", path="x",
            log_id=self.chance.choice([logs.get(task_id, "x"), *logs.values()]),
        )  # fmt: skip
        query = urlencode(self._pairs(route.query_parameters, 3))
        headers = dict(credential.headers)
        body = self._body(route, headers) if route.changes else b""
        if credential.csrf and route.changes:
            headers |= {"x-csrf-token": credential.csrf, "origin": BASE}
        method = route.method
        if method == "GET":
            method = self.chance.choice(("GET", "GET", "GET", "HEAD"))
        answer = await self.world.ask(method, f"{path}?{query}", headers, body)
        told = f"{credential.name}: {method} {path}?{query} {body[:300]!r}: {answer.status}"
        self._judge(route, RULES[str(route)], credential, task_id, answer, told)

    def _judge(
        self,
        route: Route,
        rule: Rule,
        credential: Credential,
        task_id: str,
        answer: Answer,
        told: str,
    ) -> None:
        status = answer.status
        assert status < 500, f"{told}: {answer.text[:500]}"
        assert WORD not in answer.text or self._sees_all(credential), told
        if rule.needs is None:
            return
        if credential.role is None:
            assert status == 401, told
        elif ROLES.index(credential.role) < ROLES.index(rule.needs):
            assert status == 403, told
        elif not credential.narrowed:
            assert status not in (401, 403), told
        elif "{task_id}" in route.path and task_id not in OWN:
            assert status == 404, told
        elif rule.narrowed == REFUSED:
            assert status in (403, 404), told
        elif rule.narrowed == ALIKE:
            assert status not in (401, 403, 404) or "{path}" in route.path, told
        else:
            assert status != 401, told
            self.taken += status < 400

    @staticmethod
    def _sees_all(credential: Credential) -> bool:
        return credential.role is not None and not credential.narrowed

    def _pairs(self, names: Sequence[str], most: int) -> list[tuple[str, str]]:
        values = (
            "", "1", "0", "true", "their-task", "own-task", "theirs", "ours", "name", "-name",
            PART, "2020-01-01T00:00:00Z", "9d", "tags", "paused", "all", "failed", "null",
            "own-task,their-task", "taskservice.examples.simple_task", "x" * 300,
        )  # fmt: skip
        some = self.chance.sample(names, min(len(names), self.chance.randrange(most + 1)))
        return [(name, self.chance.choice(values)) for name in some]

    def _body(self, route: Route, headers: dict[str, str]) -> bytes:
        tags = self.chance.choice([["ours"], ["theirs"], [], ["theirs", "ours"], None])
        if route.console:
            headers["content-type"] = FORM
            pairs = self._pairs(route.query_parameters, 6)
            pairs += [("id", task_id) for task_id in self.chance.sample((*FOREIGN, *OWN), 3)]
            if tags is not None:
                pairs += [("fields", "1"), ("tags", " ".join(tags))]
            return urlencode(pairs).encode()
        bodies: Sequence[object] = (
            {}, [], {"tags": tags}, {"paused": True}, {"func_args": {"data_id": "y"}},
            {"func_args": {"data_id": "y", "process_type": "z"}, "tags": tags},
            hourly(tags=tags or []), hourly(id="their-task", tags=["ours"]),
            {"files": {}}, {"files": {"their-filed.yaml": "name: x"}},
            {"task_ids": ["their-filed", "own-filed", "own-shared", "their-shared"]},
            {"sources": ["file", "api"]},
        )  # fmt: skip
        return json.dumps(self.chance.choice(bodies)).encode()


async def test_no_request_does_more_than_its_table_says(world: World) -> None:
    chance = random.Random(SEED)
    fuzz = Fuzz(world, chance)
    good = await credentials_of(world)
    narrowed = [one for one in good if one.narrowed]
    useless = [one for one in good if one.role is None]
    with_header = [one for one in good if one.headers]
    before = await world.state(*FOREIGN)
    own = await world.state(*OWN)

    async def many(number: int, credential: Callable[[], Credential]) -> None:
        """Go over all routes again and again, in another order each time."""
        order: list[Route] = []
        for _ in range(number):
            order = order or chance.sample(ROUTES, len(ROUTES))
            await fuzz.request(order.pop(), credential())

    await many(REQUESTS // 4, lambda: chance.choice(useless))
    await many(REQUESTS * 3 // 8, lambda: forged(chance.choice(with_header), chance))
    assert await world.state(*OWN) == own, f"seed {SEED}: who is nobody changed something"
    await many(REQUESTS // 4, lambda: chance.choice(narrowed))
    assert await world.state(*FOREIGN) == before, f"seed {SEED}"
    assert fuzz.taken > REQUESTS // 25, "hardly anything was allowed: it was no test"
    await many(REQUESTS // 8, lambda: chance.choice([one for one in good if one.role]))


async def test_no_stream_tells_of_anothers_tasks(world: World, tmp_path: Path) -> None:
    narrowed = [one for one in await credentials_of(world) if one.narrowed]
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(listening(world.client, "/events", dict(one.headers)))
            for one in narrowed
        ]
        await world.admin("POST", "/task-manage/their-failing/trigger")
        await world.admin("PUT", "/task-manage/their-task", {"description": f"{WORD} again"})
        (tmp_path / "tasks.d" / "another.yaml").write_text(f"name: [{WORD}")
        await world.admin("POST", "/sync")
        await world.admin("POST", "/task-manage/their-filed/trigger")
        await world.admin("DELETE", "/task-manage/their-task")
        await world.admin("PUT", "/task-manage/own-task", {"description": "the last"})
        for stream in streams:
            blocks: list[str] = []
            while not any("the last" in one for one in blocks):
                block = await stream.block()
                assert block is not None
                blocks.append(block)
            told = "\n".join(blocks)
            assert WORD not in told and "their-" not in told
