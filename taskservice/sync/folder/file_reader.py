"""One file, read and parsed once it has been left alone for a while, and not before it changes."""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from taskservice.sync.folder.confined import (
    LEADS_OUT,
    LeadsOut,
    Signature,
    read_bytes,
    signature_of,
    unfit,
    unreadable,
)
from taskservice.sync.folder.fingerprint import Rows, declares_just
from taskservice.sync.folder.listing import VANISHED
from taskservice.sync.folder.parsed_file import (
    ParsedFile,
    file_as_stored,
    parse_file,
    refused,
)
from taskservice.sync.gitrepo.head import blob_names

SETTLED_SECONDS = 0.05
"""How long a file must have been left alone before it is read."""

UNFINISHED_SECONDS = 0.5
"""The same for a text without a newline at its end: a half-written file seldom has one."""


class FileReader:
    """Reads files again and again, and remembers since when those are watched that change.

    `signature_of`, `read` and `parse` are to do what the functions do that stand for them.
    """

    def __init__(
        self,
        *,
        signature_of: Callable[[os.stat_result], Signature] = signature_of,
        read: Callable[[str, str, Signature], bytes | None] = read_bytes,
        parse: Callable[[str, bytes], ParsedFile] = parse_file,
    ) -> None:
        self._signature_of = signature_of
        self._read = read
        self._parse = parse
        self._changing: dict[str, tuple[Signature, float]] = {}

    def read(
        self,
        root: str,
        path: str,
        found: os.stat_result | str,
        now: float,
        *,
        known: ParsedFile | None,
        rows: Rows,
        by_content: bool = False,
        anew: bool = False,
    ) -> ParsedFile | None:
        """What a file below `root`, found like this, says now; None: it is still changing.

        `known` is what it said before, `rows` are the tasks that are stored of it. All its fields
        are there if `anew`.
        """
        if isinstance(found, str):
            return refused(path, found)
        if wrong := unfit(found):
            return refused(path, wrong)
        signature = self._signature_of(found)
        unchanged = known is not None and known.signature == signature
        if unchanged and not by_content and not anew:
            return known
        # A time of change may be wrong, in the future too: our own watch on the file counts.
        before, since = self._changing.get(path, (signature, now))
        since = min(since, now) if before == signature else now
        self._changing[path] = (signature, since)
        age = now - min(found.st_mtime, since)
        if age < SETTLED_SECONDS and not unchanged:
            return None
        try:
            data = self._read(root, path, signature)
        except VANISHED:
            return None
        except LeadsOut:
            return refused(path, LEADS_OUT)
        except OSError as error:
            return refused(path, unreadable(error))
        if data is None:
            return None
        if age < UNFINISHED_SECONDS and not unchanged and not data.endswith(b"\n"):
            return None
        content_hash = hashlib.sha256(data).digest()
        if known and known.hash == content_hash and not anew:
            return replace(known, signature=signature)
        if rows and not anew and declares_just(content_hash, rows):
            file = file_as_stored(path, content_hash, rows)
        else:
            file = self._parse(path, data)
        return replace(file, signature=signature, blobs=blob_names(data))

    def settles_in(self, path: str, found: os.stat_result, now: float) -> float:
        """Seconds until a file that is still changing may be read."""
        since = min(found.st_mtime, self._changing[path][1])
        return max(SETTLED_SECONDS - (now - since), 0.0)

    def forget(self, paths: Iterable[str]) -> None:
        """Forget since when these files were watched: they have been read."""
        for path in paths:
            self._changing.pop(path, None)

    def forget_all_but(self, paths: Iterable[str]) -> None:
        """The same of all but these."""
        self._changing = {path: self._changing[path] for path in paths}
