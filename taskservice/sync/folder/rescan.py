"""The look at everything by content that finds what no event told of.

It only reads, a little at a time, and whoever syncs goes first: no save waits for it. What it
finds to differ may have been synced meanwhile; it is not lost, for it is looked at again.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from taskservice.domain.plan import StoredDeclaration, differs
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.rows import CHUNK, chunks
from taskservice.sync.folder.confined import LeadsOut, located, reading, unfit, unreadable
from taskservice.sync.folder.listing import VANISHED, Listing, list_files
from taskservice.sync.folder.parsed_file import ParsedFile, is_sound, refused
from taskservice.sync.folder.reading import Folder
from taskservice.sync.folder.watch import Hint
from taskservice.sync.text.task_files import MAX_BYTES

PIECE = 200
"""How many files are compared, or rows read, at a time."""

PAUSE_SECONDS = 0.005
"""How long it lets others go on in between."""

T = TypeVar("T")


def hash_file(root: str, path: str) -> bytes:
    """What a `ParsedFile` has as `hash`; raises as `located` does."""
    # Whether it stays the same meanwhile does not matter: of two texts it has the hash of neither.
    with located(root, path) as (handle, _), reading(handle) as descriptor:
        # A place for all that might be read would cost more than the reading.
        size = min(os.fstat(handle).st_size, MAX_BYTES)
        return hashlib.sha256(os.read(descriptor, size + 1)).digest()


class Rescan:
    """Compares folder and table with what was read of them.

    `turn` is held by whoever syncs `folder`, which is at `root`; it ends early once `stop` is set,
    and then its answers mean nothing. It looks at `piece` files or rows at a time, and compares
    what `hash_of` says of the files. Of more than `most_doubtful` rows it does not look again.
    """

    def __init__(
        self,
        database: Database,
        root: Path,
        folder: Folder,
        *,
        turn: asyncio.Lock,
        stop: asyncio.Event,
        piece: int = PIECE,
        most_doubtful: int = CHUNK,
        hash_of: Callable[[str, str], bytes] = hash_file,
    ) -> None:
        self._database = database
        self._root = root
        self._folder = folder
        self._turn = turn
        self._stop = stop
        self._piece = piece
        self._most_doubtful = most_doubtful
        self._hash_of = hash_of

    async def files(self) -> Hint:
        """The paths of the files that are not, byte for byte, what was read of them."""
        root, listing = await asyncio.to_thread(self._list)
        if listing.faults or listing.linked != self._folder.linked:
            return None
        found = set(self._folder.files.keys() - listing.files.keys())
        async for piece in self._paced(list(listing.files.items())):
            found |= await asyncio.to_thread(self._differing, root, piece)
        return frozenset(found)

    async def is_stored(self) -> bool:
        """Whether the table says of every declaration what was read; `Unavailable` is raised."""
        expected = await asyncio.to_thread(self._folder.expected)
        doubtful = set(expected)
        last, rows = "", dict[str, StoredDeclaration]()
        while not self._stop.is_set():
            await self._breathe()
            async with self._database.read() as connection:
                rows = await store.declared_after(connection, last, self._piece)
            if not rows:
                break
            *_, last = rows
            for task_id, row in rows.items():
                candidate = expected.get(task_id)
                if candidate is not None and not differs(candidate, row):
                    doubtful.discard(task_id)
                elif candidate is not None or self._folder.is_surplus(row):
                    doubtful.add(task_id)
        return len(doubtful) <= self._most_doubtful and await self._are_stored(sorted(doubtful))

    async def _are_stored(self, task_ids: Sequence[str]) -> bool:
        """The same of these tasks, while nobody syncs."""
        if not task_ids:
            return True
        async with self._turn:
            async with self._database.read() as connection:
                stored = await store.declared(connection, task_ids)
            expected = await asyncio.to_thread(self._folder.expected)
        for task_id in task_ids:
            candidate, row = expected.get(task_id), stored.get(task_id)
            if candidate is not None and differs(candidate, row):
                return False
            if candidate is None and row is not None and self._folder.is_surplus(row):
                return False
        return True

    async def _paced(self, items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        for piece in chunks(items, self._piece):
            await self._breathe()
            if self._stop.is_set():
                return
            yield piece

    async def _breathe(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        async with self._turn:
            pass

    def _list(self) -> tuple[str, Listing]:
        # A root that is a link may be swapped meanwhile: list and read the same tree.
        root = os.path.realpath(self._root)
        return root, list_files(root)

    def _differing(self, root: str, files: Iterable[tuple[str, os.stat_result | str]]) -> set[str]:
        known, at_fault = self._folder.files, self._folder.at_fault
        return {
            path
            for path, found in files
            if self._differs(root, path, found, known.get(path))
            # The fault of a sound text may be mended elsewhere: in the function, in another file.
            or (path in at_fault and is_sound(known[path]))
        }

    def _differs(
        self, root: str, path: str, found: os.stat_result | str, known: ParsedFile | None
    ) -> bool:
        """Whether a file, found like this, is another than was read."""
        if known is None:
            return True
        reason = found if isinstance(found, str) else unfit(found)
        if reason is None:
            try:
                return self._hash_of(root, path) != known.hash
            except (*VANISHED, LeadsOut):
                return True
            except OSError as error:
                reason = unreadable(error)
        return known.content != refused(path, reason).content
