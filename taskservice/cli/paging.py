"""Lists that the API gives page by page, as one."""

from math import ceil
from typing import Any

from taskservice.cli.client import Client
from taskservice.cli.output import progress

LARGEST_PAGE = 1000


def all_pages(
    client: Client, path: str, what: str, *, limit: int | None = None, **filters: Any
) -> dict[str, Any]:
    """All items of a list, or the first `limit`, as one page; `what` names them on a bar."""
    size = min(LARGEST_PAGE, limit or LARGEST_PAGE)
    page: dict[str, Any] = client.get(path, size=size, **filters)
    uncounted = page.get("more", False)
    wanted = limit if limit and uncounted else min(page["total"], limit or page["total"])
    if wanted <= size:
        return page
    items = page["items"]
    with progress(what, wanted) as advance:
        advance(size)
        number = 1
        while len(items) < wanted:
            number += 1
            place = {"before": items[-1]["id"]} if "more" in page else {"page": number}
            more = client.get(path, size=size, **place, **filters)["items"]
            if not more:
                break
            items += more
            advance(len(more))
    found = items[:wanted]
    pages = ceil(page["total"] / len(found)) if limit else 1
    return {**page, "items": found, "size": len(found), "pages": pages}
