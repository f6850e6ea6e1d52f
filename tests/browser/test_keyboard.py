"""Everything can be done without a mouse."""

from playwright.sync_api import Locator, Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.scene import declare, task

MOST = 80
"""Keys after which one has lost patience."""


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the control has the focus, which must be seen."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()
    outline = "element => getComputedStyle(element).outlineStyle"
    assert wanted.evaluate(outline) != "none", "the focus is not to be seen"


def test_a_task_is_found_paused_and_resumed(service: ServiceProcess, page: Page) -> None:
    declare(service, {"greeting.yaml": task(), "other.yaml": task(name="Other")})
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("searchbox"))
    page.keyboard.type("greeting")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader")).to_have_count(1)
    tab_to(page, page.get_by_role("link", name="Greeting"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Greeting")

    opener = page.get_by_role("button", name="Pause", exact=True)
    dialog = page.get_by_role("dialog", name="Pause")
    tab_to(page, opener)
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()

    page.keyboard.press("Enter")
    tab_to(page, dialog.get_by_label("Reason"))
    page.keyboard.type("by hand")
    tab_to(page, dialog.get_by_role("button", name="Pause"))
    page.keyboard.press("Space")
    resume = page.get_by_role("button", name="Resume")
    expect(resume).to_be_visible()
    tab_to(page, resume)
    page.keyboard.press("Enter")
    expect(opener).to_be_visible()


def test_several_are_chosen_and_paused(service: ServiceProcess, page: Page) -> None:
    declare(service, {f"{name}.yaml": task(name=name) for name in ("alpha", "beta", "gamma")})
    page.goto("/")
    for name in ("alpha", "gamma"):
        tab_to(page, page.get_by_role("checkbox", name=f"Choose {name}"))
        page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Pause", exact=True))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Pause the chosen tasks")
    tab_to(page, dialog.get_by_label("Until"))
    page.keyboard.type("3d")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text="paused")).to_have_count(2)
    found = service.get("/task-manage/", status="paused")["items"]
    assert [one["id"] for one in found] == ["alpha", "gamma"]
