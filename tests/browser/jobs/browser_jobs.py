"""Functions that the browser's service calls; files let a test decide when they go on."""

import time
from pathlib import Path


def greet(who: str = "world", times: int = 1) -> str:
    """Greet somebody, so many times."""
    return ", ".join([f"hello {who}"] * times)


def talk(folder: str, words: list[str]) -> str:
    """Say a word, wait until a file of its name is there, and so on."""
    for word in words:
        print(word, flush=True)
        while not Path(folder, word).exists():
            time.sleep(0.01)
    return "done"


def flood(folder: str) -> None:
    """Say more than is kept, for each of two files that it finds."""
    for name in ("one", "two"):
        for number in range(30_000):
            print(f"{name} {number}")
        while not (Path(folder) / name).exists():
            time.sleep(0.05)


def fail(reason: str) -> None:
    """Fail."""
    raise ValueError(reason)


def import_orders(batch: int, source: str = "erp") -> int:
    """Read a batch of orders and tell how far it is; it takes as long as anybody watches."""
    number = 0
    while True:
        number += 1
        print(f"{source}: order {batch}-{number:05d} taken", flush=True)
        time.sleep(0.5)
