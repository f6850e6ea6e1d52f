"""The page of a task: provenance, conflicts, fires, executions, and everything done from there."""

import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskservice.domain.trigger import ClockChange
from taskservice.settings import Channel
from tests.service.conftest import until
from tests.web.bodies import hourly
from tests.web.conftest import Serve
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.console.test_console_tasks import make, shown

FILE = """\
name: Notice
task_type: notification
trigger_type: cron
trigger_args: {{crontab: "30 2 * * *", timezone: Europe/Berlin}}
func_path: taskservice.examples.notification_task
func_args: {{user_id: u, message: {message}, channel: email}}
"""


async def declare(client: httpx.AsyncClient, folder: Path, message: str = "hello") -> None:
    """Declares the task `notice` by a file."""
    (folder / "notice.yaml").write_text(FILE.format(message=message))
    assert (await client.post("/sync")).status_code == 200


def row_of(page: Element, field: str) -> Element:
    """The row of a field on a task's page."""
    [row] = [
        row
        for row in page.one("table", class_="fields").one("tbody").all("tr")
        if row.one("th").text.split(" ")[0] == field
    ]
    return row


async def said(client: httpx.AsyncClient, path: str) -> str:
    """What is said once on a page."""
    return (await shown(client, path)).one("p", class_="flash").text


async def send(client: httpx.AsyncClient, path: str, **form: str) -> str:
    """Sends a form, which leads somewhere; where to."""
    answer = await client.post(path, data=form, headers=BROWSER)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_every_field_stands_beside_its_origin(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    await client.put(
        "/task-manage/notice?reason=INC-42&until=3d", json={"max_instances": 3, "timeout": 60}
    )
    page = await shown(client, "/tasks/notice")
    assert "notice.yaml:6" in row_of(page, "func_args.message").text
    assert "every day at 02:30 (Europe/Berlin)" in row_of(page, "trigger").text
    assert row_of(page, "coalesce").text.endswith("default")
    row = row_of(page, "max_instances")
    assert "over" in row.attributes["class"].split()
    for text in ("overridden", "file says now 1", "API · anonymous", "“ INC-42 ”", "until 20"):
        assert text in row.text, text
    assert "conflict" not in row.attributes["class"]


async def test_a_conflict_shows_all_three_and_is_kept_or_reverted(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    args = {"user_id": "u", "message": "mine", "channel": "email"}
    await client.put("/task-manage/notice", json={"func_args": args})
    await declare(client, tasks_dir, "theirs")
    row = row_of(await shown(client, "/tasks/notice"), "func_args.message")
    for text in ("conflict", "mine", "file says now theirs", "file said then hello", "Keep it"):
        assert text in row.text, text
    assert await send(client, "/tasks/notice/keep", field="func_args.message") == "/tasks/notice"
    assert "stays" in await said(client, "/tasks/notice")
    row = row_of(await shown(client, "/tasks/notice"), "func_args.message")
    assert "conflict" not in row.text and "Keep it" not in row.text and "mine" in row.text
    await send(client, "/tasks/notice/revert", field="func_args.message")
    assert "theirs" in row_of(await shown(client, "/tasks/notice"), "func_args.message").text
    await send(client, "/tasks/notice/revert", field="func_args.message")
    assert "no override of" in await said(client, "/tasks/notice")
    await client.put("/task-manage/notice", json={"timeout": 5, "name": "x"})
    await send(client, "/tasks/notice/revert")
    assert (await client.get("/task-manage/notice")).json()["overridden"] == []


async def test_a_promotion_is_shown_to_be_copied_or_downloaded(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    page = await shown(client, "/tasks/notice/promotion")
    assert "nothing to promote" in page.text
    await client.put("/task-manage/notice", json={"timeout": 5, "name": "<b>New</b>"})
    page = await shown(client, "/tasks/notice/promotion?field=name")
    assert page.one("span", class_="plus").text == "+name: <b>New</b>"
    link = page.one("a", download="notice.diff").attributes["href"]
    assert "+name: <b>New</b>\n" in (await client.get(link)).text
    assert "+timeout: 5" in (await shown(client, "/tasks/notice/promotion")).text
    missing = await client.get("/tasks/notice/promotion?field=tags", headers=BROWSER)
    assert missing.status_code == 404
    (tasks_dir / "notice.yaml").write_text("name: [")
    page = await shown(client, "/tasks/notice/promotion")
    assert "notice.yaml" in page.one("p", class_="failed").text


async def test_what_ends_by_itself_is_left_out_of_a_promotion(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    await client.post("/task-manage/notice/pause?until=2h")
    page = await shown(client, "/tasks/notice/promotion")
    assert "nothing to promote" not in page.text and "Left out" in page.text
    await client.put("/task-manage/notice", json={"timeout": 5})
    page = await shown(client, "/tasks/notice/promotion")
    assert [one.text for one in page.all("span", class_="plus")] == ["+timeout: 5"]
    link = page.one("section", class_="left-out").one("a").attributes["href"]
    assert "+paused: true" in (await shown(client, link)).text


async def test_the_next_fires_have_clock_changes_marked(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    card = (await shown(client, "/tasks/notice")).one("section", id="state")
    rows = list(card.one("tbody").all("tr"))
    assert len(rows) == 10
    assert card.one("thead").text == "Europe/Berlin Your time In"
    # Within a year, the clock there once skips and once repeats half past two.
    assert card.text.count("clock skips 02:30") == 1
    assert card.text.count("clock repeats 02:30") == 1
    assert list(card.all("time", data_local="")) != []
    await client.post("/task-manage/notice/pause?until=2h")
    answer = await client.get("/tasks/notice/state", headers=BROWSER)
    card = parse(answer.text).one("section", id="state")
    assert "It is paused until 20" in card.text


async def test_executions_are_listed_filtered_and_drawn(client: httpx.AsyncClient) -> None:
    await make(
        client, "t", func_path="taskservice.examples.simple_task", func_args={"message": "<i>"}
    )
    page = await shown(client, "/tasks/t")
    assert "No executions" in page.one("section", id="executions").text
    for _ in range(2):
        await client.post("/task-manage/t/trigger")

        async def ended() -> bool:
            log = (await client.get("/task-manage/t/logs")).json()
            return all(one["status"] == "completed" for one in log["items"])

        await until(ended)
    page = await shown(client, "/tasks/t?outcome=completed&page=1")
    card = page.one("section", id="executions")
    assert card.attributes["data-fragment"] == "/tasks/t/executions?outcome=completed&page=1"
    assert len(list(card.one("table").one("tbody").all("tr"))) == 2
    assert len(list(card.one("figure").all("rect"))) == 2
    assert "median" in card.one("figcaption").text and "<i>" in card.text
    log_id = (await client.get("/task-manage/t/logs")).json()["items"][0]["id"]
    address = f"/tasks/t/executions/{log_id}"
    assert address in [one.attributes["href"] for one in card.all("a")]
    await shown(client, address)
    failed = await shown(client, "/tasks/t?outcome=failed")
    assert "None of these" in failed.one("section", id="executions").text
    answer = await client.get("/tasks/t/executions?outcome=nope&page=x", headers=BROWSER)
    assert len(list(parse(answer.text).one("tbody").all("tr"))) == 2


async def test_run_now_has_an_input_for_each_argument(client: httpx.AsyncClient) -> None:
    await make(client, "t")
    form = (await shown(client, "/tasks/t")).one("form", action="/tasks/t/trigger")
    inputs = {one.attributes["name"]: one.attributes["value"] for one in form.all("input")}
    assert inputs == {"text.data_id": "data123", "text.process_type": "hourly_update"}
    where = await send(
        client, "/tasks/t/trigger",
        **{"text.data_id": "other", "text.process_type": "hourly_update"},
    )  # fmt: skip
    assert where == "/tasks/t"
    assert await said(client, "/tasks/t") == "It runs now."

    async def ended() -> Any:
        return (await client.get("/task-manage/t/logs?status=completed")).json()["items"]

    await until(ended)
    [execution] = await ended()
    assert "other" in execution["result"]
    await send(client, "/tasks/t/trigger", **{"json.data_id": "{"})
    assert "func_args.data_id: is no JSON" in await said(client, "/tasks/t")
    await send(client, "/tasks/t/trigger", **{"text.nope": "x"})
    assert "no such argument" in await said(client, "/tasks/t")


async def test_a_function_that_is_gone_is_told(serve: Serve) -> None:
    async with serve() as client:
        await make(client, "t")
    async with serve(functions=()) as client:
        page = await shown(client, "/tasks/t")
        assert "not among the functions that tasks may call" in page.one("dialog", id="run").text


async def test_a_function_whose_code_has_changed_is_told(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    monkeypatch.syspath_prepend(modules)
    (modules / "changing.py").write_text("def run(): ...\n")
    async with serve(functions=("changing.*",)) as client:
        for executor in ("local", "process"):
            await make(client, executor, func_path="changing.run", func_args={}, executor=executor)
            await client.post(f"/task-manage/{executor}/trigger")

        async def has_ended() -> bool:
            log = (await client.get("/task-manage/local/logs")).json()["items"]
            return all(one["status"] == "completed" for one in log)

        await until(has_ended)
        assert not list((await shown(client, "/tasks/local")).all("p", class_="old-code"))
        (modules / "changing.py").write_text("def run(a): ...\n")

        async def is_told() -> bool:
            return bool(list((await shown(client, "/tasks/local")).all("p", class_="old-code")))

        await until(is_told)
        assert not list((await shown(client, "/tasks/process")).all("p", class_="old-code"))
        [function] = (await client.get("/functions")).json()
        assert function["changed_on_disk"] is True and function["signature"] == "(a)"
        client.headers["Accept-Language"] = "zh"
        page = await shown(client, "/tasks/local")
        assert "自加载以来在磁盘上已有更改" in page.one("p", class_="old-code").text
    sys.modules.pop("changing", None)


async def test_pause_and_resume(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    await declare(client, tasks_dir)
    await send(client, "/tasks/notice/pause", reason="INC-42", until="90m")
    page = await shown(client, "/tasks/notice")
    assert page.one("p", class_="flash").text == "It is paused."
    assert "“ INC-42 ”" in row_of(page, "paused").text
    assert list(page.all("form", action="/tasks/notice/pause")) == []
    await send(client, "/tasks/notice/resume")
    assert (await client.get("/task-manage/notice")).json()["overridden"] == []
    await send(client, "/tasks/notice/pause", until="yesterday")
    assert "until: must be a time" in await said(client, "/tasks/notice")


async def test_a_deleted_task_is_restored(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    await declare(client, tasks_dir)
    assert await send(client, "/tasks/notice/delete", reason="no longer") == "/"
    assert await said(client, "/") == "notice is deleted."
    answer = await client.get("/tasks/notice", headers=BROWSER)
    assert answer.status_code == 404
    page = parse(answer.text)
    is_strict(page)
    assert "no longer" in page.one("main").text
    await send(client, "/tasks/notice/restore")
    assert await said(client, "/tasks/notice") == "It is back."
    await send(client, "/tasks/notice/restore")
    assert "not deleted" in await said(client, "/tasks/notice")
    assert (await client.get("/tasks/nope", headers=BROWSER)).status_code == 404


async def test_the_edit_form_holds_the_task_and_saves_what_changed(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    form = form_of(await shown(client, "/tasks/notice/edit"))
    assert form["name"] == "Notice" and form["coalesce"] == "on" and "recover" not in form
    assert await send(client, "/tasks/notice/edit", **form) == "/tasks/notice"
    assert (await client.get("/task-manage/notice")).json()["overridden"] == []
    form = form_of(await shown(client, "/tasks/notice/edit"))
    changed = {
        **form,
        "timeout": "1.5",
        "tags": "a b",
        "description": "one\r\ntwo",
        "recover": "on",
    }
    changed |= {"retries": '{"max": 2}', "executor": "process", "reason": "INC", "until": "3d"}
    del changed["coalesce"]
    await send(client, "/tasks/notice/edit", **changed)
    task = (await client.get("/task-manage/notice")).json()
    assert (task["timeout"], task["tags"], task["description"]) == (1.5, ["a", "b"], "one\ntwo")
    assert (task["recover"], task["coalesce"], task["executor"]) == (True, False, "process")
    assert set(task["overridden"]) == {
        "timeout", "tags", "description", "recover", "coalesce", "executor", "retries",
    }  # fmt: skip
    for override in (await client.get("/task-manage/notice/overrides")).json():
        assert override["reason"] == "INC" and override["until"]
    # Somebody else was faster.
    answer = await client.post("/tasks/notice/edit", data={**form, "name": "x"}, headers=BROWSER)
    assert answer.status_code == 409
    assert "has changed since" in parse(answer.text).one("p", class_="failed").text


def form_of(page: Element) -> dict[str, str]:
    """What a browser would send of the edit form as it stands."""
    form = page.one("form", id="edit")
    sent: dict[str, str] = {}
    for control in form.all():
        name = control.attributes.get("name")
        if not name or control.tag == "button":
            continue
        if control.tag == "select":
            chosen = [one for one in control.all("option") if "selected" in one.attributes]
            option = (chosen or list(control.all("option")))[0]
            sent[name] = option.attributes.get("value", option.text)
        elif control.tag == "textarea":
            sent[name] = "".join(str(one) for one in control.children).removeprefix("\n")
        elif control.attributes.get("type") != "checkbox" or "checked" in control.attributes:
            sent[name] = control.attributes.get("value", "on")
    return sent


async def test_faults_stand_beside_their_fields(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    await declare(client, tasks_dir)
    form = form_of(await shown(client, "/tasks/notice/edit"))
    for change, control, reason in (
        ({"trigger_args": '{"crontab": "99 * * * *"}'}, "trigger_args", "crontab: "),
        ({"trigger_args": "{"}, "trigger_args", "is no JSON"),
        ({"func_args": '{"a": 1}'}, "func_args", "no such argument"),
        ({"timeout": "soon"}, "timeout", "must be a number"),
        ({"timeout": "nan"}, "timeout", "must be a number"),
        ({"max_instances": "0"}, "max_instances", "must be"),
        ({"name": " "}, "name", "must not be empty"),
        ({"timeout": "3", "until": "soon"}, "until", "must be a time"),
    ):
        answer = await client.post("/tasks/notice/edit", data={**form, **change}, headers=BROWSER)
        assert answer.status_code == 422, change
        page = parse(answer.text)
        is_strict(page)
        assert reason in page.one("p", id=f"{control}-fault").text, change
        [name] = change.keys() - {"timeout"} or ["timeout"]
        assert form_of(page)[name] == change[name]
    assert (await client.get("/task-manage/notice")).json()["overridden"] == []


async def test_the_next_fires_show_before_anything_is_saved(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    form = form_of(await shown(client, "/tasks/notice/edit"))
    form |= {"trigger_args": '{"crontab": "0 9 * * *", "timezone": "Asia/Shanghai"}'}
    answer = await client.post("/tasks/notice/preview", data=form)
    root = parse(answer.text)
    is_strict(root)
    assert root.one("thead").text.startswith("Asia/Shanghai")
    assert len(re.findall(r" 09:00:00", root.text)) == 10
    page = await client.post("/tasks/notice/edit", data={**form, "preview": "1"}, headers=BROWSER)
    assert page.status_code == 200
    assert "Asia/Shanghai" in parse(page.text).one("div", id="preview").text
    wrong = {**form, "trigger_args": '{"crontab": "x"}', "timeout": "?"}
    answer = await client.post("/tasks/notice/preview", data=wrong)
    assert "timeout" in parse(answer.text).one("ul", class_="faults").text
    over = {**form, "trigger_type": "date", "trigger_args": '{"run_date": "2001-01-01T00:00:00"}'}
    answer = await client.post("/tasks/notice/preview", data=over)
    assert "would not fire any more" in answer.text
    assert (await client.get("/task-manage/notice")).json()["overridden"] == []


async def test_pages_are_there_in_both_languages(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir)
    await client.put("/task-manage/notice", json={"name": "other"})
    for path in ("", "/edit", "/promotion", "/state", "/executions", "/row"):
        for language in ("en", "zh"):
            headers = {**BROWSER, "Accept-Language": language}
            answer = await client.get(f"/tasks/notice{path}", headers=headers)
            assert answer.status_code == 200, path
            root = parse(answer.text)
            is_strict(root)
            chinese = re.search(r"[\u4e00-\u9fff]", root.text.replace("中文", "").replace("中", ""))
            assert bool(chinese) is (language == "zh"), (path, language)


async def test_a_task_of_the_api_says_who_made_it(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    page = await shown(client, "/tasks/t")
    assert "API · anonymous" in row_of(page, "name").text
    assert "No file declares it" in page.one("dialog", id="delete").text
    await send(client, "/tasks/t/pause", reason="why", until="2h")
    row = row_of(await shown(client, "/tasks/t"), "paused")
    assert "created with false" in row.text
    assert ClockChange is not None


async def test_a_task_is_silenced_with_a_reason(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    await declare(client, tasks_dir)
    await send(client, "/tasks/notice/silence", until="2h")
    assert "reason: is needed" in await said(client, "/tasks/notice")
    await send(client, "/tasks/notice/silence", reason="INC-42 <b>", until="2h")
    page = await shown(client, "/tasks/notice")
    assert page.one("p", class_="flash").text == "It is silenced."
    assert "INC-42 <b>" in page.one("p", class_="old-code").text
    assert list(page.all("form", action="/tasks/notice/silence")) == []
    await send(client, "/tasks/notice/unsilence")
    page = await shown(client, "/tasks/notice")
    assert page.one("p", class_="flash").text == "It is not silenced any more."
    assert list(page.all("p", class_="old-code")) == []


async def test_what_people_were_told_stands_on_the_page(serve: Serve) -> None:
    url = "http://127.0.0.1:1/planted-secret"
    gone = Channel(name="gone", kind="webhook", url=url, private=True)
    async with serve(channels={"gone": gone}) as client:
        fields = hourly(id="t", notify="gone", trigger_type="date")
        fields["trigger_args"] = {"run_date": "2020-01-01T00:00:00Z"}
        assert (await client.post("/task-manage/", json=fields)).status_code == 201

        async def tried() -> bool:
            page = await shown(client, "/tasks/t")
            cards = list(page.all("section", id="messages"))
            return bool(cards) and "is sent again: no connection" in cards[0].text

        await until(tried)
        page = await shown(client, "/tasks/t")
        [row] = page.one("section", id="messages").one("tbody").all("tr")
        assert row.one("th").text == "Missed: 周期性任务"
        assert row.one("td", data_label="Channel").text == "gone"
        assert "planted-secret" not in (await client.get("/tasks/t", headers=BROWSER)).text
