"""Pages of what may be without end: it is counted so far, and no further."""

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

COUNTED = 10_000
"""To how many rows a list is counted, and how far it can be paged by number."""


async def counted(
    connection: AsyncConnection,
    ids: Select[Any],
    *,
    found: int,
    limit: int,
    offset: int,
    goes_on: bool,
) -> tuple[int, bool]:
    """How many rows there are, `COUNTED` at most; and whether there are more.

    `ids` selects all that are wanted. `found` is how many came where `limit` and one more were
    asked for, from an `offset`; of a piece that `goes_on` after a row, more is what follows it.
    """
    follows = found > limit
    if not goes_on and not follows and (found or not offset):
        # It ends here, which tells as much.
        return min(offset + found, COUNTED), offset + found > COUNTED
    some = ids.limit(COUNTED + 1).subquery()
    total = (await connection.execute(select(func.count()).select_from(some))).scalar_one()
    return min(total, COUNTED), follows if goes_on else total > COUNTED
