"""The table of tasks lives: what happens to a task is seen without asking."""

import json
import re

from playwright.sync_api import Page, Route, expect

from tests.acceptance.process import ServiceProcess, wait_for
from tests.browser.conftest import Open
from tests.browser.scene import declare, many_files, task

SOON = 10_000
"""Milliseconds within which a page must show what has happened.

It is to take one second; a machine that does other things at once may take longer.
"""


def mark(page: Page) -> None:
    """Leave something on the page that is gone after a reload."""
    page.evaluate("window.unchanged = true")


def is_marked(page: Page) -> bool:
    """Whether the page has not been loaded again since."""
    return bool(page.evaluate("window.unchanged === true"))


def test_a_fire_changes_its_row(service: ServiceProcess, page: Page) -> None:
    declare(service, {"tick.yaml": task(name="Tick", trigger_args={"seconds": 2})})
    page.goto("/")
    mark(page)
    bars = page.get_by_role("row", name="Tick").locator("rect.completed")
    known = bars.count()
    expect(bars.nth(known)).to_be_visible()
    expect(bars.nth(known + 1)).to_be_visible()
    assert is_marked(page)


def test_a_change_is_seen_within_a_second(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto("/")
    mark(page)
    row = page.get_by_role("row", name="Greeting")
    expect(row).to_contain_text("pending")
    with page.expect_response("**/events"):
        page.reload()
    service.send("POST", "/task-manage/greeting/pause")
    expect(row).to_contain_text("paused", timeout=SOON)


def test_a_deleted_task_loses_its_row(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(), "other.yaml": task(name="Other")})
    page.goto("/")
    service.send("DELETE", "/task-manage/other", 204)
    expect(page.get_by_role("rowheader")).to_have_text([re.compile("^Greeting")])


def test_what_changes_before_the_page_listens_is_not_lost(
    service: ServiceProcess, page: Page
) -> None:
    declare(service, {"greeting.yaml": task()})

    def change_first(route: Route) -> None:
        service.send("POST", "/task-manage/greeting/pause")
        route.continue_()

    page.route("**/events", change_first)
    page.goto("/")
    expect(page.get_by_role("row", name="Greeting")).to_contain_text("paused")


def test_a_service_that_comes_back_is_heard_again(service: ServiceProcess, open_page: Open) -> None:
    declare(service, {"greeting.yaml": task()})
    page, watch = open_page(service)
    page.goto("/")
    mark(page)
    sign = page.get_by_text("not live")
    expect(sign).to_be_hidden()
    with watch.expecting("ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE"):
        service.kill()
        expect(sign).to_be_visible()
        service.start()
        expect(sign).to_be_hidden()
    service.send("POST", "/task-manage/greeting/pause")
    expect(page.get_by_role("row", name="Greeting")).to_contain_text("paused")
    assert is_marked(page)


def test_what_is_looked_for_stands_in_the_address(service: ServiceProcess, page: Page) -> None:
    declare(
        service,
        {
            "alpha.yaml": task(name="Alpha", tags=["left"]),
            "beta.yaml": task(name="Beta", paused=True),
            "gamma.yaml": task(name="Gamma", tags=["left"]),
        },
    )
    page.goto("/")
    names = page.get_by_role("rowheader")
    expect(names).to_have_text([re.compile("^Alpha"), re.compile("^Beta"), re.compile("^Gamma")])
    heading = page.get_by_role("columnheader", name="Task").get_by_role("link")
    heading.click()
    expect(page).to_have_url(re.compile("sort=name"))
    expect(heading).to_have_attribute("href", re.compile("sort=-name"))
    heading.click()
    expect(page).to_have_url(re.compile("sort=-name"))
    expect(names.first).to_contain_text("Gamma")
    page.get_by_role("searchbox").fill("alp")
    page.get_by_role("searchbox").press("Enter")
    expect(page).to_have_url(re.compile("q=alp"))
    expect(names).to_have_count(1)
    page.go_back()
    expect(names).to_have_count(3)
    page.goto("/?tag=left&sort=-name")
    expect(names).to_have_text([re.compile("^Gamma"), re.compile("^Alpha")])


def test_what_is_pressed_is_not_renewed_before_it_is_released(
    service: ServiceProcess, page: Page
) -> None:
    declare(service, {"alpha.yaml": task(name="Alpha")})
    with page.expect_response("**/events"):
        page.goto("/")
    heading = page.get_by_role("columnheader", name="Task").get_by_role("link")
    heading.hover()
    page.mouse.down()
    with page.expect_response("**/list?*") as renewal:
        service.send("POST", "/task-manage/", 201, json={**json.loads(task()), "id": "beta"})
    renewal.value.finished()
    for _ in range(3):  # what came is put where it belongs meanwhile
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.mouse.up()
    expect(page).to_have_url(re.compile("sort=name"))


def test_a_page_of_many_is_fast(service: ServiceProcess, page: Page) -> None:
    declare(service, many_files(10_000))
    page.goto("/")
    rows = page.get_by_role("rowheader")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page).to_have_url(re.compile("page=2"))

    def seconds(number: int) -> float:
        answer = service.http.get("/", params={"page": number}, headers={"Accept": "text/html"})
        return answer.elapsed.total_seconds()

    # It is to take less than 150 ms; a machine that does other things at once may take longer,
    # but not always.
    wait_for(
        "half of the pages take less than 0.45 s",
        lambda: sorted(seconds(number + 1) for number in range(5))[2] < 0.45,
    )


def test_a_new_task_appears(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task()})
    page.goto("/")
    mark(page)
    expect(page.get_by_text("1 task", exact=True)).to_be_visible()
    row = page.get_by_role("row", name="Greeting")
    row.get_by_role("checkbox").check()
    declare(service, {"other.yaml": task(name="Other")})
    expect(page.get_by_role("row", name="Other")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("2 tasks", exact=True)).to_be_visible()
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_role("link", name="all 2")).to_be_visible(timeout=10_000)
    assert is_marked(page)


def test_several_tasks_are_paused_with_a_reason(service: ServiceProcess, page: Page) -> None:
    declare(service, {f"{name}.yaml": task(name=name) for name in ("one", "two", "three")})
    page.goto("/")
    pause = page.locator("#bulk > button", has_text="Pause")
    expect(pause).to_be_disabled()
    for name in ("one", "two"):
        page.get_by_role("row", name=name).get_by_role("checkbox").check()
    expect(page.get_by_text("chosen: 2")).to_be_visible()
    pause.click()
    dialog = page.get_by_role("dialog", name="Pause the chosen tasks")
    dialog.get_by_label("Reason").fill("INC-42")
    dialog.get_by_label("Until").fill("2h")
    dialog.get_by_label("Until").press("Enter")
    expect(page.get_by_text("Done, for 2 tasks.")).to_be_visible()
    for name, status in (("one", "paused"), ("two", "paused"), ("three", "pending")):
        expect(page.get_by_role("row", name=name)).to_contain_text(status)
