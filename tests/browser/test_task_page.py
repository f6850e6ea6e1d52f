"""A task's page: what it is and why, and what is done to it there."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.conftest import Open
from tests.browser.scene import declare, task
from tests.browser.watching import no_serious_faults

GREETING = "/tasks/greeting"


def field(page: Page, name: str) -> Locator:
    """The row of a field of the definition."""
    header = page.get_by_role("rowheader", name=re.compile(f"^{re.escape(name)}( |$)"))
    return page.get_by_role("row").filter(has=header)


def dialog(page: Page, name: str) -> Locator:
    """Open a dialog by its button."""
    page.get_by_role("button", name=name, exact=True).first.click()
    opened = page.get_by_role("dialog")
    expect(opened).to_be_visible()
    return opened


def shown(service: ServiceProcess) -> dict[str, Any]:
    """The task as the API has it."""
    found = service.task("greeting")
    assert found
    return found


def test_an_override_is_made_conflicts_and_is_reverted(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(func_args={"who": "you"}, timeout=60)})
    page.goto(GREETING)
    expect(field(page, "timeout")).to_contain_text("greeting.yaml:")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Timeout").fill("300")
    page.get_by_label("Reason").fill("slow this week")
    page.get_by_role("button", name="Save").click()
    row = field(page, "timeout")
    for said in ("300", "60", "anonymous", "slow this week", "overridden"):
        expect(row).to_contain_text(said)
    assert shown(service)["overridden"] == ["timeout"]

    declare(service, {"greeting.yaml": task(func_args={"who": "you"}, timeout=90)})
    page.reload()
    for said in ("300", "90", "60", "conflict"):
        expect(row).to_contain_text(said)
    no_serious_faults(page)
    row.get_by_role("button", name="Keep it").click()
    expect(row).to_contain_text("overridden")
    expect(row).not_to_contain_text("conflict")
    assert shown(service)["drift"] == "overridden"

    row.get_by_role("button", name="Take the file's").click()
    expect(row).not_to_contain_text("overridden")
    expect(row).to_contain_text("90")
    assert (shown(service)["drift"], shown(service)["timeout"]) == ("in_sync", 90)


def test_an_override_is_promoted(service: ServiceProcess, page: Page, tmp_path: Path) -> None:
    declare(service, {"greeting.yaml": task(timeout=60)})
    service.send("PUT", "/task-manage/greeting", json={"timeout": 300})
    page.goto(GREETING)
    field(page, "timeout").get_by_role("link", name="Promote").click()
    expect(page.locator("pre")).to_contain_text('-  "timeout": 60')
    expect(page.locator("pre")).to_contain_text('+  "timeout": 300')
    no_serious_faults(page)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    diff = tmp_path / "greeting.diff"
    waiting.value.save_as(diff)
    assert '+  "timeout": 300' in diff.read_text("utf-8")


def test_what_an_edit_comes_to_is_shown_before_it_is_saved(
    service: ServiceProcess, page: Page
) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto(f"{GREETING}/edit")
    page.get_by_label("Trigger").select_option("cron")
    arguments = page.get_by_label("Its arguments, as JSON").first
    arguments.fill('{"crontab": "30 2 * * *", "timezone": "Europe/Berlin"}')
    preview = page.get_by_role("table", name="Next fires")
    expect(preview.get_by_role("row")).to_have_count(11)
    expect(preview).to_contain_text("02:30:00")
    arguments.fill('{"crontab": "61 2 * * *"}')
    expect(page.get_by_text("allowed are 0 to 59")).to_be_visible()
    assert shown(service)["trigger_type"] == "interval"


def test_a_pause_has_a_reason_and_an_end(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto(GREETING)
    form = dialog(page, "Pause")
    no_serious_faults(page)
    form.get_by_label("Reason").fill("the printer is broken")
    form.get_by_label("Until").fill("2h")
    form.get_by_role("button", name="Pause").click()
    expect(field(page, "paused")).to_contain_text("the printer is broken")
    expect(field(page, "paused")).to_contain_text("until")
    assert shown(service)["status"] == "paused"
    [override] = service.get("/task-manage/greeting/overrides")
    assert override["reason"] == "the printer is broken" and override["until"]
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    assert shown(service)["status"] == "pending"


def test_a_pause_ends_by_itself(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    service.send("POST", "/task-manage/greeting/pause")
    page.goto("/")
    row = page.get_by_role("row", name="Greeting")
    expect(row).to_contain_text("paused")
    service.send("POST", "/task-manage/greeting/pause", params={"until": "1s"})
    expect(row).to_contain_text("pending")


def test_it_is_run_with_another_argument(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(func_args={"who": "you"})})
    page.goto(GREETING)
    form = dialog(page, "Run now")
    no_serious_faults(page)
    expect(form.get_by_label("who")).to_have_value("you")
    form.get_by_label("who").fill("everybody")
    form.get_by_label("times").fill("2")
    form.get_by_role("button", name="Run now").click()
    rows = page.get_by_role("table", name="Executions")
    expect(rows).to_contain_text("hello everybody, hello everybody")
    rows.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("region", name="Arguments given")).to_contain_text("everybody")
    assert shown(service)["func_args"] == {"who": "you"}


@pytest.mark.parametrize("wrong", ['"two"', "[1,"])
def test_an_argument_that_does_not_fit_is_told(
    service: ServiceProcess, page: Page, wrong: str
) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto(GREETING)
    form = dialog(page, "Run now")
    form.get_by_label("times").fill(wrong)
    form.get_by_role("button", name="Run now").click()
    expect(page.get_by_text(re.compile("no JSON|failed")).first).to_be_visible()


def test_a_deleted_task_is_restored(service: ServiceProcess, open_page: Open) -> None:
    declare(service, {"greeting.yaml": task()})
    page, watch = open_page(service)
    page.goto(GREETING)
    opened = dialog(page, "Delete")
    with watch.expecting("status of 404"):  # the page that is left may ask for the task once more
        opened.get_by_role("button", name="Delete").click()
        expect(page.get_by_text("is deleted")).to_be_visible()
        assert service.task("greeting") is None
        page.goto(GREETING)
        no_serious_faults(page)
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Greeting")
    assert shown(service)["drift"] == "in_sync"
