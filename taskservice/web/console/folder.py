"""The page of the tasks folder: its state, its faults, and what the API changed beside it."""

from typing import Any

from litestar import Response, get, post

from taskservice.domain.sight import Sight
from taskservice.service import Service
from taskservice.web import schemas
from taskservice.web.api.parameters import Caller, ServiceDep, SightDep
from taskservice.web.console.changes import changed
from taskservice.web.console.faults import faults_of
from taskservice.web.console.render import CONSOLE, AnyRequest, fragment, language_of, page

ADDRESS = "/folder"

MOST = 200
"""How many overrides, retired tasks and tasks of a held sync are shown."""


@get(ADDRESS, opt=CONSOLE)
async def show_folder(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The whole page."""
    return page(request, "folder.html", **await _values(service, sight))


@get(f"{ADDRESS}/state", opt=CONSOLE)
async def show_state(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The part of it that a sync may change."""
    return fragment(request, "folder-state.html", **await _values(service, sight))


@post(f"{ADDRESS}/sync", opt=CONSOLE)
async def sync_now(
    request: AnyRequest, service: ServiceDep, caller: Caller, sight: SightDep
) -> Response[None]:
    """Syncs now."""
    said = language_of(request).gettext("The folder was synced.")
    work = service.syncs.sync(prune=False, by=caller, via="console", sight=sight)
    return await changed(request, work, said, ADDRESS)


@post(f"{ADDRESS}/confirm", opt=CONSOLE)
async def confirm_sync(request: AnyRequest, service: ServiceDep, caller: Caller) -> Response[None]:
    """Lets a held sync go on."""
    said = language_of(request).gettext("The sync went on: what is gone is retired.")
    work = service.syncs.sync(prune=True, by=caller, via="console")
    return await changed(request, work, said, ADDRESS)


async def _values(service: Service, sight: Sight) -> dict[str, Any]:
    """What the page shows: no lines of files and no commits, which may be about tasks of others."""
    report = schemas.SyncReport.of(await service.syncs.report(sight))
    repository = report.repository
    live = repository.live if repository else report.revision
    overrides = await service.declarations.all_overrides(sight)
    commits = [live, repository.wanted if repository else None]
    in_full = not sight.is_narrowed
    return {
        "report": report,
        "files": await faults_of(service, report.errors, with_lines=in_full),
        "faulty": len({error.path for error in report.errors}),
        "overrides": overrides[:MOST],
        "overridden": len(overrides),
        "commits": await service.declarations.commits(commits) if in_full else [],
        "live": live,
        "most": MOST,
        "folder": str(service.settings.tasks_dir),
    }


HANDLERS = (show_folder, show_state, sync_now, confirm_sync)
