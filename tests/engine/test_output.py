import contextvars
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.engine import output
from taskservice.engine.output import LIMIT, Output, Unbuffered, output_context


@pytest.fixture(autouse=True)
def unchanged_root_logger() -> Iterator[None]:
    before = list(logging.getLogger().handlers)
    yield
    assert not {type(one) for one in logging.getLogger().handlers} - {type(one) for one in before}


@contextmanager
def installed() -> Iterator[None]:
    """Not a fixture: pytest puts its own streams in place between fixtures and test."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)
    output.install()
    try:
        yield
    finally:
        output.uninstall()
        logging.getLogger().setLevel(level)


def captured(function: Callable[[], object]) -> str:
    """What an execution of the function puts out."""
    kept = Output()

    def run() -> None:
        output_context.set(kept)
        function()

    contextvars.copy_context().run(run)
    return kept.text()


def test_of_long_output_the_begin_and_the_end_are_kept() -> None:
    kept = Output()
    kept.add_text("a" * 16_384 + "b" * (LIMIT - 16_384))
    assert kept.text() == "a" * 16_384 + "b" * (LIMIT - 16_384)
    kept.add_text("")
    assert "left out" not in kept.text()
    kept.add_text("the end")
    mark = "\n[7 bytes left out]\n"
    assert kept.text() == "a" * 16_384 + mark + "b" * (LIMIT - 16_384 - 7) + "the end"
    kept.add_text("c" * 10_000_000)
    mark = "\n[10000007 bytes left out]\n"
    assert kept.text() == "a" * 16_384 + mark + "c" * (LIMIT - 16_384)
    assert kept.size == LIMIT + 7 + 10_000_000


def test_a_character_is_not_cut_in_two() -> None:
    kept = Output(limit=32)
    kept.add_text("aé" + "x" * 28 + "é")
    assert kept.text() == "a\n[2 bytes left out]\n" + "x" * 28 + "é"
    kept = Output(limit=32)
    kept.add_text("ab" + "ééé" + "x" * 27)
    assert kept.text() == "ab\n[4 bytes left out]\né" + "x" * 27
    kept.add("é".encode()[:1])
    assert kept.text().endswith("xxx")


@given(st.lists(st.text(max_size=9) | st.binary(max_size=9), max_size=20), st.integers(16, 64))
def test_memory_and_text_have_a_limit(parts: list[str | bytes], limit: int) -> None:
    kept = Output(limit)
    for part in parts:
        if isinstance(part, str):
            kept.add_text(part)
        else:
            kept.add(part)
    # A byte that is no character comes out as one of three bytes.
    assert len(kept.text().encode()) <= 3 * limit + len("\n[999 bytes left out]\n")


def test_bytes_that_are_no_text() -> None:
    kept = Output()
    kept.add(b"a\xffb")
    assert kept.text() == "a\ufffdb"
    kept.add_text("\ud800")
    assert kept.text() == "a\ufffdb?"


@given(st.lists(st.text(), max_size=5))
def test_output_is_what_was_added(texts: list[str]) -> None:
    kept = Output()
    for text in texts:
        kept.add_text(text)
    assert kept.text() == "".join(texts)


def test_output_from_many_threads() -> None:
    kept = Output()
    threads = [threading.Thread(target=lambda: kept.add_text("line\n" * 10)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.text() == "line\n" * 1000


def test_prints_of_an_execution_are_kept_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def talk() -> None:
        print("one")
        print("two", file=sys.stderr, flush=True)
        sys.stdout.writelines(["three", "\n"])
        sys.stdout.buffer.write(b"four\n")

    with installed():
        assert captured(talk) == "one\ntwo\nthree\nfour\n"
        print("outside")
        print("complaint", file=sys.stderr, flush=True)
    assert capsys.readouterr() == ("outside\n", "complaint\n")


def test_two_executions_do_not_mix() -> None:
    texts: dict[str, str] = {}
    meet = threading.Barrier(2)

    def talk(name: str) -> None:
        for _ in range(10):
            meet.wait(10)
            print(name)

    def run(name: str) -> None:
        texts[name] = captured(lambda: talk(name))

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    with installed():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == {"a": "a\n" * 10, "b": "b\n" * 10}


def test_the_real_stream_is_out_of_reach_of_an_execution() -> None:
    real = io.TextIOWrapper(io.BytesIO())
    stream = output.CapturedStream(real)
    assert captured(stream.close) == ""
    assert not real.closed
    with pytest.raises(TypeError, match="must be str, not int"):
        captured(lambda: stream.write(1))  # type: ignore[arg-type]
    assert captured(lambda: stream.write(str(stream.isatty()))) == "False"
    assert stream.isatty() is False and stream.buffer is real.buffer
    assert stream.encoding == real.encoding
    assert output.CapturedBytes(Output()).writable()
    stream.close()
    assert real.closed


def test_log_lines_of_an_execution_are_kept_and_go_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("tests.output")

    def work() -> None:
        log.info("hello %s", "you")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("oh")

    with installed():
        lines = captured(work).splitlines()
        log.info("the service's own")
    assert lines[:3] == [
        "INFO tests.output: hello you",
        "ERROR tests.output: oh",
        "Traceback (most recent call last):",
    ]
    assert lines[-1] == "ValueError: no"
    assert [record.getMessage() for record in caplog.records] == ["the service's own"]


def test_a_log_line_that_can_not_be_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log = logging.getLogger("tests.output")
    with installed():
        assert captured(lambda: log.info("%d", "no number")) == ""


def test_install_and_uninstall_twice() -> None:
    root = logging.getLogger()
    before = sys.stdout, sys.stderr, list(root.handlers)
    output.uninstall()
    output.install()
    inside = sys.stdout, sys.stderr, list(root.handlers)
    output.install()
    assert inside == (sys.stdout, sys.stderr, list(root.handlers)) != before
    output.uninstall()
    output.uninstall()
    assert before == (sys.stdout, sys.stderr, list(root.handlers))
    assert all(output.outside_execution not in handler.filters for handler in root.handlers)


def test_unbuffered_writes_it_all() -> None:
    reader, writer = os.pipe()
    stream = Unbuffered(writer)
    # A thread reads meanwhile: the pipe holds less than this.
    parts: list[bytes] = []
    thread = threading.Thread(target=lambda: parts.extend(iter(lambda: os.read(reader, 4096), b"")))
    thread.start()
    assert stream.writable() and stream.fileno() == writer
    assert stream.write(b"x" * 10) == 10
    assert stream.write(b"x" * LIMIT) == LIMIT
    os.close(writer)
    thread.join()
    os.close(reader)
    assert b"".join(parts) == b"x" * (LIMIT + 10)
