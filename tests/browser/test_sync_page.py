"""The tasks folder's page: its faults among the lines of the files, and what a sync waits for."""

from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess, wait_for
from tests.browser.scene import declare, task
from tests.browser.watching import no_serious_faults

BROKEN = """\
name: Broken
task_type: test
trigger_type: cron
trigger_args:
  hour: on
func_path: browser_jobs.greet
"""


def test_a_broken_file_appears_with_its_line_and_goes(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto("/folder")
    page.evaluate("window.unchanged = true")
    expect(page.locator(".heading")).to_contain_text("all files are sound")
    service.write("broken.yaml", BROKEN)
    fault = page.get_by_role("region", name="broken.yaml")
    expect(fault).to_contain_text("5:3")
    expect(fault).to_contain_text("`true` is a boolean")
    expect(fault.locator(".line.bad")).to_contain_text("hour: on")
    expect(fault.locator(".line.bad").locator("..")).to_contain_text("trigger_args:")
    no_serious_faults(page)
    service.write("broken.yaml", BROKEN.replace("hour: on", 'hour: "9"'))
    expect(fault).to_have_count(0)
    expect(page.locator(".heading")).to_contain_text("all files are sound")
    assert page.evaluate("window.unchanged === true")


def test_a_held_sync_is_confirmed(service: ServiceProcess, page: Page) -> None:
    names = [f"task-{number}.yaml" for number in range(6)]
    declare(service, {name: task() for name in names})
    page.goto("/folder")
    for name in names[1:]:
        (service.folder / name).unlink()
    confirm = page.get_by_role("button", name="Confirm …")
    expect(confirm).to_be_visible(timeout=15_000)
    confirm.click()
    dialog = page.get_by_role("dialog")
    no_serious_faults(page)
    dialog.get_by_role("button", name="Let it go on").click()
    expect(page.get_by_role("table", name="Retired tasks").get_by_role("row")).to_have_count(6)
    assert len(service.get("/sync")["retired"]) == 5


def test_overrides_in_force_lead_to_their_tasks(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    service.send(
        "PUT", "/task-manage/greeting", json={"timeout": 5}, params={"reason": "in a hurry"}
    )
    wait_for("the override is told", lambda: service.get("/overrides"))
    page.goto("/folder")
    table = page.get_by_role("table", name="Overrides in force")
    expect(table).to_contain_text("in a hurry")
    table.get_by_role("link", name="greeting").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Greeting")
