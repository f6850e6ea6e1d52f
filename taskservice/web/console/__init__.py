"""The console: pages for people, rendered on the server through the service.

How to add a page:

1. Write `templates/NAME.html`, which begins with `{% extends "layout.html" %}` and
   `{% import "macros.html" as ui with context %}`, and fills the blocks `title` and `content`.
   Texts are `{{ _("In English") }}` or `{{ ngettext("%(num)s task", "%(num)s tasks", n) }}`;
   times are `{{ ui.moment(t) }}` (absolute) and `{{ ui.ago(t) }}` (relative, kept up by script);
   no style attribute, no inline script.
2. Write a module with handlers of `@get("/path", opt=CONSOLE)` that take `request: AnyRequest`
   and `service: ServiceDep`, and answer `page(request, "NAME.html", key=value, …)`. Parameters of
   the query are read from `request.query_params`; an error that is raised becomes a page.
3. A change is a `@post` that takes `caller: Caller`, behind a `<form method="post">` with
   `{{ ui.csrf_field() }}`; it answers `await changed(request, work, said, back)`: a 303 to `back`
   where `said`, or what went wrong, is shown once. Show the form only `{% if may("operator") %}`.
4. What lives has `data-live="task:ID"` (or `executions:TASK_ID`, `execution:ID`, `sync`, `tasks`,
   `new-tasks`, several with blanks between) and `data-fragment="/its/address"`, which answers
   `fragment(request, "fragment.html", …)` with that very element: `events.js` fetches it anew on
   such an event, once a second at most, or as seldom as `data-every` says. Other scripts are
   modules in `static/`, named in the block `scripts`; they hear of every event as
   `taskservice:event` at `document`.
5. Add the handlers to `HANDLERS` below, who may call each to `web/rules.py` and, for a place in the
   navigation, to `NAVIGATION` in `render.py`; translate its texts in `translations/zh.po`
   (`tests/web/console` names what lacks).
"""

from typing import Any

from litestar import Router

from taskservice.web.console import (
    editing,
    executions,
    folder,
    signing,
    static,
    task,
    task_changes,
    tasks,
    timeline,
    trail,
    workers,
)

HANDLERS: tuple[Any, ...] = (
    Router(
        "/",
        route_handlers=[
            *static.HANDLERS,
            *signing.HANDLERS,
            *tasks.HANDLERS,
            *task.HANDLERS,
            *task_changes.HANDLERS,
            *editing.HANDLERS,
            *executions.HANDLERS,
            *folder.HANDLERS,
            *timeline.HANDLERS,
            *trail.HANDLERS,
            *workers.HANDLERS,
        ],
        include_in_schema=False,
    ),
)
