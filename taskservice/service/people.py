"""People who sign in at a provider: what their groups may, and the key that signs their sessions.

The key is the service's own, made at the first start and kept in the database: a session lives on
over restarts and on every replica, whatever tokens there are.
"""

import hmac
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from taskservice.domain.check import printable
from taskservice.service.credentials import Credentials, Principal
from taskservice.settings import ROLES, Role, Settings
from taskservice.storage.database import Collision, Connection, Database
from taskservice.storage.key_values import add_value, get_value

LONGEST_NAME = 100
"""Characters of a person's name that are kept: as long as `by` may be."""

_KEY = "session-key"


class People:
    """Whoever signs in at the provider of the settings; `start` comes first.

    `key` signs their sessions.
    """

    def __init__(self, settings: Settings, database: Database, credentials: Credentials) -> None:
        self._settings = settings
        self._database = database
        self._credentials = credentials
        self._roles = dict(settings.oidc_roles)
        self.key = b""

    async def start(self) -> None:
        """Have the key, which is made if there is none. Raises `Unavailable`."""
        kept = await _kept_key(self._database)
        self.key = hmac.digest(kept, b"taskservice people", "sha256")

    def known_groups(self, groups: Collection[str]) -> tuple[str, ...]:
        """Those of the groups that have a role."""
        return tuple(one for one in self._roles if one in groups)

    def principal(self, name: str, groups: Collection[str]) -> Principal | None:
        """Who this is, with the highest role of the groups; None where none has one."""
        roles: set[Role] = {self._roles[one] for one in groups if one in self._roles}
        if not roles or not self._settings.oidc_issuer:
            return None
        highest = max(roles, key=ROLES.index)
        return Principal(name=name, role=highest, token_hash=self.key, is_person=True)

    def name_of(self, claimed: str) -> str:
        """How somebody is called in the trail: never as a token, or the service itself, is."""
        name = printable(claimed)[:LONGEST_NAME]
        if self._credentials.is_taken(name):
            host = urlsplit(self._settings.oidc_issuer).hostname or "provider"
            name = f"{name[: LONGEST_NAME // 2]} ({host})"[:LONGEST_NAME]
        return name


async def _kept_key(database: Database) -> bytes:
    """The key in the database; the first process that starts makes it."""

    async def make(connection: Connection) -> None:
        if await get_value(connection, _KEY) is None:
            await add_value(connection, _KEY, secrets.token_hex(32))

    try:
        await database.write(make)
    except Collision:
        pass  # another one was first
    async with database.read() as connection:
        return bytes.fromhex(await get_value(connection, _KEY))
