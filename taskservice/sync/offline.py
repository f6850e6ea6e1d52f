"""A folder of task files read once, as it stands, by a command that has no service at hand."""

import os
from pathlib import Path

from taskservice.domain.errors import Fault
from taskservice.sync.listing import list_files
from taskservice.sync.taken import unfit
from taskservice.sync.yaml_walk import MAX_BYTES


def read_folder(root: Path) -> tuple[dict[str, bytes], list[Fault]]:
    """The task files below a folder, by path from it, and why others can't be read. Blocks."""
    real = os.path.realpath(root)
    listing = list_files(real)
    texts: dict[str, bytes] = {}
    faults = list(listing.faults)
    for path, found in sorted(listing.files.items()):
        wrong = found if isinstance(found, str) else unfit(found)
        if wrong is None:
            try:
                with open(f"{real}/{path}", "rb") as file:
                    texts[path] = file.read(MAX_BYTES + 1)
            except OSError as error:
                wrong = f"can't be read: {error.strerror}"
        if wrong is not None:
            faults.append(Fault(reason=wrong, path=path))
    return texts, faults
