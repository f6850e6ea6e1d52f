"""A page of a list."""

from math import ceil
from typing import Any

import msgspec


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a list; `total` and `pages` are of all that the filters let through."""

    items: list[Any]
    total: int
    page: int
    size: int
    pages: int


def paging(total: int, page: int, size: int) -> dict[str, int]:
    """The fields of a page beside its items."""
    return {"total": total, "page": page, "size": size, "pages": ceil(total / size)}
