"""The timeline: its marks lead to executions, its search to tasks."""

import re

from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.scene import declare, task

LATER = 20_000
"""Milliseconds: a chart of everything is renewed less often than a row."""


def test_a_run_appears_in_its_lane(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(), "other.yaml": task(name="Farewell")})
    page.goto("/timeline")
    page.evaluate("window.unchanged = true")
    lanes = page.get_by_role("listitem")
    lane = lanes.filter(has=page.get_by_role("link", name="Greeting"))
    expect(lane).to_contain_text("0 ran")
    expect(lane).to_contain_text(re.compile("2[34] to come"))
    service.send("POST", "/task-manage/greeting/trigger", 202)
    expect(lane).to_contain_text("1 ran", timeout=LATER)
    expect(lanes.filter(has_text="Farewell")).to_contain_text("0 ran")
    assert page.evaluate("window.unchanged === true")
    lane.get_by_role("link", name="Greeting").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Greeting")


def test_a_mark_leads_to_its_execution(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    execution = service.send("POST", "/task-manage/greeting/trigger", 202)
    page.goto("/timeline")
    lane = page.get_by_role("listitem").filter(has_text="1 ran")
    mark = lane.locator(f"a[href$='{execution['id']}']")
    # An execution that took no time is still seen, and can be hit.
    box = mark.locator("rect").bounding_box()
    assert box is not None
    assert box["height"] > 8
    mark.locator("rect").dispatch_event("click")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Execution")


def test_tasks_are_searched(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(), "other.yaml": task(name="Farewell")})
    page.goto("/timeline")
    expect(page.locator(".lane")).to_have_count(2)
    page.get_by_role("searchbox").fill("greet")
    page.keyboard.press("Enter")
    expect(page.locator(".lane")).to_have_count(1)
    assert "q=greet" in page.url
