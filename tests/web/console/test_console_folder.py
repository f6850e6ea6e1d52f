"""The page of the folder: faults among their lines, overrides, retired tasks, held syncs."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from taskservice.web.console.faults import FAULTS, FILES
from taskservice.web.console.folder import MOST
from tests.origin import Origin
from tests.service.conftest import AT_ONCE
from tests.web.bodies import HOURLY
from tests.web.conftest import Serve
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.console.test_console_session import ORIGIN, sign_in
from tests.web.test_web_auth import TOKENS, bearer

CHINESE = {**BROWSER, "Accept-Language": "zh-CN"}
TASK = """\
name: {name}
task_type: t
trigger_type: interval
trigger_args: {{hours: 1}}
func_path: taskservice.examples.simple_task
func_args: {{message: m}}
"""


async def page(client: httpx.AsyncClient, path: str = "/folder", **headers: str) -> Element:
    """The page, or its fragment."""
    answer = await client.get(path, headers={**BROWSER, **headers})
    assert answer.status_code == 200, answer.text
    root = parse(answer.text)
    is_strict(root)
    return root


async def declare(client: httpx.AsyncClient, tasks_dir: Path, *names: str) -> None:
    """Files of the same names as their tasks."""
    for name in names:
        (tasks_dir / f"{name}.yaml").write_text(TASK.format(name=name))
    assert (await client.post("/sync")).status_code == 200


async def test_an_empty_folder_is_told_in_both_languages(client: httpx.AsyncClient) -> None:
    root = await page(client)
    assert root.one("a", aria_current="page").text == "Sync"
    assert "all files are sound" in root.one("h1").text + root.one("div", id="folder").text
    assert "Nothing is overridden" in root.one("section", id="overrides").text
    assert "no git work tree" in root.one("section", id="commits").text
    for missing in ("held", "faults", "retired"):
        assert list(root.all("section", id=missing)) == []
    chinese = await page(client, **CHINESE)
    assert chinese.one("h1").text == "同步"
    assert "没有覆盖" in chinese.one("section", id="overrides").text


async def test_a_fault_is_shown_among_the_lines_of_its_file(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    text = TASK.format(name="x").replace("hours: 1", "hours: 1, houres: <b>") + "# end\n" * 20
    (tasks_dir / "bad.yaml").write_text(text + "max_instances: 'many'\n")
    await client.post("/sync")
    section = (await page(client)).one("section", id="faults")
    file = section.one("section", class_="file")
    assert file.one("h3").text == "bad.yaml"
    bad = list(file.all("div", class_="bad"))
    assert [line.one("span", class_="no").text for line in bad] == ["4", "27"]
    assert bad[0].one("code").text.startswith("trigger_args:")
    assert "<b>" in bad[0].text
    assert bad[0].one("mark").text == "houres"
    assert bad[1].one("mark").text == "max_instances"
    lines = [one.text for one in file.all("span", class_="no")]
    assert lines == ["2", "3", "4", "5", "6", "25", "26", "27"]
    assert len(list(file.all("div", class_="gap"))) == 1
    said = [one.text for one in file.all("p", class_="said")]
    assert "did you mean" in said[0]
    fragment = (await page(client, "/folder/state")).one("div", id="folder")
    assert fragment.attributes["data-live"] == "sync"
    assert "bad.yaml" in fragment.text
    (tasks_dir / "bad.yaml").write_text(TASK.format(name="x"))
    await client.post("/sync")
    assert list((await page(client)).all("section", id="faults")) == []


async def test_a_fault_whose_file_is_gone_is_told_without_lines(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    (tasks_dir / "bad.yaml").write_text("name: [")
    await client.post("/sync")
    (tasks_dir / "bad.yaml").unlink()
    file = (await page(client)).one("section", class_="file")
    assert list(file.all("div", class_="line")) == []
    assert "not valid YAML" in file.one("p", class_="said").text


async def test_many_faults_are_cut(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    for number in range(FILES + 2):
        (tasks_dir / f"bad{number:02}.yaml").write_text("name: x\n")
    # No more than twenty are told of one task.
    wrong = "".join(f"    unknown{number}: 1\n" for number in range((FAULTS + 2) // 2))
    defaults = "".join(f"  {line}\n" for line in TASK.format(name="x").splitlines())
    (tasks_dir / "bad00.yaml").write_text(
        f"defaults:\n{defaults}tasks:\n  x:\n{wrong}  y:\n{wrong}"
    )
    await client.post("/sync")
    section = (await page(client)).one("section", id="faults")
    files = list(section.all("section", class_="file"))
    assert len(files) == FILES
    assert len(list(files[0].all("p", class_="said"))) == FAULTS
    assert "and 2 more" in files[0].text
    assert section.text.endswith("and 2 more")


async def test_overrides_are_listed_with_who_why_and_until(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declare(client, tasks_dir, "a", "b", "c")
    body = {"func_args": {"message": "<i>other</i>"}, "description": "中文"}
    await client.put("/task-manage/a?reason=<u>why</u>&until=2h", json=body)
    await client.delete("/task-manage/b")
    await client.post("/task-manage/c/pause")
    (tasks_dir / "a.yaml").write_text(TASK.format(name="a").replace("message: m", "message: n"))
    await client.post("/sync")
    root = await page(client)
    rows = [row for row in root.one("section", id="overrides").all("tr") if list(row.all("td"))]
    assert [row.one("th").text for row in rows] == ["a", "a", "b", "c"]
    told = rows[1].text
    for part in ("func_args.message", "<i>other</i>", "anonymous", "<u>why</u>", "conflict"):
        assert part in told
    assert rows[0].one("a").attributes["href"] == "/tasks/a"
    assert list(rows[2].all("a")) == []
    assert "until it is reverted" in rows[3].text
    counts = {
        link.attributes["href"]: link.text for link in root.one("dd", class_="counts").all("a")
    }
    assert counts["/?source=file&drift=conflict"] == "conflict 1"
    assert counts["/?source=file&drift=overridden"] == "overridden 1"


async def test_lists_are_cut(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    names = [f"t{number}" for number in range(MOST + 1)]
    await declare(client, tasks_dir, *names)
    for ids in (names[:1], names[1:]):
        await client.post("/bulk/pause", data={"id": ids}, headers=BROWSER)
    section = (await page(client)).one("section", id="overrides")
    assert section.text.endswith("and 1 more")


@pytest.fixture
async def at_once(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app to which an absence counts at once."""
    async with serve(AT_ONCE) as client:
        yield client


async def test_a_held_sync_is_confirmed(at_once: httpx.AsyncClient, tasks_dir: Path) -> None:
    client = at_once
    (tasks_dir / "team").mkdir()
    await declare(client, tasks_dir, "team/a", "team/b", "team/c", "d", "e")
    # At once: one after the other they would be few enough to be retired.
    (tasks_dir / "team").rename(tasks_dir.parent / "gone")
    await client.post("/sync")
    held = (await page(client)).one("section", id="held")
    assert [link.text for link in held.one("ul").all("a")] == ["a", "b", "c"]
    assert "3 tasks are retired" in held.one("dialog", id="confirm").text
    answer = await client.post("/folder/sync", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/folder")
    assert "was synced" in (await page(client)).one("p", class_="flash").text
    assert list((await page(client)).all("section", id="held"))
    assert (await client.post("/folder/confirm", headers=BROWSER)).status_code == 303
    assert list((await page(client)).all("section", id="held")) == []
    [event] = (await client.get("/audit", params={"action": "synced"})).json()["items"]
    assert (event["by"], event["via"]) == ("anonymous", "console")


async def test_retired_tasks_are_told_with_their_end(
    at_once: httpx.AsyncClient, tasks_dir: Path
) -> None:
    client = at_once
    await declare(client, tasks_dir, "a", "b", "c")
    (tasks_dir / "a.yaml").unlink()
    await client.post("/sync")
    [report] = (await client.get("/sync")).json()["retired"]
    row = (await page(client)).one("section", id="retired").one("tbody").one("tr")
    assert row.one("th").text == "a"
    assert "a.yaml" in row.text
    times = [time.attributes["datetime"] for time in row.all("time")]
    ends = {datetime.fromisoformat(report[name]) for name in ("retired_at", "delete_at")}
    assert {datetime.fromisoformat(time) for time in times} == ends


async def test_a_followed_repository_is_told(serve: Serve, tasks_dir: Path, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    first = origin.commit({"a.yaml": TASK.format(name="a"), "b.yaml": "name: <b>"})
    async with serve(git_url=origin.url, git_branch="main") as client:
        root = await page(client)
        assert "as wanted" in root.text
        [live] = [row for row in root.one("section", id="commits").all("tr", aria_current="true")]
        assert live.one("code").attributes["title"] == first
        assert ": <b>" in root.one("section", id="faults").text
        second = origin.commit({"a.yaml": TASK.format(name="other")}, amend=True)
        assert (await client.post("/folder/sync", headers=BROWSER)).status_code == 303
        root = await page(client)
        assert "the branch was rewritten" in root.one("dd", class_="fault").text
        commits = root.one("section", id="commits")
        assert {one.attributes["title"] for one in commits.all("code")} == {first, second}
        assert commits.one("tr", aria_current="true").one("code").attributes["title"] == first
        assert root.one("dialog", id="take").one("form").attributes["action"] == "/folder/confirm"
        assert (await client.post("/folder/confirm", headers=BROWSER)).status_code == 303
        root = await page(client)
        assert list(root.all("dialog")) == []
        live = root.one("tr", aria_current="true")
        assert live.one("code").attributes["title"] == second


async def test_who_may_not_sync_sees_no_button(serve: Serve, tasks_dir: Path) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for role in ("viewer", "operator"):
            csrf = await sign_in(client, role)
            forms = [form.attributes["action"] for form in (await page(client)).all("form")]
            assert forms == ["/sign-out"]
            for action in ("sync", "confirm"):
                sent = await client.post(f"/folder/{action}", data={"csrf": csrf}, headers=ORIGIN)
                assert sent.status_code == 403
        csrf = await sign_in(client, "admin")
        forms = [form.attributes["action"] for form in (await page(client)).all("form")]
        assert forms == ["/sign-out", "/folder/sync"]
        assert (await client.post("/folder/sync", headers=ORIGIN)).status_code == 403
        sent = await client.post("/folder/sync", data={"csrf": csrf}, headers=ORIGIN)
        assert sent.status_code == 303
        made = await client.post("/task-manage/", json=HOURLY, headers=bearer("admin"))
        assert made.status_code == 201
