"""What is printed of an output that grows, though its middle may be left out meanwhile."""

import pytest

from taskservice.cli.following import ExecutionPrinter
from taskservice.domain.output import left_out

LINES = [f"line {number:05}\n" for number in range(1000)]
TALK = "".join(LINES[:500])


@pytest.mark.parametrize(
    ("outputs", "printed"),
    [
        (["", "a", "a", "ab"], "ab"),
        ([None, "a\n", "a\nb\n"], "a\nb\n"),
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
