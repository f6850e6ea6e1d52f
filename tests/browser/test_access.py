"""Signing in, and what each role sees and may do."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.conftest import Open, Start
from tests.browser.scene import declare, task
from tests.browser.watching import no_serious_faults, no_sideways_scroll

ADMIN, VIEWER = "adm1n-s-token", "v1ewer-s-token"
SEND = """
async ([method, path, headers]) => (await fetch(path, {method, headers})).status
"""


@pytest.fixture
def guarded(start: Start) -> ServiceProcess:
    """A service with tokens, and a task."""
    service = start(API_TOKENS=f"anna:admin:{ADMIN},vera:viewer:{VIEWER}")
    service.http.headers["Authorization"] = f"Bearer {ADMIN}"
    declare(service, {"greeting.yaml": task()})
    return service


def sign_in(page: Page, token: str) -> None:
    """Fill in the form and send it."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def send(page: Page, method: str, path: str, **headers: str) -> int:
    """The status that a request of the page's own script is answered with."""
    status: int = page.evaluate(SEND, [method, path, headers])
    return status


def csrf(page: Page) -> str:
    """What the page's script has to send along with a change."""
    content = page.locator("meta[name=csrf-token]").get_attribute("content")
    assert content
    return content


def test_a_token_opens_the_page_that_was_asked_for(
    guarded: ServiceProcess, open_page: Open
) -> None:
    page, watch = open_page(guarded)
    page.goto("/?q=greet")
    expect(page).to_have_url(re.compile("/sign-in"))
    no_serious_faults(page)
    with watch.expecting("status of 401"):
        sign_in(page, "a-guess")
        expect(page.get_by_text("This token is not known")).to_be_visible()
        expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
    sign_in(page, ADMIN)
    expect(page).to_have_url(re.compile(r"/\?q=greet$"))
    expect(page.get_by_role("row", name="Greeting")).to_be_visible()
    [cookie] = [one for one in page.context.cookies() if "session" in one["name"]]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert ADMIN not in cookie["value"] and ADMIN not in page.content()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_change_needs_the_pages_own_token(guarded: ServiceProcess, open_page: Open) -> None:
    page, watch = open_page(guarded)
    page.goto("/")
    sign_in(page, ADMIN)
    expect(page.get_by_role("row", name="Greeting")).to_be_visible()
    pause = "/task-manage/greeting/pause"
    with watch.expecting("status of 403"):
        assert send(page, "POST", pause) == 403
        assert send(page, "POST", pause, **{"X-CSRF-Token": "a-guess"}) == 403
    assert send(page, "POST", pause, **{"X-CSRF-Token": csrf(page)}) == 200


def test_a_viewer_has_no_buttons_and_is_refused(guarded: ServiceProcess, open_page: Open) -> None:
    page, watch = open_page(guarded)
    page.goto("/")
    sign_in(page, VIEWER)
    expect(page.get_by_role("row", name="Greeting")).to_be_visible()
    for address in ("/", "/tasks/greeting", "/folder"):
        page.goto(address)
        no_serious_faults(page)
        forms = page.locator("form[method=post]")
        expect(forms).to_have_count(1)  # to sign out
        expect(page.get_by_role("checkbox", name=re.compile("Choose"))).to_have_count(0)
    with watch.expecting("status of 403"):
        for path in ("/task-manage/greeting/pause", "/tasks/greeting/pause", "/folder/sync"):
            assert send(page, "POST", path, **{"X-CSRF-Token": csrf(page)}) == 403
    shown: dict[str, Any] | None = guarded.task("greeting")
    assert shown and shown["status"] == "pending"


def test_one_signs_in_on_a_phone(guarded: ServiceProcess, open_page: Open) -> None:
    page, _ = open_page(guarded, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto("/")
    no_sideways_scroll(page)
    no_serious_faults(page)
    sign_in(page, VIEWER)
    expect(page.get_by_role("row", name="Greeting")).to_be_visible()
    no_sideways_scroll(page)
