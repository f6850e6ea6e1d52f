"""Reading the text of modules."""

import ast
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskservice.engine import sources
from taskservice.engine.sources import syntax_tree


@pytest.fixture
def collecting() -> Iterator[None]:
    """Has the garbage collector let other threads run, often in the midst of parsing."""

    def let_others_run(*_: object) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.set_threshold(50)
    gc.callbacks.append(let_others_run)
    yield
    gc.callbacks.remove(let_others_run)
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collecting")
def test_several_threads_parse_at_once() -> None:
    text = Path(sources.__file__).read_bytes()[:2000].rpartition(b"\n\n\n")[0]
    with ThreadPoolExecutor(4) as threads:
        trees = list(threads.map(lambda _: syntax_tree(text), range(500)))
    assert {ast.dump(tree) for tree in trees} == {ast.dump(trees[0])}


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        syntax_tree("def")
