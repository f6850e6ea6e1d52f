"""Server-sent events: what is sent, to whom, and how an answer without an end ends."""

import asyncio
from typing import Any

from taskservice.web.app import create_app
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.streams import Sent, Stream, listening
from tests.web.test_web_auth import TOKENS, bearer


async def told(stream: Stream, *names: str) -> Sent:
    """The next event with one of these names."""
    while event := await stream.next():
        if event.event in names:
            return event
    raise AssertionError("the stream ended")


async def test_the_data_are_those_of_the_other_routes(client: Client) -> None:
    async with listening(client, "/events") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-accel-buffering"] == "no"
        assert await stream.block() == "retry: 1000"

        body = hourly(id="t", retries={"max": 1}, description="two\nlines", tags=["日报"])
        made = (await client.post("/task-manage/", json=body)).json()
        first = await told(stream, "task")
        assert first.data == made
        assert first.data == (await client.get("/task-manage/t")).json()

        await client.post("/task-manage/t/trigger")
        ended = await told(stream, "execution")
        while ended.data["end_time"] is None:
            ended = await told(stream, "execution")
        [row] = (await client.get("/task-manage/t/logs")).json()["items"]
        assert ended.data == row

        await client.delete("/task-manage/t")
        gone = await told(stream, "task-gone")
        assert gone.data == {"id": "t"}
        assert len({first.id, ended.id, gone.id}) == 3


async def test_a_sync_is_told_as_its_report(client: Client, tasks_dir: Any) -> None:
    async with listening(client, "/events") as stream:
        (tasks_dir / "broken.yaml").write_text("name: [\n")
        event = await told(stream, "sync")
        while not event.data["errors"]:
            event = await told(stream, "sync")
        report = (await client.get("/sync")).json()
        assert event.data == {**report, "synced_at": event.data["synced_at"]}


async def test_one_task_alone_may_be_listened_to(client: Client) -> None:
    async with listening(client, "/events?task_id=t") as stream:
        await client.post("/task-manage/", json=hourly(id="other"))
        await client.post("/task-manage/", json=hourly(id="t"))
        assert (await told(stream, "task")).data["id"] == "t"
    too_long = await client.get("/events", params={"task_id": "x" * 37})
    assert too_long.status_code == 422
    assert (await client.get("/events", params={"taskid": "t"})).status_code == 422


async def test_json_that_somebody_stored_over_lines_is_one_line(client: Client) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    written = "UPDATE task_manage SET func_args = '{\n\"data_id\":\r\n 1}' WHERE id = 't'"
    database = client.service.database
    await database.write(lambda connection: connection.exec_driver_sql(written))
    async with listening(client, "/events") as stream:
        await client.post("/task-manage/t/trigger")
        assert (await told(stream, "task")).data["func_args"] == {"data_id": 1}


async def test_who_comes_back_is_told_to_reload(client: Client) -> None:
    async with listening(client, "/events", {"Last-Event-ID": "x"}) as stream:
        event = await told(stream, "reset")
        assert event.data == {}


async def test_silence_is_broken_by_a_comment(client: Client) -> None:
    app = create_app(client.service.settings, client.service, comment_seconds=0.05)
    async with listening(Client(app), "/events") as stream:
        assert await stream.block() == "retry: 1000"
        assert await stream.block() == ": nothing new"


async def test_one_who_hangs_up_is_forgotten(client: Client) -> None:
    watcher = client.service.watcher
    async with listening(client, "/events"), listening(client, "/events"):
        assert watcher.subscribers == 2
    assert watcher.subscribers == 0


async def test_the_services_end_ends_the_answer(client: Client) -> None:
    async with listening(client, "/events") as stream:
        await client.service.watcher.end()
        assert await stream.next() is None
        assert stream.ended
    refused = await client.get("/events")
    assert refused.status_code == 503
    assert refused.json()["detail"] == "the service is stopping"


async def test_a_head_ends(client: Client) -> None:
    answer = await asyncio.wait_for(client.head("/events"), 15)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert client.service.watcher.subscribers == 0


async def test_a_viewer_may_listen_and_a_stranger_may_not(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for headers in ({}, {"Authorization": "Bearer nobodys-secret"}):
            assert (await client.get("/events", headers=headers)).status_code == 401
        for role in ("viewer", "operator", "admin"):
            async with listening(client, "/events", bearer(role)) as stream:
                assert stream.status == 200
