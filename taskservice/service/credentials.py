"""Who may speak to the API: the tokens of the environment, and those that are stored.

The stored ones are held in memory and read again each second, so that one that is revoked, by
whichever process, is good nowhere from then on.
"""

import asyncio
import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.domain.sight import ALL, Sight
from taskservice.service.moments import now_utc
from taskservice.settings import ROLES, Role, Settings, hash_of, is_loopback
from taskservice.storage import api_tokens
from taskservice.storage.api_tokens import NOTED_EVERY, StoredToken
from taskservice.storage.database import Connection, Database

FRESH_SECONDS = 1.0
"""How old the stored tokens in memory may be where one of them is used."""

ANEW_SECONDS = 30.0
"""How old they may be where none was made or revoked: somebody may have changed their rows."""

PREFIX = "tsk_"
"""What a stored token begins with, so that scanners know one."""

RESERVED = frozenset({"anonymous", "file", "schedule", "service", "webhook"})
"""Names by which the service tells of what nobody did by a token."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whose a token is: a name, a role, and which tasks it is for.

    `stored` is the row's id, of one that is stored. One that `is_person` has no token: it has
    signed in at the provider, and `token_hash` signs its session.
    """

    name: str
    role: Role
    sight: Sight = ALL
    token_hash: bytes = field(repr=False)
    expires_at: datetime | None = None
    stored: str | None = None
    is_person: bool = False

    def is_over(self, now: datetime) -> bool:
        """Whether the token's time is over."""
        return self.expires_at is not None and self.expires_at <= now


class Credentials:
    """The tokens of the settings and of the database; `find` says whose one is."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._own = {
            one.token_hash: Principal(name=one.name, role=one.role, token_hash=one.token_hash)
            for one in settings.api_tokens
        }
        self._by_hash: Mapping[bytes, Principal] = self._own
        self._by_name = _by_name(self._own.values())
        self._has_stored = False
        self._told: set[str] = set()
        self._stamp: tuple[object, ...] = ()
        self._read_at = self._all_read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._used: set[str] = set()
        self._noted: dict[str, float] = {}

    @property
    def exist(self) -> bool:
        """Whether there are any, as far as is known; one whose time is over counts.

        With a provider there are people beside, who need none.
        """
        return bool(self._own) or self._has_stored or bool(self._settings.oidc_issuer)

    @property
    def are_needed(self) -> bool:
        """Whether one must be given: where there are any, and beyond loopback in any case."""
        return self.exist or not is_loopback(self._settings.host)

    async def refresh(self, *, seconds: float = 0.0) -> None:
        """Have the stored tokens as they were `seconds` ago, or later. Raises `Unavailable`."""
        wanted = time.monotonic() - seconds
        async with self._reading:
            if self._read_at >= wanted:
                return  # somebody else read them meanwhile
            begun = time.monotonic()
            async with self._database.read() as connection:
                stamp = await api_tokens.stamp(connection)
                if stamp != self._stamp or begun >= self._all_read_at + ANEW_SECONDS:
                    self._take(await api_tokens.living(connection))
                    self._stamp, self._all_read_at = stamp, begun
            self._read_at = begun

    async def freshen(self, token: str) -> None:
        """Have it known whose token this is, if it may be a stored one. Raises `Unavailable`."""
        found = self.find(token)
        if found is None and token.startswith(PREFIX):
            await self.refresh()  # it may have been made a moment ago
        elif found is not None and found.stored:
            await self.refresh(seconds=FRESH_SECONDS)

    def find(self, token: str) -> Principal | None:
        """Whose token this is, as far as is known; one whose time is over is told too."""
        return self._look_up(hash_of(token))

    def named(self, name: str) -> Principal | None:
        """Who has this name, as far as is known."""
        return self._by_name.get(name)

    def is_taken(self, name: str) -> bool:
        """Whether a token has this name, or the service tells of itself by it."""
        return name in RESERVED or name in self._by_name

    def holds(self, principal: Principal) -> bool:
        """Whether a token is as good as it was, as far as is known."""
        if principal.is_person:
            return True  # for as long as the session lasts
        known = self._look_up(principal.token_hash)
        return known == principal and not principal.is_over(now_utc())

    def note_use(self, principal: Principal) -> None:
        """Have it noted, a little later, that a token was used."""
        if principal.stored:
            self._used.add(principal.stored)

    async def save_uses(self) -> None:
        """Keep when tokens were used last, of each at most once a minute. Raises `Unavailable`."""
        used, self._used = self._used, set()
        now = time.monotonic()
        before = now - NOTED_EVERY.total_seconds()
        self._noted = {one: at for one, at in self._noted.items() if at > before}
        if not (ids := used - self._noted.keys()):
            return

        async def work(connection: Connection) -> None:
            await api_tokens.note_use(connection, ids, now_utc())

        try:
            await self._database.write(work)
        except Unavailable:
            self._used |= ids
            raise
        self._noted |= dict.fromkeys(ids, now)

    def _look_up(self, token_hash: bytes) -> Principal | None:
        found = self._by_hash.get(token_hash)
        if found is None or not hmac.compare_digest(found.token_hash, token_hash):
            return None
        return found

    def _take(self, stored: Sequence[StoredToken]) -> None:
        """Hold these; a token of the settings goes before one of its name."""
        found = dict(self._own)
        taken = {one.name for one in self._own.values()}
        for one in stored:
            principal = _principal(one)
            if one.name in taken:
                if one.name not in self._told:
                    log.warning("token_passed_over", token=one.name, reason="its name is taken")
                self._told.add(one.name)
            elif principal:
                found.setdefault(principal.token_hash, principal)
        self._has_stored = bool(stored)
        self._by_hash, self._by_name = found, _by_name(found.values())


def _principal(stored: StoredToken) -> Principal | None:
    role = next((role for role in ROLES if role == stored.role), None)
    if role is None:
        return None
    return Principal(
        name=stored.name,
        role=role,
        sight=Sight(stored.tags),
        token_hash=stored.token_hash,
        expires_at=stored.expires_at,
        stored=stored.id,
    )


def _by_name(principals: Iterable[Principal]) -> dict[str, Principal]:
    return {one.name: one for one in principals}
