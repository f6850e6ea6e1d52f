"""Two teams on one service: our tasks and the other team's, and credentials of every kind."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from taskservice.service import now_utc
from taskservice.service.tokens import Tokens
from taskservice.settings import ROLES, Role
from tests.service.conftest import until
from tests.web.bodies import hourly
from tests.web.conftest import BASE, Client

WORD = "quetzalcoatlus"
"""Stands in all that there is of the other team's tasks."""

FOREIGN = (
    "their-task", "their-filed", "their-retired", "their-deleted", "their-broken", "their-failing",
    "their-shared",
)  # fmt: skip
OWN = ("own-task", "own-filed", "own-shared", *(f"own-{number}" for number in range(6)))
"""Those that are shared stand in one file."""

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a request shows; `role` is None where it is good for nothing."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    role: Role | None = None
    narrowed: bool = False
    csrf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class World:
    """An app over a service, with another team's tasks and our own."""

    def __init__(self, client: Client, admin: Mapping[str, str]) -> None:
        self.client = client
        self.admin_headers = admin
        self.logs: dict[str, str] = {}
        self._app: Any = client.app
        self._clients = 0

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:
        """What the app answers; each request is from an address of its own."""
        path, _, query = target.partition("?")
        self._clients += 1
        given = {"host": "127.0.0.1:8000", "content-length": str(len(body)), **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": quote(path).encode(),
            "query_string": query.encode(), "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("utf-8", "surrogatepass"))
                for name, value in given.items()
            ],
            "client": (f"10.0.{self._clients >> 8}.{self._clients & 255}", 1),
            "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        over, asked = asyncio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await over.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            stream = b"event-stream" in dict(sent[0]["headers"]).get(b"content-type", b"")
            if stream or not message.get("more_body", True):
                over.set()

        await asyncio.wait_for(self._app(scope, receive, send), 20)
        return Answer(
            status=sent[0]["status"],
            headers={name.decode(): value.decode() for name, value in sent[0]["headers"]},
            text=b"".join(one.get("body", b"") for one in sent[1:]).decode("utf-8", "replace"),
        )

    async def admin(self, method: str, path: str, body: object = None) -> Any:
        """What an admin is answered with."""
        data = b"" if body is None else json.dumps(body).encode()
        answer = await self.ask(method, path, self.admin_headers, data)
        assert answer.status < 300, answer.text
        return json.loads(answer.text) if answer.text else None

    async def state(self, *task_ids: str) -> dict[str, Any]:
        """All that an admin is told of tasks."""
        told: dict[str, Any] = {}
        for task_id in task_ids:
            for path in ("", "/overrides", "/logs"):
                address = f"/task-manage/{task_id}{path}"
                answer = await self.ask("GET", address, self.admin_headers)
                told[task_id + path] = (answer.status, answer.text)
        return told


def theirs(**fields: Any) -> dict[str, Any]:
    """A task of the other team."""
    return hourly(
        name=f"{WORD} name", description=f"{WORD} description", tags=["theirs", WORD],
        task_type=f"{WORD} type", func_path="taskservice.examples.simple_task",
        func_args={"message": f"{WORD} argument, printed and given back"}, **fields,
    )  # fmt: skip


async def set_up(world: World, folder: Path) -> None:
    for name in ("their-filed", "their-retired", "their-deleted"):
        (folder / f"{name}.yaml").write_text(json.dumps(theirs()))
    (folder / "own-filed.yaml").write_text(json.dumps(hourly(tags=["ours"])))
    shared = {"own-shared": hourly(tags=["ours"]), "their-shared": theirs()}
    (folder / "shared.yaml").write_text(json.dumps({"tasks": shared}, indent=1))
    await world.admin("POST", "/sync")
    (folder / "their-retired.yaml").unlink()
    (folder / "their-broken.yaml").write_text(json.dumps(theirs(timeout=f"{WORD} fault")))
    (folder / f"{WORD}.yaml").write_text(f"name: [{WORD}")
    await world.admin("POST", "/sync")
    await world.admin("DELETE", f"/task-manage/their-deleted?reason={WORD}")
    await world.admin("PUT", f"/task-manage/their-filed?reason={WORD}", {"max_instances": 7})
    await world.admin("POST", "/task-manage", theirs(id="their-task"))
    await world.admin("POST", f"/task-manage/their-task/pause?until=9d&reason={WORD}")
    failing = {**theirs(id="their-failing"), "func_args": {"name": WORD}}
    await world.admin("POST", "/task-manage", {**failing, "func_path": "importlib.import_module"})
    await world.admin("POST", f"/task-manage/their-task/silence?reason={WORD}")
    for task_id in ("own-filed", "own-shared"):
        await world.admin("PUT", f"/task-manage/{task_id}", {"max_instances": 7})
    for task_id in OWN:
        if task_id not in ("own-filed", "own-shared"):
            await world.admin("POST", "/task-manage", hourly(id=task_id, tags=["ours", "x"]))
    for task_id in ("their-task", "their-failing", "own-task"):
        world.logs[task_id] = (await world.admin("POST", f"/task-manage/{task_id}/trigger"))["id"]
    for task_id, log_id in world.logs.items():
        path = f"/task-manage/{task_id}/logs/{log_id}"

        async def has_ended(path: str = path) -> bool:
            return (await world.admin("GET", path))["end_time"] is not None

        await until(has_ended)
        assert task_id == "own-task" or WORD in json.dumps(await world.admin("GET", path))


async def credentials_of(world: World) -> list[Credential]:
    """Good ones of every kind, and ones that were good."""
    service = world.client.service
    tokens = Tokens(service.settings, service.database)
    found: list[Credential] = []
    for role in ROLES:
        found.append(_bearer(f"{role} of the environment", f"env-{role}-0123456789", role))
        _, plain = await tokens.create(f"stored-{role}", role, by="x")
        _, narrow = await tokens.create(f"narrow-{role}", role, tags=["ours", "none"], by="x")
        await service.credentials.refresh()
        found += [_bearer(f"stored {role}", plain, role)]
        found += [_bearer(f"narrowed {role}", narrow, role, narrowed=True)]
        found += [await _session(world, narrow, role, narrowed=True)]
    over = now_utc() - timedelta(seconds=1)
    _, expired = await tokens.create("expired", "admin", expires_at=over, by="x")
    _, revoked = await tokens.create("revoked", "admin", by="x")
    await service.credentials.refresh()
    session = await _session(world, revoked, None)
    await tokens.revoke("revoked", by="x")
    await service.credentials.refresh()
    found += [_bearer("expired", expired, None), _bearer("revoked", revoked, None), session]
    return [*found, Credential(name="none")]


def _bearer(
    name: str, token: str, role: Role | None = None, *, narrowed: bool = False
) -> Credential:
    return Credential(
        name=name, headers={"authorization": f"Bearer {token}"}, role=role, narrowed=narrowed
    )


async def _session(
    world: World, token: str, role: Role | None, *, narrowed: bool = False
) -> Credential:
    headers = {"content-type": FORM, "origin": BASE}
    answer = await world.ask("POST", "/sign-in", headers, urlencode({"token": token}).encode())
    [cookie] = SimpleCookie(answer.headers["set-cookie"]).items()
    headers = {"cookie": f"{cookie[0]}={cookie[1].value}"}
    page = await world.ask("GET", "/schema", {**headers, "accept": "text/html"})
    csrf = page.text.partition('name="csrf-token" content="')[2].partition('"')[0]
    assert csrf
    return Credential(
        name=f"session of {role}", headers=headers, role=role, narrowed=narrowed, csrf=csrf
    )


def forged(credential: Credential, chance: random.Random) -> Credential:
    """What is nearly a good credential."""
    [(name, value)] = credential.headers.items()
    head, _, token = value.rpartition("=" if name == "cookie" else " ")
    at = chance.randrange(len(token))
    flipped = chr(ord(token[at]) ^ 1 << chance.randrange(5))
    wrong: Sequence[str] = (
        token[:at], token[at + 1 :], token[:at] + flipped + token[at + 1 :], token + "0",
        token[:at] + chance.choice("éаA\u200b😀;.\x7f") + token[at + 1 :], token * 400,
        token[:at] + token[at:].swapcase(), token[::-1], "", "null", "tsk_" + "0" * 49,
    )  # fmt: skip
    made = chance.choice([one for one in wrong if one != token])
    joint = "=" if name == "cookie" else " "
    return Credential(name=f"forged {credential.name}", headers={name: f"{head}{joint}{made}"})
