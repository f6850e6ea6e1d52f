"""A folder of users' modules, as a test writes them."""

import os
from pathlib import Path


class ModulesFolder:
    """A folder of modules that can be imported while the test lasts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        """Write a file; written again, it has another time of change, as after an edit."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.stat().st_mtime if file.exists() else None
        file.write_text(text)
        if before is not None:
            os.utime(file, (before + 2, before + 2))
