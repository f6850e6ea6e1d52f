"""The page of an execution: what it tells, its output as it comes, cancel and run again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskservice.storage.owners import QUEUE
from taskservice.web.console.executions import indented
from tests.storage.samples import NOW, make_execution, record
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.console.jobs import FAIL, OPEN
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.console.test_console_session import ORIGIN, sign_in
from tests.web.test_web_auth import TOKENS, bearer
from tests.web.test_web_executions import ended

CHINESE = {**BROWSER, "Accept-Language": "zh-CN"}
FUNCTIONS = ("tests.web.console.jobs.*",)


@pytest.fixture
async def jobs(serve: Serve) -> AsyncIterator[Client]:
    """A client of a service whose tasks may call the tests' functions."""
    async with serve(functions=FUNCTIONS) as client:
        yield client


async def begin(client: httpx.AsyncClient, gate: Path, **fields: Any) -> dict[str, Any]:
    """An execution that runs until there is a file `gate`."""
    talk = {"func_path": "tests.web.console.jobs.talk", "func_args": {"gate": str(gate)}}
    made = await client.post("/task-manage/", json=hourly(id="t", **talk, **fields))
    assert made.status_code == 201, made.text
    answer = await client.post("/task-manage/t/trigger")
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def address(execution: dict[str, Any]) -> str:
    """The address of its page."""
    return f"/tasks/{execution['task_id']}/executions/{execution['id']}"


async def get(client: httpx.AsyncClient, path: str, **headers: str) -> Element:
    """A page, or a fragment of one."""
    answer = await client.get(path, headers={**BROWSER, **headers})
    assert answer.status_code == 200, answer.text
    root = parse(answer.text)
    is_strict(root)
    return root


async def printed(client: httpx.AsyncClient, execution: dict[str, Any], text: str) -> None:
    """Waits until its output has this text."""
    async with asyncio.timeout(10):
        while True:
            said = (await client.get(f"{address(execution)}/output")).json()
            if text in said["text"]:
                return
            await asyncio.sleep(0.01)


async def test_a_running_execution_can_be_followed(jobs: httpx.AsyncClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    execution = await begin(jobs, gate)
    await printed(jobs, execution, "first")
    page = await get(jobs, address(execution))
    output = page.one("pre", id="output")
    assert "data-running" in output.attributes
    assert output.attributes["tabindex"] == "0"
    assert output.text == "WARNING talk: 中文 <b>first</b>"
    length = output.attributes["data-length"]
    assert page.one("input", id="follow").attributes["type"] == "checkbox"
    assert page.one("dialog", id="cancel").one("form").attributes["action"].endswith("/cancel")
    gate.write_text(OPEN)
    await ended(jobs, execution)
    said = (await jobs.get(f"{output.attributes['data-address']}?from={length}")).json()
    assert said["text"] == "WARNING talk: second\n"
    assert (said["from"], said["to"]) == (int(length), int(length) + 21)
    assert said["running"] is False
    facts = (await get(jobs, f"{address(execution)}/facts")).one("div", id="facts")
    assert facts.attributes["data-live"] == f"execution:{execution['id']}"
    assert "completed" in facts.text
    assert list(facts.all("dialog")) == []
    page = await get(jobs, address(execution))
    assert "data-running" not in page.one("pre", id="output").attributes
    assert list(page.all("input", id="follow")) == []
    assert '"<i>second</i>"' in page.one("pre", id="result").text


@pytest.mark.parametrize("asked", ["-1", "x", "", "²", "9999", "9" * 30])
async def test_a_wrong_offset_begins_anew(
    jobs: httpx.AsyncClient, tmp_path: Path, asked: str
) -> None:
    gate = tmp_path / "gate"
    gate.write_text(OPEN)
    execution = await begin(jobs, gate)
    await ended(jobs, execution)
    said = (await jobs.get(f"{address(execution)}/output", params={"from": asked})).json()
    assert said["from"] == 0
    assert said["text"].startswith("WARNING talk: 中文")


async def test_an_error_is_told_and_is_no_html(jobs: httpx.AsyncClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.write_text(FAIL)
    execution = await begin(jobs, gate, name="<b>名</b>")
    await ended(jobs, execution)
    page = await get(jobs, address(execution), **CHINESE)
    error = page.one("pre", id="error")
    assert "<script>alert(1)</script> 坏了" in error.text
    assert "Traceback" in error.text
    assert page.one("html").attributes["lang"] == "zh-CN"
    assert page.one("h1").text == "执行"
    assert "<b>名</b>" in page.one("dl", class_="facts").text


async def test_large_outputs_are_shown_whole(jobs: httpx.AsyncClient) -> None:
    flood = {"func_path": "tests.web.console.jobs.flood", "func_args": {"size": 300_000}}
    await jobs.post("/task-manage/", json=hourly(id="t", **flood))
    execution = (await jobs.post("/task-manage/t/trigger")).json()
    await ended(jobs, execution)
    page = await get(jobs, address(execution))
    assert len(page.one("pre", id="output").text) > 256_000
    assert " bytes left out]" in page.one("pre", id="output").text
    assert page.one("pre", id="result").text == '"<img src=x>"'


async def test_an_output_without_its_middle_is_sent_anew_when_it_has_changed(
    jobs: httpx.AsyncClient,
) -> None:
    flood = {"func_path": "tests.web.console.jobs.flood", "func_args": {"size": 300_000}}
    await jobs.post("/task-manage/", json=hourly(id="t", **flood))
    execution = (await jobs.post("/task-manage/t/trigger")).json()
    await ended(jobs, execution)
    place = f"{address(execution)}/output"
    first = (await jobs.get(place, params={"from": "1000", "state": ""})).json()
    assert (first["from"], len(first["text"])) == (0, first["to"])
    same = (await jobs.get(place, params={"from": first["to"], "state": first["state"]})).json()
    assert (same["from"], same["text"], same["state"]) == (first["to"], "", first["state"])
    other = (await jobs.get(place, params={"from": first["to"], "state": "0"})).json()
    assert (other["from"], other["text"]) == (0, first["text"])


async def test_arguments_of_a_run_are_shown_and_used_again(
    jobs: httpx.AsyncClient, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_text(OPEN)
    await ended(jobs, await begin(jobs, gate))
    body = {"func_args": {"text": "just <once>"}}
    first = (await jobs.post("/task-manage/t/trigger", json=body)).json()
    await ended(jobs, first)
    page = await get(jobs, address(first))
    assert "Arguments given for this run" in page.text
    answer = await jobs.post(f"{address(first)}/again", headers=BROWSER)
    assert answer.status_code == 303
    again = answer.headers["location"]
    assert again.startswith("/tasks/t/executions/")
    assert again != address(first)
    log_id = again.rpartition("/")[2]
    finished = await ended(jobs, {"task_id": "t", "id": log_id})
    assert finished["output"].startswith("WARNING talk: just <once>")
    assert "runs again" in (await get(jobs, again)).one("p", class_="flash").text


async def test_cancel_stops_it(jobs: httpx.AsyncClient, tmp_path: Path) -> None:
    execution = await begin(jobs, tmp_path / "gate")
    answer = await jobs.post(f"{address(execution)}/cancel", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, address(execution))
    page = await get(jobs, address(execution))
    assert page.one("p", class_="flash").attributes["role"] == "status"
    assert page.one("pre", id="error").text.startswith("cancelled:")
    again = await jobs.post(f"{address(execution)}/cancel", headers=CHINESE)
    assert again.status_code == 303
    assert "has ended" in (await get(jobs, address(execution))).one("p", class_="flash").text


async def test_what_cannot_run_again_says_so(jobs: httpx.AsyncClient, tmp_path: Path) -> None:
    execution = await begin(jobs, tmp_path / "gate")
    answer = await jobs.post(f"{address(execution)}/again", headers=BROWSER)
    assert answer.headers["location"] == address(execution)
    flash = (await get(jobs, address(execution))).one("p", class_="flash")
    assert flash.attributes["role"] == "alert"
    await jobs.post(f"{address(execution)}/cancel", headers=BROWSER)


async def test_attempts_of_a_fire_lead_to_one_another(
    jobs: httpx.AsyncClient, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_text(FAIL)
    talk = {"func_path": "tests.web.console.jobs.talk", "func_args": {"gate": str(gate)}}
    fires = {"trigger_args": {"seconds": 1}, "retries": {"max": 1, "delay": 0}}
    await jobs.post("/task-manage/", json=hourly(id="t", **talk, **fires))
    async with asyncio.timeout(15):
        while True:
            items = (await jobs.get("/task-manage/t/logs?status=failed")).json()["items"]
            if seconds := [one for one in items if one["attempt"] == 2]:
                break
            await asyncio.sleep(0.05)
    page = await get(jobs, address(seconds[0]))
    links = list(page.one("ol", class_="attempts").all("a"))
    assert [link.text for link in links] == ["1 failed", "2 failed"]
    assert links[1].attributes["aria-current"] == "page"
    assert "its schedule" in page.text
    other = await get(jobs, links[0].attributes["href"])
    assert other.one("a", aria_current="page", href=links[0].attributes["href"]).text == "1 failed"


@pytest.mark.parametrize("path", ["t/executions/none", "none/executions/none", "t/executions/%00"])
async def test_what_is_not_there_is_a_page(jobs: httpx.AsyncClient, path: str) -> None:
    await jobs.post("/task-manage/", json=hourly(id="t", func_path="tests.web.console.jobs.flood",
                                                 func_args={"size": 1}))  # fmt: skip
    for tail in ("", "/facts", "/output"):
        answer = await jobs.get(f"/tasks/{path}{tail}", headers=BROWSER)
        assert answer.status_code == 404
        assert "There is nothing here" in answer.text


async def test_roles_see_and_do_what_is_theirs(serve: Serve, tmp_path: Path) -> None:
    async with serve(functions=FUNCTIONS, api_tokens=TOKENS) as client:
        talk = {
            "func_path": "tests.web.console.jobs.talk",
            "func_args": {"gate": str(tmp_path / "x")},
        }
        body = hourly(id="t", **talk)
        await client.post("/task-manage/", json=body, headers=bearer("admin"))
        answer = await client.post("/task-manage/t/trigger", headers=bearer("admin"))
        path = address(answer.json())
        csrf = await sign_in(client, "viewer")
        page = await get(client, path)
        assert [form.attributes["action"] for form in page.all("form")] == ["/sign-out"]
        for action in ("cancel", "again"):
            sent = await client.post(f"{path}/{action}", data={"csrf": csrf}, headers=ORIGIN)
            assert sent.status_code == 403
        csrf = await sign_in(client, "operator")
        forms = (await get(client, path)).all("form")
        own = [form for form in forms if form.attributes["action"].startswith(path)]
        assert [form.one("input", name="csrf").attributes["value"] for form in own] == [csrf, csrf]
        assert (await client.post(f"{path}/cancel", headers=ORIGIN)).status_code == 403
        sent = await client.post(f"{path}/cancel", data={"csrf": csrf}, headers=ORIGIN)
        assert (sent.status_code, sent.headers["location"]) == (303, path)


def test_a_result_is_shown_with_a_line_for_each_part() -> None:
    assert indented('{"a":["中",1]}') == '{\n  "a": [\n    "中",\n    1\n  ]\n}'
    assert indented("no json") == "no json"
    assert indented("[" * 100_000) == "[" * 100_000
    assert indented(None) is None


async def test_an_execution_in_a_queue_is_told_and_can_be_cancelled(jobs: Client) -> None:
    """Its row is as the service with a broker writes it."""
    talk = {"func_path": "tests.web.console.jobs.talk", "func_args": {"gate": "none"}}
    assert (await jobs.post("/task-manage/", json=hourly(id="t", **talk))).status_code == 201
    row = make_execution(
        "e1", "t", status="queued", owner=QUEUE, queue="reports", queued_at=NOW, start_time=NOW
    )
    await record(jobs.service.database, row)
    where = "/tasks/t/executions/e1"
    facts = (await get(jobs, f"{where}/facts")).one("dl", class_="facts").text
    assert "Queue reports Worker none yet Started –" in facts
    page = await get(jobs, where)
    assert page.one("div", id="facts").one("span", class_="badge").text == "queued"
    assert "data-running" in page.one("pre", id="output").attributes
    assert (await jobs.get(f"{where}/output")).json()["running"] is True
    dialog = page.one("dialog", id="cancel")
    answer = await jobs.post(dialog.one("form").attributes["action"], headers=ORIGIN)
    assert answer.status_code == 303
    page = await get(jobs, where, **CHINESE)
    assert "未运行" in page.one("dl", class_="facts").text
    assert page.one("pre", id="error").text == "cancelled: by anonymous"
    assert list(page.all("pre", id="output")) == []
    listed = (await jobs.get("/task-manage/t/logs?status=cancelled")).json()["items"]
    assert [(one["queue"], one["worker"]) for one in listed] == [("reports", None)]
    assert datetime.fromisoformat(listed[0]["queued_at"]) == NOW
