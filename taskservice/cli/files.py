"""Files that commands write, maybe in a folder that is watched."""

import shutil
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Write a file, in whose place there is never half of it. Raises OSError."""
    draft = file.with_name(f".{file.name}.draft")  # no task file by its name
    try:
        draft.write_bytes(text.encode())
        if file.exists():
            shutil.copymode(file, draft)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
