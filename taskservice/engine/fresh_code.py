"""Imports that take code as it stands on disk, however short ago it was written."""

import os
import sys
import time
from collections.abc import Mapping
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import Any

FRESH_SECONDS = 2.0


class _Loader(SourceFileLoader):
    """Neither reads nor keeps the compiled form of a file that was changed a moment ago.

    Python tells by size and full seconds whether it is that of a file: of two edits in a second
    it may take the first.
    """

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        if time.time() - os.stat(path).st_mtime < FRESH_SECONDS:
            raise OSError("too fresh to be known by its time of change")
        return super().path_stats(path)


def take_fresh_code() -> None:
    """Have this process import like that from now on."""
    hook = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_Loader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
