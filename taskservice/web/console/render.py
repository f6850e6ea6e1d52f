"""How pages are made: templates, what each of them knows, and the headers of its answer."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie

from taskservice import __version__
from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.web.auth import Caller
from taskservice.web.console import flash, static
from taskservice.web.console.language import LANGUAGES, Language, preferred

TEMPLATES = Path(__file__).parent / "templates"

THEMES = ("auto", "light", "dark")

CONSOLE: dict[str, Any] = {"console": True}
"""`opt` of a page's handler: who may call it is said in `web/rules.py`."""

COOKIE_SECONDS = 366 * 86400

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'self'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

AnyRequest = Request[Any, Any, Any]


def _(text: str) -> str:
    """Marks a text for translation where no language is at hand."""
    return text


WORKERS = "/workers/overview"
"""The page of workers: the API has the shorter address."""

AUDIT = "/audit/trail"
"""The page of the audit trail; the API has the shorter address here too."""

NAVIGATION = (
    ("/", _("Tasks")),
    ("/timeline", _("Timeline")),
    ("/folder", _("Sync")),
    (AUDIT, _("Audit trail")),
    (WORKERS, _("Workers")),
    ("/schema", _("API docs")),
)
"""The address and the name of each page that the navigation leads to, Workers if there are any."""


def page(request: AnyRequest, template: str, *, status: int = 200, **values: Any) -> Response[str]:
    """A whole page; what was left to be said once (see `flash`) is said on it."""
    said = flash.read(request)
    answer = _answer(request, template, status, {**values, "flash": said})
    if said:
        answer.delete_cookie(flash.COOKIE)
    return answer


def fragment(
    request: AnyRequest, template: str, *, status: int = 200, **values: Any
) -> Response[str]:
    """A piece of a page, for a script that puts it in the place of an older one."""
    return _answer(request, template, status, values)


def language_of(request: AnyRequest) -> Language:
    """The language of the answer: that of the switch, else the one that the browser prefers."""
    chosen = LANGUAGES.get(request.cookies.get("lang", ""))
    return chosen or preferred(request.headers.get("accept-language", ""))


def caller_of(request: AnyRequest) -> Caller | None:
    """Who asks, as the guard has found; None on pages that everybody may see."""
    caller = request.scope.get("auth")
    return caller if isinstance(caller, Caller) else None


def settings_of(request: AnyRequest) -> Settings:
    """The settings of the app."""
    settings: Settings = request.app.state.settings
    return settings


def service_of(request: AnyRequest) -> Service:
    """The service of the app."""
    service: Service = request.app.state.service
    return service


def switched(request: AnyRequest) -> Response[None] | None:
    """The answer to `?lang=…` or `?theme=…`: the same page, and a cookie that remembers it."""
    given = _query(request)
    wanted = {
        name: value
        for name, value in given
        if (name == "lang" and value in LANGUAGES) or (name == "theme" and value in THEMES)
    }
    if not wanted or request.scope["method"] != "GET":
        return None
    rest = [(name, value) for name, value in given if name not in wanted]
    path = request.scope["path"]
    cookies = [
        Cookie(key=name, value=value, max_age=COOKIE_SECONDS, samesite="lax", httponly=True)
        for name, value in wanted.items()
    ]
    return redirect(request, f"{path}?{urlencode(rest)}" if rest else path, cookies=cookies)


def redirect(
    request: AnyRequest, to: str, *, cookies: list[Cookie] | None = None
) -> Response[None]:
    """Leads to another page of this site (303, so that a form is not sent twice)."""
    headers = {"Location": local(to), "Cache-Control": "no-store"}
    return Response(None, status_code=303, headers=headers, cookies=cookies or [])


def local(path: str | None) -> str:
    """A path of this site, percent-encoded; `/` where it may lead to another, or is none."""
    if not path or not path.startswith("/") or path.startswith("//"):
        return "/"
    if "\\" in path or not path.isprintable():  # which browsers read as slashes, or pass over
        return "/"
    return quote(path, safe="/%?&=+:,;@!$'()*~")


def _answer(
    request: AnyRequest, template: str, status: int, values: Mapping[str, Any]
) -> Response[str]:
    language = language_of(request)
    theme = request.cookies.get("theme", "")
    caller = caller_of(request)
    sees_all = not (caller and caller.sight.is_narrowed)
    workers = service_of(request).workers
    shared = {
        "language": language,
        "languages": LANGUAGES,
        "theme": theme if theme in THEMES else "auto",
        "themes": THEMES,
        "user": caller,
        "may": caller.may if caller else lambda role: False,
        "sees_all": sees_all,
        "csrf": caller.csrf if caller else None,
        "zone": settings_of(request).timezone,
        "now": datetime.now(UTC),
        "path": request.scope["path"],
        "with_query": _with_query(request),
        "flash": None,
        "workers_address": WORKERS,
        "audit_address": AUDIT,
        "needs_reason": settings_of(request).require_reason.__contains__,
        "workers_matter": workers.matter,
        # A queue may be another team's alone.
        "unserved": workers.unserved if sees_all else (),
    }
    content = _environment(language.code).get_template(template).render(shared | dict(values))
    return Response(content, status_code=status, media_type="text/html", headers=SECURITY)


def _query(request: AnyRequest) -> list[tuple[str, str]]:
    """The parameters of an address as they stand in it."""
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _with_query(request: AnyRequest) -> Callable[..., str]:
    """Makes the address of the same page with other parameters; None takes one away."""
    query = [pair for pair in _query(request) if pair[1] != ""]

    def address(**changes: object) -> str:
        kept = [(name, value) for name, value in query if name not in changes]
        kept += [(name, str(value)) for name, value in changes.items() if value is not None]
        return "?" + urlencode(kept)  # a bare "?" takes all of them away

    return address


@cache
def _environment(code: str) -> Environment:
    """The templates in one language."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    texts: Any = environment
    texts.install_gettext_translations(LANGUAGES[code].texts, newstyle=True)
    environment.globals.update(version=__version__, static=static.address, navigation=NAVIGATION)
    environment.filters["pretty"] = pretty
    return environment


def pretty(value: object) -> str:
    """A JSON value as a person reads it: text without quotes, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
