"""An execution is followed while it runs, stopped, and understood when it has failed."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess, wait_for
from tests.browser.conftest import Open
from tests.browser.scene import declare, task
from tests.browser.watching import no_serious_faults, no_sideways_scroll

WORDS = ["first", "second", "third"]


def run(service: ServiceProcess, task_id: str) -> str:
    """Run a task now; the address of the execution's page."""
    execution: dict[str, Any] = service.send("POST", f"/task-manage/{task_id}/trigger", 202)
    return f"/tasks/{task_id}/executions/{execution['id']}"


def talking(folder: Path) -> str:
    """The file of a task that says a word for each file it finds."""
    arguments = {"folder": str(folder), "words": WORDS}
    return task(name="Talk", func_path="browser_jobs.talk", func_args=arguments, executor="process")


def test_its_output_is_followed(service: ServiceProcess, page: Page, tmp_path: Path) -> None:
    declare(service, {"talk.yaml": talking(tmp_path)})
    page.goto(run(service, "talk"))
    page.evaluate("window.unchanged = true")
    output = page.get_by_role("region", name="Output")
    said = ""
    for word in WORDS:
        said += f"{word}\n"
        expect(output).to_have_text(said, use_inner_text=True)
        no_serious_faults(page)
        (tmp_path / word).touch()
    expect(page.get_by_role("region", name="Result")).to_have_text('"done"')
    expect(page.locator(".heading")).to_contain_text("completed")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("window.unchanged === true")


def test_long_output_is_followed_to_its_end(
    service: ServiceProcess, page: Page, tmp_path: Path
) -> None:
    arguments = {"folder": str(tmp_path)}
    flood = task(func_path="browser_jobs.flood", func_args=arguments, executor="process")
    declare(service, {"flood.yaml": flood})
    page.goto(run(service, "flood"))
    output = page.locator("#output")
    for name in ("one", "two"):
        expect(output).to_have_text(
            re.compile(rf"^one 0\n[^\[]*\n\[\d+ bytes left out\]\n[^\[]*{name} 29999\n$")
        )
        (tmp_path / name).touch()
    expect(page.locator(".heading")).to_contain_text("completed")


def test_it_is_cancelled(service: ServiceProcess, page: Page, tmp_path: Path) -> None:
    declare(service, {"talk.yaml": talking(tmp_path)})
    page.goto(run(service, "talk"))
    expect(page.get_by_role("region", name="Output")).to_contain_text("first")
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog", name="Cancel this execution?")
    no_serious_faults(page)
    dialog.get_by_role("button", name="Let it run").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog.get_by_role("button", name="Cancel it").click()
    expect(page.locator(".heading")).to_contain_text("cancelled")
    expect(page.get_by_role("region", name="Error")).to_contain_text("cancelled: by anonymous")
    assert service.get("/task-manage/talk/logs")["items"][0]["status"] == "cancelled"


def test_its_failure_is_told_with_the_line(service: ServiceProcess, open_page: Open) -> None:
    declare(
        service,
        {"fail.yaml": task(func_path="browser_jobs.fail", func_args={"reason": "<b>no</b>"})},
    )
    address = run(service, "fail")
    wait_for(
        "it has failed", lambda: service.get("/task-manage/fail/logs", status="failed")["total"]
    )
    for window in ({"width": 1280, "height": 800}, {"width": 390, "height": 844}):
        page, _ = open_page(service, viewport=window)
        page.goto(address)
        error = page.get_by_role("region", name="Error")
        expect(error).to_contain_text("raised: ValueError: <b>no</b>")
        expect(error).to_contain_text("browser_jobs.py")
        no_serious_faults(page)
        no_sideways_scroll(page)


def test_it_is_run_again(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    body = {"func_args": {"who": "you"}}
    first = service.send("POST", "/task-manage/greeting/trigger", 202, json=body)
    page.goto(f"/tasks/greeting/executions/{first['id']}")
    page.get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(f"**/{first['id']}")
    expect(page.get_by_role("region", name="Result")).to_have_text('"hello you"')
    assert service.get("/task-manage/greeting/logs")["total"] == 2
