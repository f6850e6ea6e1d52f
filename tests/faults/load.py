"""Somebody who uses the API without a pause, and remembers what was answered with 2xx."""

import threading
from types import TracebackType
from typing import Any, Self

import httpx

from tests.faults import log
from tests.faults.lab import Lab
from tests.faults.service import Service

HAND, CHANGED = "by-hand", "changed"
PAUSE = 0.05


class Load:
    """A thread that triggers, creates and changes tasks from `with` to its end.

    An error is what faults are made for: it is no answer, and promises nothing.
    """

    def __init__(self, lab: Lab, service: Service) -> None:
        lab.declare(HAND, max_instances=1000)
        lab.declare(CHANGED)
        self._lab = lab
        self._port = service.port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._more = threading.Event()
        self.triggered: list[str] = []
        self.created: list[str] = []
        self.saved = 0
        self.sent = 0
        self.statuses: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def go_on(self, seconds: float = 30.0) -> None:
        """Wait until another round of requests has been answered with 2xx."""
        self._more.clear()
        assert self._more.wait(seconds), f"no request was answered; {self.statuses} before"

    def check(self) -> None:
        """Every acknowledged change is in the database; call it when nothing changes any more."""
        url = self._lab.url
        rows = {row.id for row in log.read_log(url)}
        lost = [f"lost: execution {key}" for key in self.triggered if key not in rows]
        tasks: dict[str, Any] = dict(log.query(url, "SELECT id, description FROM task_manage"))
        lost += [f"lost: task {key}" for key in self.created if key not in tasks]
        kept = int(tasks[CHANGED] or 0)
        if not self.saved <= kept <= self.sent:
            lost.append(f"lost: {kept} is saved, {self.saved} was acknowledged, {self.sent} sent")
        acknowledged = len(self.triggered) + len(self.created) + self.saved
        self._lab.seen.append(f"{acknowledged} answers of 2xx, {len(lost)} lost")
        self._lab.violations += lost
        assert self.statuses <= {200, 201, 202, 404, 409, 503}, self.statuses
        self._lab.verdict()

    def _run(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30) as client:
            while not self._stop.wait(PAUSE):
                try:
                    self._round(client)
                except httpx.TransportError:
                    continue

    def _round(self, client: httpx.Client) -> None:
        answer = self._note(client.post(f"/task-manage/{HAND}/trigger"))
        if answer.status_code == 202:
            self.triggered.append(answer.json()["id"])
        task_id = f"made-{self.sent}"
        answer = self._note(client.post("/task-manage/", json=_task(task_id)))
        if answer.status_code == 201:
            self.created.append(task_id)
        self.sent += 1
        changed = self._note(
            client.put(f"/task-manage/{CHANGED}", json={"description": str(self.sent)})
        )
        if changed.status_code == 200:
            self.saved = self.sent
            self._more.set()

    def _note(self, answer: httpx.Response) -> httpx.Response:
        self.statuses.add(answer.status_code)
        return answer


def _task(task_id: str) -> dict[str, Any]:
    return {
        "id": task_id,
        "name": task_id,
        "task_type": "made",
        "trigger_type": "date",
        "trigger_args": {"run_date": "2999-01-01T00:00:00Z"},
        "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": task_id},
    }
