"""What all pages have in common: headers, languages, themes, errors, static files."""

import httpx
import pytest

from taskservice.web.console import flash, static
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.console.pages import BROWSER, is_strict, parse

POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'"
)


async def test_a_page_comes_with_its_headers(client: httpx.AsyncClient) -> None:
    for path, status in (("/", 200), ("/nope", 404)):
        answer = await client.get(path, headers=BROWSER)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        is_strict(parse(answer.text))


async def test_the_switch_of_language_goes_before_the_browser(client: httpx.AsyncClient) -> None:
    headers = {**BROWSER, "Accept-Language": "zh-CN,zh;q=0.9"}
    page = parse((await client.get("/", headers=headers)).text)
    assert (page.one("html").attributes["lang"], page.one("h1").text) == ("zh-CN", "任务")
    answer = await client.get("/?lang=en&status=failed", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?status=failed")
    page = parse((await client.get("/", headers=headers)).text)
    assert (page.one("html").attributes["lang"], page.one("h1").text) == ("en", "Tasks")
    answer = await client.get("/?lang=zh", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert parse((await client.get("/", headers=BROWSER)).text).one("h1").text == "任务"
    unknown = await client.get("/?lang=xx", headers=BROWSER)
    assert unknown.status_code == 200


async def test_the_theme_is_applied_on_the_server(client: httpx.AsyncClient) -> None:
    page = parse((await client.get("/", headers=BROWSER)).text)
    assert "data-theme" not in page.one("html").attributes
    for theme in ("dark", "light"):
        assert (await client.get(f"/?theme={theme}", headers=BROWSER)).status_code == 303
        page = parse((await client.get("/", headers=BROWSER)).text)
        assert page.one("html").attributes["data-theme"] == theme
    client.cookies.set("theme", '"><script>')
    page = parse((await client.get("/", headers=BROWSER)).text)
    assert "data-theme" not in page.one("html").attributes


async def test_the_switches_keep_the_rest_of_the_address(client: httpx.AsyncClient) -> None:
    page = parse((await client.get("/?q=a%26b&page=1", headers=BROWSER)).text)
    links = [link.attributes["href"] for link in page.all("a") if "lang=zh" in str(link.attributes)]
    assert links == ["?q=a%26b&page=1&lang=zh"]


async def test_every_link_of_the_frame_and_every_file_is_there(client: httpx.AsyncClient) -> None:
    page = parse((await client.get("/", headers=BROWSER)).text)
    files = [
        element.attributes[name]
        for tag, name in (("script", "src"), ("link", "href"))
        for element in page.all(tag)
    ]
    assert len(files) >= 3
    for path in files:
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    script = next(path for path in files if path.endswith(".js"))
    assert (await client.get(script)).headers["content-type"].startswith("text/javascript")
    old = await client.get("/static/0123456789abcdef/console.css")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
    for name in ("nope.css", "..%2frender.py", "%00"):
        assert (await client.get(f"/static/{static.DIGEST}/{name}")).status_code == 404
    with pytest.raises(KeyError):
        static.address("nope.css")


async def test_errors_are_pages_for_browsers_only(client: httpx.AsyncClient) -> None:
    for path in ("/nope", "/tasks/nope/row"):
        assert (await client.get(path, headers=BROWSER)).text.startswith("<!doctype html>")
        problem = await client.get(path)
        assert problem.headers["content-type"] == "application/problem+json"
    api = await client.get("/task-manage/nope", headers=BROWSER)
    assert api.headers["content-type"] == "application/problem+json"
    page = parse((await client.get("/nope", headers={**BROWSER, "Accept-Language": "zh"})).text)
    assert page.one("h1").text == "这里什么也没有"
    assert page.one("nav", aria_label="主导航")


async def test_an_outage_is_a_page_too(without_database: Client) -> None:
    answer = await without_database.get("/", headers=BROWSER)
    assert answer.status_code == 503
    assert "the database does not answer" in parse(answer.text).one("main").text


async def test_a_strange_host_gets_a_page_that_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers={**BROWSER, "Host": "evil.example"})
    assert answer.status_code == 403
    assert "Main" not in [nav.attributes["aria-label"] for nav in parse(answer.text).all("nav")]


async def test_what_is_said_once_is_said_once(client: httpx.AsyncClient) -> None:
    cookie = flash.cookie("failed", "<b>no</b> 任务" + "x" * 5000)
    assert cookie.value is not None
    assert len(cookie.value) < 3000
    client.cookies.set(flash.COOKIE, cookie.value, domain="127.0.0.1")
    page = parse((await client.get("/", headers=BROWSER)).text)
    said = page.one("p", class_="flash")
    assert said.text.startswith("<b>no</b> 任务xxx")
    assert said.attributes["role"] == "alert"
    again = parse((await client.get("/", headers=BROWSER)).text)
    assert list(again.all("p", class_="flash")) == []


@pytest.mark.parametrize("value", ["x", "bnVsbA==", "WzEsMl0=", "W10=", "é"])
async def test_a_message_nobody_wrote_is_passed_over(client: httpx.AsyncClient, value: str) -> None:
    headers = httpx.Headers({**BROWSER, "Cookie": f"flash={value}"}, encoding="latin-1")
    answer = await client.get("/", headers=headers)
    assert answer.status_code == 200
    assert list(parse(answer.text).all("p", class_="flash")) == []


async def test_a_row_is_a_fragment(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    answer = await client.get("/tasks/t/row", headers=BROWSER)
    root = parse(answer.text)
    is_strict(root)
    assert root.one("tr").attributes["data-fragment"] == "/tasks/t/row"
    assert "周期性任务" in root.text


async def test_the_console_is_no_part_of_the_api_document(serve: Serve) -> None:
    async with serve() as client:
        paths = (await client.get("/schema/openapi.json")).json()["paths"]
        assert not {"/", "/sign-in", "/tasks/{task_id}/row"} & paths.keys()
