"""The list of tasks: what it shows of each, filters in the address, and changes of several."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from taskservice.web.console.tasks import Wanted
from tests.service.conftest import until
from tests.storage.samples import statements
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.console.test_console_session import ORIGIN, sign_in
from tests.web.test_web_auth import TOKENS

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)> \u202etxt.exe {{ 7*7 }}"


async def shown(client: httpx.AsyncClient, path: str = "/", **headers: str) -> Element:
    """A page, which must be sound."""
    answer = await client.get(path, headers={**BROWSER, **headers})
    assert answer.status_code == 200, answer.text
    page = parse(answer.text)
    is_strict(page)
    return page


async def make(client: httpx.AsyncClient, *ids: str, **fields: Any) -> None:
    """Creates tasks by the API."""
    for task_id in ids:
        answer = await client.post("/task-manage/", json=hourly(id=task_id, **fields))
        assert answer.status_code == 201, answer.text


def ids_of(page: Element) -> list[str]:
    """The tasks that a page lists."""
    return [
        row.attributes["id"].removeprefix("task-")
        for row in page.all("tr")
        if row.attributes.get("id")
    ]


async def test_an_empty_list_says_what_to_do(client: httpx.AsyncClient) -> None:
    page = await shown(client)
    assert "There are no tasks yet" in page.text
    assert "tasks.d/hello.yaml" in page.text
    assert list(page.all("form", id="bulk")) == []
    filtered = await shown(client, "/?q=nope")
    assert "No task passes these filters" in filtered.text


async def test_a_row_tells_of_its_task(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    (tasks_dir / "nightly.yaml").write_text(
        "name: 夜间\ntask_type: t\ntrigger_type: cron\n"
        'trigger_args: {crontab: "30 23 * * 1-5"}\ntags: [finance]\n'
        "func_path: taskservice.examples.simple_task\nfunc_args: {message: m}\n"
    )
    await client.post("/sync")
    await client.post("/task-manage/nightly/trigger")

    async def ended() -> bool:
        log = (await client.get("/task-manage/nightly/logs")).json()
        return bool(log["items"]) and log["items"][0]["status"] == "completed"

    await until(ended)
    row = (await shown(client)).one("tr", id="task-nightly")
    assert row.one("td", class_="when").text == "every weekday at 23:30"
    assert row.one("th").text == "夜间 nightly finance"
    assert row.one("td", class_="state").text == "pending"
    assert row.one("td", class_="source").text == "nightly.yaml"
    [fire, away] = row.one("td", class_="next").all("time")
    assert fire.text.endswith("23:30:00") and away.text.startswith("in ")
    assert len(list(row.one("svg", class_="strip").all("rect"))) == 1
    assert row.one("rect", class_="completed").one("title").text.startswith("completed · 20")
    assert row.one("svg", class_="strip").attributes["aria-label"] == (
        "last executions: 1 completed"
    )
    await client.post("/task-manage/nightly/pause?until=2h")
    row = (await shown(client, **{"Accept-Language": "zh"})).one("tr", id="task-nightly")
    assert row.one("td", class_="when").text == "工作日 23:30"
    assert row.one("td", class_="state").text.startswith("已暂停 直到 20")
    assert "有覆盖" in row.one("td", class_="source").text


async def test_hostile_names_are_but_text(client: httpx.AsyncClient) -> None:
    name = HOSTILE[:100]
    await make(client, "t", name=name, tags=["<b>", '"x'], description=HOSTILE)
    page = await shown(client)
    assert name in page.one("tr", id="task-t").one("a", href="/tasks/t").text
    answer = await client.get("/", headers=BROWSER)
    assert "<script>alert" not in answer.text and "<img" not in answer.text
    page = await shown(client, "/tasks/t")
    assert page.one("h1").text == name
    await shown(client, "/tasks/t/edit")
    page = await shown(client, f"/?q={httpx.QueryParams({'q': HOSTILE})}"[:150])
    assert page.one("input", name="q").attributes["value"]


async def test_filters_sort_and_page_stand_in_the_address(client: httpx.AsyncClient) -> None:
    await make(client, "a", "b", "c", task_type="one")
    await make(client, "d", task_type="two", trigger_type="cron", trigger_args={"hour": 3})
    await client.post("/task-manage/b/pause")
    for query, ids in (
        ("", "abcd"), ("sort=-id", "dcba"), ("task_type=two", "d"), ("status=paused", "b"),
        ("trigger_type=cron", "d"), ("source=file", ""), ("source=api&drift=in_sync", "abcd"),
        ("q=A", "abcd"), ("q=c&sort=-name", "cdba"), ("tag=x", ""), ("retired=true", ""),
        ("size=25&page=2", ""), ("status=&drift=&q=&tag=", "abcd"),
    ):  # fmt: skip
        page = await shown(client, f"/?{query}")
        assert "".join(sorted(ids_of(page))) == "".join(sorted(ids)), query
        if "sort=-id" in query:
            assert ids_of(page) == list(ids)


@pytest.mark.parametrize(
    "query",
    [
        "status=nope",
        "page=0",
        "page=x",
        "page=99999999999",
        "size=-1",
        "sort=etag",
        "page=²",
        "a=b",
    ],
)
async def test_what_an_address_says_wrong_is_passed_over(
    client: httpx.AsyncClient, query: str
) -> None:
    await make(client, "a")
    assert ids_of(await shown(client, f"/?{query}")) == ["a"]


def test_only_filters_narrow() -> None:
    assert not Wanted(sort="name", page=3, size=25).narrows
    assert Wanted(q="x").narrows
    assert Wanted(retired=True).narrows


async def test_pages_lead_to_one_another(client: httpx.AsyncClient) -> None:
    await make(client, *(f"t{number:02}" for number in range(30)))
    page = await shown(client, "/?size=25&q=t")
    paging = page.one("nav", class_="paging")
    assert "30 tasks" in paging.text and "Page 1 of 2" in paging.text
    assert paging.one("a", rel="next").attributes["href"] == "?size=25&q=t&page=2"
    page = await shown(client, "/?size=25&q=t&page=2")
    assert len(ids_of(page)) == 5
    head = next(page.all("th", scope="col", aria_sort="ascending"), None)
    assert head is None  # it is sorted by id, which has no column of its own
    page = await shown(client, "/?sort=-name")
    assert page.one("th", aria_sort="descending").one("a").attributes["href"] == "?sort=name"


async def test_a_page_costs_few_queries(client: Client) -> None:
    await make(client, *(f"t{number}" for number in range(40)))
    await client.post("/task-manage/t1/pause?until=2h")
    with statements(client.service.database, reads=True) as sent:
        await shown(client)
    queries = [one for one in sent if one.startswith("SELECT")]
    assert 1 <= len(queries) <= 8, queries


async def test_several_are_paused_resumed_and_run(client: httpx.AsyncClient) -> None:
    await make(client, "a", "b", "c")
    back = "/?sort=-id&q=t%26"
    form = {"id": ["a", "b"], "back": back, "reason": "INC-42", "until": "2h"}
    answer = await client.post("/bulk/pause", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    assert "Done, for 2 tasks." in (await shown(client)).one("p", class_="flash").text
    paused = (await client.get("/task-manage/?status=paused")).json()["items"]
    assert [one["id"] for one in paused] == ["a", "b"]
    [override] = (await client.get("/task-manage/a/overrides")).json()
    assert (override["reason"], override["until"] is not None) == ("INC-42", True)
    answer = await client.post("/bulk/resume", data={"id": ["a", "b"], "back": "//evil"})
    assert answer.headers["location"] == "/"
    assert (await client.get("/task-manage/?status=paused")).json()["total"] == 0
    await client.post("/bulk/trigger", data={"id": ["a", "c"]})
    for task_id, count in (("a", 1), ("b", 0), ("c", 1)):
        log = (await client.get(f"/task-manage/{task_id}/logs")).json()
        assert log["total"] == count


async def test_what_failed_of_several_is_told(client: httpx.AsyncClient) -> None:
    await make(client, "a")
    await client.post("/bulk/pause", data={"id": ["a", "nope"]})
    said = (await shown(client)).one("p", class_="flash")
    assert "Done, for 1 task." in said.text and "nope: no task 'nope'" in said.text
    await client.post("/bulk/pause", data={"id": ["a"], "until": "soon"})
    said = (await shown(client)).one("p", class_="flash")
    assert "Done" not in said.text and "until" in said.text
    await client.post("/bulk/pause", data={})
    assert "No task is chosen." in (await shown(client)).one("p", class_="flash").text


async def test_a_viewer_has_no_buttons_and_is_refused(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "admin")
        headers = {"X-CSRF-Token": csrf, **ORIGIN}
        await client.post("/task-manage/", json=hourly(id="t"), headers=headers)
        csrf = await sign_in(client, "viewer")
        for path in ("/", "/tasks/t"):
            page = await shown(client, path)
            posts = [one for one in page.all("form") if one.attributes.get("method") == "post"]
            assert [one.attributes["action"] for one in posts] == ["/sign-out"], path
            assert list(page.all("input", name="id")) == []
        assert (await client.get("/tasks/t/edit", headers=BROWSER)).status_code == 303
        for path in ("/bulk/pause", "/tasks/t/trigger", "/tasks/t/edit", "/tasks/t/delete"):
            answer = await client.post(path, data={"csrf": csrf, "id": "t"}, headers=BROWSER)
            assert answer.status_code == 403, path
            assert "vic is viewer" in parse(answer.text).one("main").text
        assert (await client.get("/task-manage/t")).json()["paused"] is False


async def test_an_operator_has_what_operators_may(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "admin")
        headers = {"X-CSRF-Token": csrf, **ORIGIN}
        await client.post("/task-manage/", json=hourly(id="t"), headers=headers)
        csrf = await sign_in(client, "operator")
        page = await shown(client, "/tasks/t")
        actions = {one.attributes["action"] for one in page.all("form", method="post")}
        assert actions == {
            "/sign-out", "/tasks/t/trigger", "/tasks/t/pause", "/tasks/t/silence",
        }  # fmt: skip
        assert all(one.one("input", name="csrf") for one in page.all("form", method="post"))
        answer = await client.post("/tasks/t/pause", data={"csrf": csrf}, headers=ORIGIN)
        assert answer.status_code == 303
        assert (await client.get("/task-manage/t")).json()["paused"] is True
        refused = await client.post("/tasks/t/delete", data={"csrf": csrf}, headers=ORIGIN)
        assert refused.status_code == 403
        forged = await client.post("/tasks/t/resume", data={"csrf": "x"}, headers=ORIGIN)
        assert forged.status_code == 403
        assert (await client.get("/task-manage/t")).json()["paused"] is True


async def test_the_list_and_its_counts_are_fragments_too(client: httpx.AsyncClient) -> None:
    await make(client, "a")
    page = await shown(client, "/?q=a&sort=-name")
    addresses = [
        one.attributes["data-fragment"] for one in page.all() if "data-fragment" in one.attributes
    ]
    assert addresses == ["/list/states?q=a&sort=-name", "/list?q=a&sort=-name", "/tasks/a/row"]
    for address in addresses:
        answer = await client.get(address, headers=BROWSER)
        assert answer.status_code == 200
        root = parse(answer.text)
        is_strict(root)
        [element] = [one for one in root.children if isinstance(one, Element)]
        # It takes the place of the one that named its address.
        assert element.attributes["data-fragment"] == address
        assert element.attributes["data-live"]
