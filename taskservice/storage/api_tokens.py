"""The tokens that are made by command: of each what it may, and its SHA-256."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.errors import Conflict, NotFound
from taskservice.storage.damage import UNKNOWN_SINCE
from taskservice.storage.rows import chunks
from taskservice.storage.tables import api_token

_A = api_token.c
_READ = [one for one in _A if one.name not in ("lives", "revoked_at")]

MOST = 10_000
"""How many there may be at a time: each process holds all of them in memory."""

NOTED_EVERY = timedelta(minutes=1)
"""How far the time of last use may be behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token that was not revoked; `token_hash` is the SHA-256 of it.

    It is for tasks that bear one of `tags`, where there are any, and good until `expires_at`.
    """

    id: str
    name: str
    role: str
    tags: tuple[str, ...] | None
    token_hash: bytes = field(repr=False)
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


async def stamp(connection: AsyncConnection) -> tuple[object, ...]:
    """What is another once a token was made or revoked: it is read sooner than the tokens are."""
    query = select(func.count(), func.count(_A.lives), func.max(_A.created_at))
    return tuple((await connection.execute(query.select_from(api_token))).one())


async def living(connection: AsyncConnection) -> list[StoredToken]:
    """The tokens that were not revoked, by name; one that can't be read has no role."""
    query = select(*_READ).where(_A.lives.is_(True)).order_by(_A.name).limit(MOST)
    return [_stored(row) for row in await connection.execute(query)]


async def add(connection: AsyncConnection, token: StoredToken) -> None:
    """Keep a new token; one of its name whose time is over is revoked by that.

    Raises `Conflict` where there are too many, or one of its name is good.
    """
    now = token.created_at
    same = _A.name == token.name, _A.lives.is_(True)
    await connection.execute(
        update(api_token).where(*same, _A.expires_at <= now).values(lives=None, revoked_at=now)
    )
    if (await connection.execute(select(_A.id).where(*same))).first():
        raise Conflict(f"there is a token {token.name!r} already: revoke it, or choose another")
    query = select(func.count()).select_from(api_token).where(_A.lives.is_(True))
    if (await connection.execute(query)).scalar_one() >= MOST:
        raise Conflict(f"there are {MOST:,} tokens already: revoke some")
    await connection.execute(
        insert(api_token).values(
            id=token.id, name=token.name, role=token.role,
            tags=None if token.tags is None else list(token.tags),
            token_hash=token.token_hash.hex(), created_at=now, created_by=token.created_by,
            expires_at=token.expires_at, lives=True,
        )
    )  # fmt: skip


async def revoke(connection: AsyncConnection, name: str, now: datetime) -> None:
    """End the token of that name. Raises `NotFound`."""
    done = await connection.execute(
        update(api_token)
        .where(_A.name == name, _A.lives.is_(True))
        .values(lives=None, revoked_at=now)
    )
    if not done.rowcount:
        raise NotFound(f"there is no token {name[:100]!r}")


async def note_use(connection: AsyncConnection, ids: Collection[str], now: datetime) -> None:
    """Note that tokens were used by now, unless that was noted within the last minute."""
    late = or_(_A.last_used_at.is_(None), _A.last_used_at <= now - NOTED_EVERY)
    for piece in chunks(sorted(ids)):
        where = _A.id.in_(piece), late
        await connection.execute(update(api_token).where(*where).values(last_used_at=now))


def _stored(row: Row[Any]) -> StoredToken:
    tags, expires_at, used = row.tags, row.expires_at, row.last_used_at
    is_sound = tags is None or (isinstance(tags, list) and {*map(type, tags)} == {str})
    is_sound = is_sound and (expires_at is None or isinstance(expires_at, datetime))
    try:
        token_hash = bytes.fromhex(row.token_hash)
    except (TypeError, ValueError):
        is_sound, token_hash = False, b""
    return StoredToken(
        id=str(row.id),
        name=str(row.name),
        role=str(row.role) if is_sound else "",
        tags=tuple(map(str, tags)) if isinstance(tags, list) else None,
        token_hash=token_hash,
        created_at=row.created_at if isinstance(row.created_at, datetime) else UNKNOWN_SINCE,
        created_by=str(row.created_by),
        expires_at=expires_at if isinstance(expires_at, datetime) else None,
        last_used_at=used if isinstance(used, datetime) else None,
    )
