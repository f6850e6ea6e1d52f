"""English and Chinese: by the browser's preference, and by a switch that is remembered."""

import re

from playwright.sync_api import Page, expect

from tests.acceptance.process import ServiceProcess
from tests.browser.conftest import Open
from tests.browser.scene import declare, task

CHINESE = re.compile(r"[\u4e00-\u9fff]")
EVERY_WEEKDAY = {"trigger_type": "cron", "trigger_args": {"crontab": "30 23 * * 1-5"}}


def title(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text()


def test_the_browser_tells_the_language(service: ServiceProcess, open_page: Open) -> None:
    declare(service, {"backup.yaml": task(name="Backup", **EVERY_WEEKDAY)})
    english, _ = open_page(service, locale="en-GB")
    english.goto("/")
    expect(english.locator("html")).to_have_attribute("lang", "en")
    expect(english.get_by_role("row", name="Backup")).to_contain_text("every weekday at 23:30")
    chinese, _ = open_page(service, locale="zh-CN")
    chinese.goto("/")
    expect(chinese.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(chinese.get_by_role("row", name="Backup")).to_contain_text("工作日 23:30")
    assert CHINESE.search(title(chinese)) and not CHINESE.search(title(english))


def test_the_switch_is_remembered(service: ServiceProcess, open_page: Open) -> None:
    page, _ = open_page(service, locale="en-GB")
    page.goto("/?q=nothing")
    page.get_by_role("link", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page).to_have_url(re.compile(r"/\?q=nothing$"))
    page.goto("/schema")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_theme_that_was_chosen_outdoes_the_systems(
    service: ServiceProcess, open_page: Open
) -> None:
    page, _ = open_page(service, color_scheme="light")

    page.goto("/")
    ground = page.locator("body")
    light: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("link", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(ground).not_to_have_css("background-color", light)
    page.get_by_role("link", name="As the system").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")
    expect(ground).to_have_css("background-color", light)
