"""The page of workers, and what every page says of a queue that no worker serves."""

import httpx

from taskservice.storage import owners, workers
from taskservice.storage.database import Connection
from taskservice.storage.owners import QUEUE
from taskservice.storage.workers import Worker
from tests.storage.samples import NOW, later, make_execution, make_state, record, save
from tests.web.conftest import Client, Serve
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.console.test_console_session import sign_in
from tests.web.test_web_auth import TOKENS, bearer

ADDRESS = "/workers/overview"
HOSTILE = "<b>&'\"</b>"


async def fill(client: Client) -> None:
    """Have a worker with an execution, one execution that waits for it, and one for nobody."""
    database = client.service.database
    await save(database, make_state("hourly"))
    listed = Worker(name=f"host:7:{HOSTILE}", kind="worker", queues=("reports",), concurrency=8)

    async def work(connection: Connection) -> None:
        await owners.register(connection, "w", listed.name, 30)
        await workers.register(connection, "w", listed)

    await database.write(work)
    waiting = {"status": "queued", "owner": QUEUE}
    await record(
        database,
        make_execution("e1", "hourly", owner="w", queue="reports", queued_at=NOW, worker="w"),
        make_execution("e2", "hourly", queue="reports", queued_at=NOW, **waiting),
        make_execution("e3", "hourly", queue=HOSTILE, queued_at=later(1), **waiting),
    )


async def get(client: httpx.AsyncClient, path: str, **headers: str) -> Element:
    """A page, or a fragment of one."""
    answer = await client.get(path, headers={**BROWSER, **headers})
    root = parse(answer.text)
    is_strict(root)
    return root


def navigation(page: Element) -> list[str]:
    return [link.text for link in next(page.all("nav")).all("a")]


async def test_where_there_are_none_no_page_speaks_of_them(client: Client) -> None:
    page = await get(client, "/")
    assert navigation(page) == ["Tasks", "Timeline", "Sync", "Audit trail", "API docs"]
    assert list(page.all("p", class_="unserved")) == []
    page = await get(client, ADDRESS)
    assert page.one("h1").text == "Workers"
    assert "No task names a queue" in page.text
    assert page.one("section", aria_labelledby="who-title").one("span", class_="badge").text == (
        "alive"
    )


async def test_the_page_tells_workers_and_queues(client: Client) -> None:
    await fill(client)
    page = await get(client, ADDRESS)
    assert navigation(page) == ["Tasks", "Timeline", "Sync", "Audit trail", "Workers", "API docs"]
    queues, who = (
        [row.text for row in page.one("section", aria_labelledby=name).one("tbody").all("tr")]
        for name in ("queues-title", "who-title")
    )
    assert [row.split(" 2026")[0] for row in queues] == [
        f"{HOSTILE} 0 no worker serves it 1",
        "reports 1 1",
    ]
    assert f"host:7:{HOSTILE} worker" in " ".join(who)
    assert "reports 1 of 8 hourly" in " ".join(who)
    assert page.one("a", href="/tasks/hourly/executions/e1").text == "hourly"
    fragment = await get(client, f"{ADDRESS}/state")
    assert fragment.one("div", id="workers").attributes["data-fragment"] == f"{ADDRESS}/state"


async def test_every_page_names_queues_without_a_worker(client: Client) -> None:
    await fill(client)
    for path in ("/", "/folder", "/timeline", "/tasks/hourly", "/tasks/absent", "/nope", ADDRESS):
        line = (await get(client, path)).one("p", class_="unserved")
        assert line.text == f"No worker serves the queue {HOSTILE}, and executions wait in it."
        assert line.one("a").attributes["href"] == ADDRESS
    chinese = await get(client, "/", **{"Accept-Language": "zh-CN"})
    assert f"没有工作进程为队列 {HOSTILE} 服务" in chinese.one("p", class_="unserved").text


async def test_who_may_read_sees_them_and_who_has_not_signed_in_does_not(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        await fill(client)
        assert (await client.get("/workers")).status_code == 401
        found = (await client.get("/workers", headers=bearer("viewer"))).json()
        assert {one["name"]: one["waiting"] for one in found["queues"]} == {
            HOSTILE: 1, "reports": 1,
        }  # fmt: skip
        [worker] = [one for one in found["workers"] if one["kind"] == "worker"]
        assert worker.keys() == {
            "name", "kind", "host", "state", "queues", "concurrency", "running", "running_count",
            "since", "heard_at",
        }  # fmt: skip
        assert (worker["host"], worker["queues"], worker["running_count"]) == (
            "host", ["reports"], 1,
        )  # fmt: skip
        assert worker["running"][0].keys() == {"id", "task_id", "start_time"}
        assert list((await get(client, "/sign-in")).all("p", class_="unserved")) == []
        await sign_in(client, "viewer")
        assert (await get(client, "/")).one("p", class_="unserved")
