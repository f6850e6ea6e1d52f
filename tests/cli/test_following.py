"""What is printed of an output that grows, though its middle may be left out meanwhile."""

from typing import Any

import pytest

from taskservice.cli.client import Client
from taskservice.cli.following import ExecutionPrinter, follow_aloud
from taskservice.domain.output import left_out

LINES = [f"line {number:05}\n" for number in range(1000)]
TALK = "".join(LINES[:500])


@pytest.mark.parametrize(
    ("outputs", "printed"),
    [
        (["", "a", "a", "ab"], "ab"),
        ([None, "a\n", "a\nb\n"], "a\nb\n"),
        (["a\n", "a\nb\n", "a\n", "a\nb\nc\n"], "a\nb\nc\n"),
        ([TALK, "".join(LINES[:9]) + left_out(7) + "".join(LINES[300:510])], "".join(LINES[:510])),
        (["a\n", "a\n" + left_out(7) + "z\n"], "a\n" + left_out(7) + "z\n"),
        (["a\nb\nc\n", "a\n" + left_out(7) + "z\n"], "a\nb\nc\n" + left_out(7) + "z\n"),
    ],
)  # fmt: skip
def test_each_part_of_an_output_is_printed_once(
    outputs: list[str | None], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printer = ExecutionPrinter("e1")
    for output in outputs:
        printer.print_output({"id": "e1", "output": output})
    assert capsys.readouterr().out == printed


class Answers(Client):
    """A client that is given one answer after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:1", None)
        self._answers = list(answers)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._answers.pop(0)


def test_what_waits_in_a_queue_is_followed_until_it_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    queued = {
        "id": "e1", "status": "queued", "start_time": "2026-01-31T08:00:00Z", "end_time": None,
        "queue": "reports", "worker": None, "output": None, "triggered_by": "ann", "error": None,
        "result": None,
    }  # fmt: skip
    running = {**queued, "status": "running", "worker": "w", "output": "one\n"}
    ended = {**running, "status": "completed", "end_time": "2026-01-31T08:00:02Z"}
    with Answers(queued, running, running, {**ended, "output": "one\ntwo\n"}) as client:
        follow_aloud(client, "t", queued)
    told = [line.partition(" e1 ")[2] or line for line in capsys.readouterr().out.splitlines()]
    assert told == [
        "queued by ann", "running by ann", "one", "two", "completed after 2.0 s: -",
    ]  # fmt: skip
