"""Wrong tokens, counted by the address that they come from, and slowed.

Whoever has a right token is let in all the while, also where a proxy makes everybody come from
one address: only what is wrong has to wait.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from taskservice.domain.errors import TooManyRequests

LONGEST_WAIT = 60
"""Seconds after which to try again, at most."""

STEP = 10
"""So many wrong tokens more double that time."""


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    last: float = 0.0
    held: int = 0


class Guesses:
    """Counts wrong tokens by address; beyond `free` each is held for `hold_seconds`, and then 429.

    While `at_once` of an address are held, only tokens that were right before are looked at. An
    address is forgotten `forget_seconds` after its last wrong token, and of more than `most`
    addresses the one that was quiet longest.
    """

    def __init__(
        self,
        *,
        free: int = 100,
        hold_seconds: float = 1.0,
        at_once: int = 8,
        forget_seconds: float = 600.0,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = free
        self._hold_seconds = hold_seconds
        self._at_once = at_once
        self._forget_seconds = forget_seconds
        self._most = most
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._right: set[bytes] = set()

    def is_closed(self, address: str | None) -> bool:
        """Whether so many wrong tokens of an address are held that no new one is looked at."""
        if not self._addresses:
            return False
        known = self._addresses.get(_network(address))
        return known is not None and known.held >= self._at_once

    def is_slowed(self, address: str | None) -> bool:
        """Whether the next wrong token of an address is held."""
        known = self._addresses.get(_network(address)) if self._addresses else None
        lately = known is not None and self._clock() - known.last <= self._forget_seconds
        return lately and known is not None and known.wrong >= self._free

    def was_right(self, token_hash: bytes) -> bool:
        """Whether a token was right before."""
        return token_hash in self._right

    def right(self, token_hash: bytes) -> None:
        """Remember a token that was right; there are no more of them than the settings have."""
        self._right.add(token_hash)

    def refuse(self, address: str | None) -> None:
        """Raise `TooManyRequests` with the time that an address should wait."""
        known = self._addresses.get(_network(address))
        beyond = (known.wrong if known else 0) - self._free
        wait = min(LONGEST_WAIT, 2 ** min(max(beyond, 0) // STEP, 10))
        raise TooManyRequests("too many wrong tokens came from this address", retry_after=wait)

    def count(self, address: str | None, *, weight: int = 1) -> bool:
        """Count a wrong token; whether its address has had too many of them."""
        name, now = _network(address), self._clock()
        known = self._addresses.pop(name, None) or _Address()
        if now - known.last > self._forget_seconds:
            known.wrong = 0
        known.wrong, known.last = known.wrong + weight, now
        self._addresses[name] = known
        while len(self._addresses) > self._most:
            self._addresses.popitem(last=False)
        return known.wrong > self._free

    async def hold(self, address: str | None) -> None:
        """Have a wrong token wait that is counted already, and refuse it."""
        known = self._addresses.get(_network(address))
        if known and known.held < self._at_once:
            known.held += 1
            try:
                await asyncio.sleep(self._hold_seconds)
            finally:
                known.held -= 1
        self.refuse(address)


def _network(address: str | None) -> str:
    """What counts as one address: of IPv6 somebody has 64 bits for himself."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(known, ipaddress.IPv6Address) and not known.ipv4_mapped:
        return str(ipaddress.ip_network((int(known) >> 64 << 64, 64)))
    return str(known)
