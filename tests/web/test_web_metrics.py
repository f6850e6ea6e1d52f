"""The route that Prometheus scrapes."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.web.bodies import hourly
from tests.web.conftest import Serve
from tests.web.test_web_auth import TOKENS, bearer


async def test_it_is_prometheus_text(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    assert {one.labels["status"]: one.value for one in families["taskservice_tasks"].samples} == {
        "pending": 1, "running": 0, "paused": 0, "completed": 0, "failed": 0,
    }  # fmt: skip
    assert all(one.documentation for one in families.values())


async def test_no_label_names_a_task(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="a-task-of-mine"))
    await client.post("/task-manage/a-task-of-mine/trigger")
    assert "a-task-of-mine" not in (await client.get("/metrics")).text


async def test_with_tokens_it_takes_a_viewer(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=bearer("viewer"))).status_code == 200
