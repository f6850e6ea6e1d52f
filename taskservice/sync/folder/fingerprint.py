"""The fingerprint by which a file is known again after a restart, without being parsed.

It names the file's bytes together with every task in them, so it says that there is nothing else.
"""

import hashlib
from collections.abc import Iterable, Mapping

from taskservice.domain.plan import StoredDeclaration

READER_VERSION = 1
"""To be raised whenever the same bytes may be read as something else than before."""

Rows = list[tuple[str, StoredDeclaration]]


def fingerprint_of(content_hash: bytes, tasks: Iterable[tuple[str, str, int | None]]) -> str:
    """That of a file with bytes of this hash that declares these: id, digest and line of each."""
    text = repr((READER_VERSION, content_hash, sorted(tasks)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def by_path(stored: Mapping[str, StoredDeclaration]) -> dict[str, Rows]:
    """The tasks that files declare, by file and in their order in it."""
    found: dict[str, Rows] = {}
    for task_id, row in stored.items():
        if row.source == "file" and row.path and row.retired_at is None:
            found.setdefault(row.path, []).append((task_id, row))
    for rows in found.values():
        rows.sort(key=lambda each: (each[1].line or 0, each[0]))
    return found


def declares_just(content_hash: bytes, rows: Rows) -> bool:
    """Whether these are, all of them, the tasks that a file with bytes of this hash declares."""
    fingerprint = fingerprint_of(
        content_hash, ((task_id, row.digest, row.line) for task_id, row in rows)
    )
    # Those that were stored before the file's latest change, and were not part of it, have older
    # ones.
    return any(row.fingerprint == fingerprint for _, row in rows)
