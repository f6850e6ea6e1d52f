"""Functions that the tests' service calls; files let a test decide when they go on."""

import sys
import time
from pathlib import Path


def talk(folder: str, words: list[str], ending: str = "done") -> str:
    """Say a word, wait until a file of its name is there, and so on."""
    for word in words:
        print(word, flush=True)
        while not Path(folder, word).exists():
            time.sleep(0.01)
    return ending


def fail(reason: str) -> None:
    """Print without an end of line, and fail."""
    sys.stdout.write("half a line")
    raise ValueError(reason)


def take(given: object = None, other: object = None) -> list[object]:
    """Return what came, with its types."""
    return [given, type(given).__name__, other]
