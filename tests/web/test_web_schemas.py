"""How a row of the table becomes a task as the API shows it."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from taskservice.storage.shown import Shown
from taskservice.web import schemas

BARE = Shown(
    id="a", name="n", task_type="t", status="pending", trigger_type="date", trigger_args=None,
    func_path="a.b", func_args=None, next_run_time=None, max_instances=None, description=None,
    create_time=datetime(2026, 1, 1, tzinfo=UTC), update_time=datetime(2026, 1, 1, tzinfo=UTC),
    tags=None, paused=False, misfire_grace_time=3600.0, coalesce=True, timeout=None, retries=None,
    recover=False, executor=None, queue=None, notify=None, source="api", drift="in_sync",
    overridden=None, etag="x", retired_at=None, path=None, line=None, revision=None,
)  # fmt: skip


def encoded(row: Shown) -> str:
    return msgspec.json.encode(schemas.Task.of(row, "local")).decode()


def test_what_was_never_given_is_shown_as_its_default() -> None:
    for empty in (None, "null"):
        row = BARE._replace(
            trigger_args=empty, func_args=empty, tags=empty, retries=empty, overridden=empty
        )
        assert encoded(row) == (
            '{"id":"a","name":"n","task_type":"t","status":"pending","trigger_type":"date",'
            '"trigger_args":{},"func_path":"a.b","func_args":{},"next_run_time":null,'
            '"max_instances":1,"description":null,"create_time":"2026-01-01T00:00:00Z",'
            '"update_time":"2026-01-01T00:00:00Z","tags":[],"paused":false,'
            '"misfire_grace_time":3600,"coalesce":true,"timeout":null,"retries":null,'
            '"recover":false,"executor":"local","queue":null,"notify":null,"source":"api",'
            '"drift":"in_sync","overridden":[],'
            '"declared_in":null,"retired_at":null,"unreturned":0}'
        )


def test_json_goes_out_as_it_is_stored() -> None:
    row = BARE._replace(
        trigger_args='{"hours":1.0,"zone":"中文"}', tags='["日报"]', timeout=1.5,
        retries='{"max":3,"delay":5,"backoff":1}', path="a.yaml", line=3,
    )  # fmt: skip
    shown = encoded(row)
    assert '"trigger_args":{"hours":1.0,"zone":"中文"},' in shown
    assert '"retries":{"max":3,"delay":5,"backoff":1,"max_delay":null},' in shown
    task: dict[str, Any] = msgspec.json.decode(shown)
    assert (task["tags"], task["timeout"]) == (["日报"], 1.5)
    assert task["declared_in"] == {"path": "a.yaml", "line": 3, "revision": None}
