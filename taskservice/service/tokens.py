"""Tokens that are made by command: of a database, with or without services that run on it."""

import hashlib
import secrets
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from taskservice.domain.check import Refused
from taskservice.domain.errors import Conflict, Fault, Invalid
from taskservice.domain.field_types import words
from taskservice.domain.trail import Action, Cause, Change, event_of
from taskservice.service.credentials import PREFIX, RESERVED
from taskservice.service.moments import now_utc
from taskservice.settings import Role, Settings
from taskservice.storage import api_tokens, events
from taskservice.storage.api_tokens import StoredToken
from taskservice.storage.database import Collision, Connection, Database
from taskservice.storage.rows import new_id
from taskservice.storage.schema import prepare

MOST_TAGS = 20
"""How many tags a token may be narrowed to."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHANCE, _CHECK = 43, 6
"""How many digits 32 random bytes take, and 4 bytes that check them."""


class Tokens:
    """The stored tokens of a database, which is open; see `opened`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    async def create(
        self,
        name: str,
        role: Role,
        *,
        tags: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        by: str,
    ) -> tuple[StoredToken, str]:
        """Make a token; what is stored of it, and it itself, which nobody can tell again.

        With `tags` it is for tasks alone that bear one of them. Raises `Conflict` where the name
        is taken, or there are too many, and `Invalid` for what can't be the tag of a task.
        """
        if tags is not None and (faults := _faults_of(tags)):
            raise Invalid(faults)
        if name in RESERVED or name in {one.name for one in self._settings.api_tokens}:
            whose = "the service's own" if name in RESERVED else "that of one in the environment"
            raise Conflict(f"the name {name!r} is {whose}: choose another")
        token = new_token()
        made = StoredToken(
            id=new_id(),
            name=name,
            role=role,
            tags=None if tags is None else tuple(tags),
            token_hash=hashlib.sha256(token.encode()).digest(),
            created_at=now_utc(),
            created_by=by,
            expires_at=expires_at,
        )

        changes = [Change("name", None, name), Change("role", None, role)]
        if tags is not None:
            changes.append(Change("tags", None, list(tags)))
        if expires_at:
            changes.append(Change("expires_at", None, expires_at.isoformat()))

        async def work(connection: Connection) -> None:
            await api_tokens.add(connection, made)
            await _record(connection, "token_created", by, changes)

        try:
            await self._database.write(work)
        except Collision:
            raise Conflict(f"somebody made a token {name!r} at the same moment") from None
        return made, token

    async def living(self) -> list[StoredToken]:
        """The tokens that were not revoked, by name."""
        async with self._database.read() as connection:
            return await api_tokens.living(connection)

    async def revoke(self, name: str, *, by: str) -> None:
        """End a token. Raises `NotFound`."""

        async def work(connection: Connection) -> None:
            await api_tokens.revoke(connection, name, now_utc())
            await _record(connection, "token_revoked", by, [Change("name", name, None)])

        await self._database.write(work)


def _faults_of(tags: Sequence[str]) -> list[Fault]:
    """What is wrong with the tags of a token."""
    if not 0 < len(tags) <= MOST_TAGS:
        return [Fault(field="tags", reason=f"must be 1 to {MOST_TAGS}, not {len(tags)}")]
    try:
        words.parse(list(tags))
    except Refused as refused:
        return refused.faults("tags")
    return []


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Tokens]:
    """The tokens of the settings' database, whose tables are made or migrated as for a service.

    Raises `StartError`.
    """
    database = Database(settings.database_url)
    try:
        await prepare(database)
        yield Tokens(settings, database)
    finally:
        await database.close()


async def _record(
    connection: Connection, action: Action, by: str, changes: Sequence[Change]
) -> None:
    """Write into the trail what is done to a token, by whom on the machine of the database."""
    event = event_of(action, Cause(by=by, via="service"), changes=changes)
    await connection.run_sync(events.record, [event], now_utc())


def new_token() -> str:
    """A token that nobody can guess: 32 random bytes, and digits that check them for scanners."""
    chance = _digits(secrets.token_bytes(32), _CHANCE)
    return f"{PREFIX}{chance}{check_digits(chance)}"


def check_digits(chance: str) -> str:
    """The digits at the end of a token, which tell one from what only looks like it."""
    return _digits(zlib.crc32(chance.encode()).to_bytes(4), _CHECK)


def _digits(data: bytes, length: int) -> str:
    number, digits = int.from_bytes(data), ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
